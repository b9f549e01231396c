extension JSONValue {
    /// The value as compact JSON text; `indent` spaces per level put every member on its own line.
    ///
    /// Characters outside ASCII stay as they are; control characters are escaped. Numbers that JSON cannot express (infinite,
    /// not a number) become `null`.
    ///
    /// - Parameter keepsFractions: Whether whole numbers that were read with a decimal point or an exponent get a decimal point again: some
    ///   readers tell `30.0` from `30`.
    public func serialized(indent: Int? = nil, keepsFractions: Bool = false) -> String {
        var writer = JSONWriter(indent: indent, keepsFractions: keepsFractions)
        writer.write(self, level: 0)
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}

/// Writes JSON text.
struct JSONWriter {
    var bytes: [UInt8] = []
    let indent: Int?
    let keepsFractions: Bool

    init(indent: Int? = nil, keepsFractions: Bool = false) {
        self.indent = indent
        self.keepsFractions = keepsFractions
    }

    mutating func write(_ value: JSONValue, level: Int) {
        switch value {
        case .null: write(raw: "null")
        case .bool(let value): write(raw: value ? "true" : "false")
        case .number(let number):
            if let int = number.int, !(int == 0 && number.double.sign == .minus) {
                write(raw: keepsFractions && number.isFraction ? "\(int).0" : "\(int)")
            } else {
                write(raw: number.double.isFinite ? "\(number.double)" : "null")
            }
        case .string(let text): write(string: text)
        case .array(let elements):
            bytes.append(0x5B)
            for (i, element) in elements.enumerated() {
                if i > 0 { bytes.append(0x2C) }
                newLine(level + 1)
                write(element, level: level + 1)
            }
            if !elements.isEmpty { newLine(level) }
            bytes.append(0x5D)
        case .object(let object):
            bytes.append(0x7B)
            for (i, member) in object.members.enumerated() {
                if i > 0 { bytes.append(0x2C) }
                newLine(level + 1)
                write(string: member.key)
                bytes.append(0x3A)
                if indent != nil { bytes.append(0x20) }
                write(member.value, level: level + 1)
            }
            if object.count > 0 { newLine(level) }
            bytes.append(0x7D)
        }
    }

    private mutating func newLine(_ level: Int) {
        guard let indent else { return }
        bytes.append(0x0A)
        for _ in 0..<(indent * level) { bytes.append(0x20) }
    }

    private mutating func write(raw text: String) { bytes.append(contentsOf: text.utf8) }

    mutating func write(string text: String) {
        bytes.append(0x22)
        for byte in text.utf8 {
            switch byte {
            case 0x22: write(raw: "\\\"")
            case 0x5C: write(raw: "\\\\")
            case 0x0A: write(raw: "\\n")
            case 0x0D: write(raw: "\\r")
            case 0x09: write(raw: "\\t")
            case 0x00..<0x20, 0x7F: write(raw: "\\u00" + hexadecimal(byte))
            default: bytes.append(byte)
            }
        }
        bytes.append(0x22)
    }
}
