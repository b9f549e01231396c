/// Guesses that the text goes on as it did before.
///
/// - Source: prompt lookup decoding (Saxena, 2023), as `prompt_lookup_num_tokens` in transformers 5.23.0.
package struct PromptLookup {
    /// Tokens compared at most.
    static let longestMatch = 3

    /// What followed the newest of the earlier places that share the longest end, up to `longestMatch` tokens, with the text.
    ///
    /// - Parameters:
    ///   - last: Stands after `tokens`.
    ///   - count: Tokens guessed. Where the earlier place is so near that the text ends before, the guess repeats itself.
    /// - Returns: Nothing and 0 if `last` has not occurred before.
    package static func draft(after tokens: [Int32], _ last: Int32, count: Int) -> (tokens: [Int32], match: Int) {
        tokens.withUnsafeBufferPointer { text -> (tokens: [Int32], match: Int) in
            var (place, match) = (0, 0)
            for end in stride(from: text.count - 1, through: 0, by: -1) where text[end] == last {
                var length = 1
                while length < longestMatch, end >= length, text[end - length] == text[text.count - length] { length += 1 }
                if length > match { (place, match) = (end, length) }
                if length == longestMatch { break }
            }
            guard match > 0 else { return ([], 0) }
            var draft: [Int32] = []
            draft.reserveCapacity(count)
            for i in place + 1..<place + 1 + count {
                draft.append(i < text.count ? text[i] : i == text.count ? last : draft[i - text.count - 1])
            }
            return (draft, match)
        }
    }
}
