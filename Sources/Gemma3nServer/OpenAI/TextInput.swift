internal import Checkpoint
internal import Gemma3nHost

/// Texts or tokens, one or several, as `prompt` and `input` hold them.
enum TextInput {
    /// - Throws: 400 if it is neither a string, nor an array of strings, of token ids or of arrays of those.
    static func read(_ fields: Fields, _ key: String, tokenCount: Int, atMost limit: Int) throws(Refusal) -> [AnswerRequest.Input] {
        let expected = "a string, an array of strings, an array of token ids or an array of those"
        guard let value = fields[key] else { throw fields.refusal(key, "must be \(expected), but is missing.", code: "invalid_type") }
        if let text = value.string { return [.text(text)] }
        guard let array = value.array else { throw fields.refusal(key, "must be \(expected), found \(value.kind).", code: "invalid_type") }
        guard let first = array.first else { throw fields.refusal(key, "is an empty array; give at least one text.") }
        if first.int != nil { return [.tokens(try tokens(value, fields, key, tokenCount))] }
        guard array.count <= limit else { throw fields.refusal(key, "holds \(array.count) texts, expected at most \(limit).") }
        var inputs: [AnswerRequest.Input] = []
        for (index, element) in array.enumerated() {
            if let text = element.string {
                inputs.append(.text(text))
            } else {
                inputs.append(.tokens(try tokens(element, fields, "\(key)[\(index)]", tokenCount)))
            }
        }
        return inputs
    }

    private static func tokens(_ value: JSONValue, _ fields: Fields, _ key: String, _ tokenCount: Int) throws(Refusal) -> [Int32] {
        guard let array = value.array else { throw fields.refusal(key, "must be a string or an array of token ids, found \(value.kind).", code: "invalid_type") }
        guard !array.isEmpty else { throw fields.refusal(key, "is an empty array; give at least one token id.") }
        var tokens: [Int32] = []
        for (index, element) in array.enumerated() {
            guard let id = element.int, id >= 0, id < tokenCount else {
                throw fields.refusal("\(key)[\(index)]", "must be a token id from 0 to \(tokenCount - 1), found \(element.int.map { "\($0)" } ?? element.kind).")
            }
            tokens.append(Int32(id))
        }
        return tokens
    }
}
