/// The parts of a `multipart/form-data` body (RFC 7578).
package struct Multipart: Sendable {
    package struct Part: Sendable {
        package let name: String
        package let fileName: String?
        package let bytes: ArraySlice<UInt8>

        package var text: String? { String(validating: bytes, as: UTF8.self) }
    }

    package let parts: [Part]
    package static let partLimit = 1000

    package subscript(name: String) -> Part? { parts.first { $0.name == name } }
    package func all(_ name: String) -> [Part] { parts.filter { $0.name == name } }

    /// - Throws: 400 if the body is not what the content type says.
    package init(_ body: [UInt8], contentType: String) throws(Refusal) {
        guard let boundary = Self.parameter("boundary", of: contentType), contentType.lowercased().hasPrefix("multipart/form-data") else {
            throw Refusal(400, "The content type is \"\(contentType.prefix(80))\", expected multipart/form-data with a boundary.", code: "invalid_content_type")
        }
        guard (1...70).contains(boundary.utf8.count) else {
            throw Refusal(400, "The boundary of the body has \(boundary.utf8.count) characters, expected 1 to 70.", code: "invalid_multipart")
        }
        let delimiter = Array("--\(boundary)".utf8)
        guard var place = Self.find(delimiter, in: body, from: 0) else { throw Self.malformed("it has no boundary line") }
        var parts: [Part] = []
        while true {
            place += delimiter.count
            if body[place...].starts(with: "--".utf8) { break }
            guard body[place...].starts(with: "\r\n".utf8) else { throw Self.malformed("a boundary line does not end") }
            place += 2
            guard let head = Self.find(Array("\r\n\r\n".utf8), in: body, from: place - 2) else { throw Self.malformed("the header of a part does not end") }
            let headerText = head > place ? String(decoding: body[place..<head], as: UTF8.self) : ""
            let start = head + 4
            guard let end = Self.find(Array("\r\n".utf8) + delimiter, in: body, from: start) else { throw Self.malformed("a part does not end") }
            guard parts.count < Self.partLimit else { throw Self.malformed("it has more than \(Self.partLimit) parts") }
            let disposition = headerText.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-disposition:") }.map(String.init) ?? ""
            guard let name = Self.parameter("name", of: disposition) else { throw Self.malformed("part \(parts.count + 1) has no name") }
            parts.append(Part(name: name, fileName: Self.parameter("filename", of: disposition), bytes: body[start..<end]))
            place = end + 2
        }
        self.parts = parts
    }

    private static func malformed(_ what: String) -> Refusal {
        Refusal(400, "The body is no multipart/form-data: \(what).", code: "invalid_multipart")
    }

    /// `key=value` or `key="value"` among parameters with semicolons between.
    private static func parameter(_ key: String, of text: String) -> String? {
        for part in text.split(separator: ";").dropFirst() {
            let trimmed = part.drop { $0 == " " || $0 == "\t" }
            guard trimmed.lowercased().hasPrefix(key + "=") else { continue }
            let value = trimmed.dropFirst(key.count + 1)
            return value.hasPrefix("\"") ? String(value.dropFirst().prefix { $0 != "\"" }) : String(value.prefix { $0 != " " })
        }
        return nil
    }

    private static func find(_ pattern: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
        guard let first = pattern.first, start + pattern.count <= bytes.count else { return nil }
        var place = start
        while place + pattern.count <= bytes.count {
            guard let next = bytes[place...].firstIndex(of: first), next + pattern.count <= bytes.count else { return nil }
            if bytes[next...].starts(with: pattern) { return next }
            place = next + 1
        }
        return nil
    }
}
