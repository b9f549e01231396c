internal import Checkpoint

extension GeneratedContent {
    /// The value that a beginning of JSON text stands for: what is certain of it. A string may go on; a number, a literal and a key
    /// count once they have ended.
    ///
    /// - Returns: Nil where nothing has begun yet, or the text is no beginning of JSON.
    public init?(partialJSON text: String) {
        var reader = PartialJSON(Array(text.utf8))
        guard case .value(let value, let isComplete) = reader.value(depth: 0) else { return nil }
        reader.skipSpace()
        guard reader.isAtEnd else { return nil }
        self.init(value, isComplete: isComplete)
    }
}

/// Reads a beginning of a JSON document.
private struct PartialJSON {
    private let bytes: [UInt8]
    private var position = 0

    enum Outcome {
        case value(JSONValue, isComplete: Bool)
        /// The text ends before anything is certain.
        case nothing
        case invalid
    }

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }
    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func skipSpace() {
        while let byte = next, [0x20, 0x0A, 0x0D, 0x09].contains(byte) { position += 1 }
    }

    mutating func value(depth: Int) -> Outcome {
        skipSpace()
        guard depth <= JSONScanner.maximumDepth else { return .invalid }
        switch next {
        case nil: return .nothing
        case UInt8(ascii: "{"): return object(depth)
        case UInt8(ascii: "["): return array(depth)
        case UInt8(ascii: "\""):
            guard let (text, isComplete) = string() else { return .invalid }
            return .value(.string(text), isComplete: isComplete)
        default: return scalar()
        }
    }

    private mutating func object(_ depth: Int) -> Outcome {
        position += 1
        var members: [JSONObject.Member] = []
        func made(_ isComplete: Bool) -> Outcome { .value(.object(JSONObject(members)), isComplete: isComplete) }
        skipSpace()
        if next == UInt8(ascii: "}") {
            position += 1
            return made(true)
        }
        while true {
            skipSpace()
            guard let byte = next else { return made(false) }
            guard byte == UInt8(ascii: "\""), let (key, isWhole) = string() else { return .invalid }
            skipSpace()
            if !isWhole || isAtEnd { return made(false) }
            guard next == UInt8(ascii: ":") else { return .invalid }
            position += 1
            switch value(depth: depth + 1) {
            case .invalid: return .invalid
            case .nothing: return made(false)
            case .value(let value, let isComplete):
                members.append(.init(key: key, value: value))
                if !isComplete { return made(false) }
            }
            skipSpace()
            switch next {
            case nil: return made(false)
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "}"):
                position += 1
                return made(true)
            default: return .invalid
            }
        }
    }

    private mutating func array(_ depth: Int) -> Outcome {
        position += 1
        var elements: [JSONValue] = []
        skipSpace()
        if next == UInt8(ascii: "]") {
            position += 1
            return .value(.array([]), isComplete: true)
        }
        while true {
            switch value(depth: depth + 1) {
            case .invalid: return .invalid
            case .nothing: return .value(.array(elements), isComplete: false)
            case .value(let value, let isComplete):
                elements.append(value)
                if !isComplete { return .value(.array(elements), isComplete: false) }
            }
            skipSpace()
            switch next {
            case nil: return .value(.array(elements), isComplete: false)
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "]"):
                position += 1
                return .value(.array(elements), isComplete: true)
            default: return .invalid
            }
        }
    }

    /// A string, or as much of it as is there: whole characters and escapes.
    private mutating func string() -> (text: String, isComplete: Bool)? {
        let start = position
        position += 1
        /// Where the last whole character ended.
        var certain = position
        while let byte = next {
            if byte == UInt8(ascii: "\"") {
                position += 1
                return parsed(start..<position - 1).map { ($0, true) }
            }
            if byte < 0x20 { return nil }
            if byte == UInt8(ascii: "\\") {
                guard let length = escapeLength() else { return nil }
                if position + length > bytes.count {
                    position = bytes.count
                    break
                }
                position += length
                certain = position
            } else {
                let length = byte < 0x80 ? 1 : byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2
                if position + length > bytes.count {
                    position = bytes.count
                    break
                }
                position += length
                certain = position
            }
        }
        return parsed(start..<certain).map { ($0, false) }
    }

    /// Bytes of the escape here, both halves of a surrogate pair together; nil if it is none. More than there are where it is unfinished.
    private func escapeLength() -> Int? {
        guard position + 1 < bytes.count else { return 2 }
        guard bytes[position + 1] == UInt8(ascii: "u") else { return 2 }
        guard position + 6 <= bytes.count else { return 6 }
        guard let unit = UInt16(String(decoding: bytes[position + 2..<position + 6], as: UTF8.self), radix: 16) else { return nil }
        return (0xD800..<0xDC00).contains(unit) ? 12 : 6
    }

    /// The text of a string whose opening quote is the first byte of `range`.
    private func parsed(_ range: Range<Int>) -> String? {
        do throws(CheckpointError) {
            return try JSONValue.parse(Array(bytes[range]) + [UInt8(ascii: "\"")], file: "the answer").string
        } catch {
            return nil
        }
    }

    /// A number or a literal: certain once something follows.
    private mutating func scalar() -> Outcome {
        let start = position
        while let byte = next, ![UInt8(ascii: ","), UInt8(ascii: "]"), UInt8(ascii: "}"), 0x20, 0x0A, 0x0D, 0x09].contains(byte) { position += 1 }
        let text = Array(bytes[start..<position])
        do throws(CheckpointError) {
            let value = try JSONValue.parse(text, file: "the answer")
            if isAtEnd, case .number = value { return .nothing }
            return .value(value, isComplete: true)
        } catch {
            let beginsLiteral = ["true", "false", "null"].contains { $0.utf8.starts(with: text) }
            let isNumberLike = text.allSatisfy { "+-.eE0123456789".utf8.contains($0) }
            return isAtEnd && (beginsLiteral || isNumberLike) ? .nothing : .invalid
        }
    }
}
