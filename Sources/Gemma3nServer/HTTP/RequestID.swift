/// The name a request goes by in logs and replies.
package enum RequestID {
    /// The client's own, if it is a short plain word; else a new one.
    package static func chosen(_ given: String?) -> String {
        if let given, !given.isEmpty, given.utf8.count <= 128, given.utf8.allSatisfy(isPlain) { return given }
        return random("req_")
    }

    /// A prefix and 96 random bits.
    static func random(_ prefix: String) -> String {
        var text = prefix
        for _ in 0..<3 {
            let digits = String(UInt32.random(in: 0 ... .max), radix: 16)
            text += String(repeating: "0", count: 8 - digits.count) + digits
        }
        return text
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: ":"): true
        default: false
        }
    }
}
