import Constraints

/// All bytes, and tokens that span structure, characters and parts of characters.
enum SmallVocabulary {
    static let texts: [String] = [
        "a", "b", "ab", "abc", "foo", "bar", " the", "  ", "the cat", "1", "12", "0", "-1", ".5", "e1", "true", "tr", "false", "null", "nul",
        "{\"", "\"}", "\":", "\":\"", "\",\"", "\":{\"", "\"}}", "}}", "[", "]", "],", "[]", "{}", ",", ":", "\\n", "\\\"", "\\u00", "\\u001f",
        "é", "日本", "🙂", "a\"", "foo\":", "\"foo\":1,", "\n", "\t", "\n  ", String(repeating: "x", count: 40), "\\u00e9", "xx", "2026-",
        "<end>",
    ]

    /// 🙂 in two parts that are no text of their own.
    static let parts: [[UInt8]] = [[0xF0, 0x9F], [0x99, 0x82], [0xE6, 0x97]]

    static let end = Int32(256 + texts.count - 1)

    static let vocabulary: TokenVocabulary = {
        var tokens: [[UInt8]?] = (0..<256).map { [UInt8($0)] }
        tokens += texts.map { Array($0.utf8) }
        tokens += parts
        tokens.append(nil)
        return TokenVocabulary(tokens: tokens, endTokens: [end])
    }()

    static func machine(_ constraint: Constraint) -> ConstraintMachine { ConstraintMachine(constraint, vocabulary) }
}

extension Constraint {
    /// Whether the whole text is accepted.
    func accepts(_ text: String) -> Bool {
        var matcher = ConstraintMatcher(SmallVocabulary.machine(self))
        return matcher.advance(text.utf8) && matcher.isAccepting
    }
}
