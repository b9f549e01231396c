/// Reads a `multipart/form-data` body (RFC 7578) as it comes, in memory that does not depend on its length.
package struct MultipartReader {
    package enum Event: Equatable {
        case part(name: String, fileName: String?)
        case bytes([UInt8])
    }

    private enum State {
        /// Before the first boundary line; in a part.
        case preamble, part
        /// Behind a boundary; behind the line of one.
        case boundary, header
        case ended
    }

    package static let partLimit = 1000
    /// Bytes of a part's header lines at most.
    package static let headerLimit = 16 << 10

    /// A line's end, two hyphens, and the boundary.
    private let delimiter: [UInt8]
    private var state = State.preamble
    private var partCount = 0
    /// Come, and not yet understood. The first boundary line may be the very first line, which no line's end precedes.
    private var buffer: [UInt8] = [0x0D, 0x0A]

    /// - Throws: 400 if that is no type of a multipart form.
    package init(contentType: String) throws(Refusal) {
        guard contentType.lowercased().hasPrefix("multipart/form-data"), let boundary = Self.parameter("boundary", of: contentType) else {
            throw Refusal(400, "The content type is \"\(contentType.prefix(80))\", expected multipart/form-data with a boundary.", code: "invalid_content_type")
        }
        guard (1...70).contains(boundary.utf8.count) else {
            throw Refusal(400, "The boundary of the body has \(boundary.utf8.count) characters, expected 1 to 70.", code: "invalid_multipart")
        }
        delimiter = Array("\r\n--\(boundary)".utf8)
    }

    /// Takes the next bytes of the body, and tells what came of them.
    ///
    /// - Throws: 400 if the body is no such form.
    package mutating func push(_ bytes: some Collection<UInt8>) throws(Refusal) -> [Event] {
        buffer += bytes
        var events: [Event] = []
        var place = 0
        reading: while true {
            switch state {
            case .ended:
                place = buffer.count
                break reading
            case .preamble, .part:
                let end = find(delimiter, from: place)
                // What may be the beginning of a boundary line stays.
                let safe = end ?? max(place, buffer.count - delimiter.count + 1)
                if case .part = state, safe > place { events.append(.bytes(Array(buffer[place..<safe]))) }
                place = safe
                guard end != nil else { break reading }
                place += delimiter.count
                state = .boundary
            case .boundary:
                guard buffer.count - place >= 2 else { break reading }
                if buffer[place...].starts(with: "--".utf8) {
                    state = .ended
                } else if buffer[place...].starts(with: "\r\n".utf8) {
                    // It stays: a part may have no header lines.
                    state = .header
                } else {
                    throw malformed("a boundary line does not end")
                }
            case .header:
                let end = find(Array("\r\n\r\n".utf8), from: place)
                guard (end ?? buffer.count) - place <= Self.headerLimit else { throw malformed("the header of a part has more than \(Self.headerLimit) bytes") }
                guard let end else { break reading }
                events.append(try part(buffer[place..<end]))
                place = end + 4
                state = .part
            }
        }
        buffer.removeFirst(place)
        return events
    }

    /// - Throws: 400 if the body ended too early.
    package func finish() throws(Refusal) {
        switch state {
        case .ended: return
        case .preamble: throw malformed("it has no boundary line")
        case .part: throw malformed("a part does not end")
        case .boundary: throw malformed("a boundary line does not end")
        case .header: throw malformed("the header of a part does not end")
        }
    }

    private mutating func part(_ header: ArraySlice<UInt8>) throws(Refusal) -> Event {
        guard partCount < Self.partLimit else { throw malformed("it has more than \(Self.partLimit) parts") }
        partCount += 1
        let lines = String(decoding: header, as: UTF8.self).split(separator: "\r\n")
        let disposition = lines.first { $0.lowercased().hasPrefix("content-disposition:") }.map(String.init) ?? ""
        guard let name = Self.parameter("name", of: disposition) else { throw malformed("part \(partCount) has no name") }
        return .part(name: name, fileName: Self.parameter("filename", of: disposition))
    }

    private func malformed(_ what: String) -> Refusal {
        Refusal(400, "The body is no multipart/form-data: \(what).", code: "invalid_multipart")
    }

    /// `key=value` or `key="value"` among parameters with semicolons between. In quotes, a backslash takes the next quote or backslash as it is.
    static func parameter(_ key: String, of text: String) -> String? {
        var rest = text.unicodeScalars[...]
        func word(until ends: (Unicode.Scalar) -> Bool) -> String {
            let word = rest.prefix { !ends($0) }
            rest = rest[word.endIndex...]
            return String(String.UnicodeScalarView(word))
        }
        _ = word { $0 == ";" }
        while rest.popFirst() != nil {
            rest = rest.drop { $0 == " " || $0 == "\t" }
            let name = word { $0 == "=" || $0 == ";" }
            guard rest.first == "=" else { continue }
            rest.removeFirst()
            var value = ""
            if rest.first == "\"" {
                rest.removeFirst()
                while let next = rest.popFirst(), next != "\"" {
                    let isEscape = next == "\\" && (rest.first == "\"" || rest.first == "\\")
                    value.unicodeScalars.append(isEscape ? rest.removeFirst() : next)
                }
                _ = word { $0 == ";" }
            } else {
                value = word { $0 == ";" || $0 == " " }
                _ = word { $0 == ";" }
            }
            if name.lowercased() == key { return value }
        }
        return nil
    }

    private func find(_ pattern: [UInt8], from start: Int) -> Int? {
        var place = start
        while place + pattern.count <= buffer.count {
            guard let next = buffer[place...].firstIndex(of: pattern[0]), next + pattern.count <= buffer.count else { return nil }
            if buffer[next...].starts(with: pattern) { return next }
            place = next + 1
        }
        return nil
    }
}
