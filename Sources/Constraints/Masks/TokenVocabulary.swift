internal import Checkpoint
public import Tokenization

/// The tokens of a tokenizer as a constraint sees them: by their bytes, in prefix trees. Made once, shared by all machines.
///
/// Special tokens, tokens without text and placeholders (`<unused7>`, `<mask>`, `[multimodal]`) are never allowed.
public final class TokenVocabulary: Sendable {
    /// Ids are below this.
    public let count: Int
    /// Tokens that end a turn: allowed where the text may end.
    public let endTokens: [Int32]
    /// Whether every byte is a token, so that text of any kind can be written.
    public let hasAllBytes: Bool

    /// Tokens that may stand anywhere inside a JSON string: whole characters, none of which must be escaped.
    nonisolated(unsafe) let plain: TokenTree
    /// All others.
    nonisolated(unsafe) let rest: TokenTree
    /// `plainMasks[n]`: the plain tokens of at most n characters, up to `maximumPlainMask`; the last has all.
    let plainMasks: [[UInt64]]
    /// The longest plain token, in characters.
    let longestPlain: Int
    /// Plain tokens longer than the masks count, with their characters.
    let longPlain: [(id: Int32, characters: Int)]
    private let starts: [Int32]
    private let text: [UInt8]

    static let maximumPlainMask = 32

    /// - Parameters:
    ///   - tokens: The bytes of each id; nil or empty for ids that never are text.
    ///   - endTokens: Allowed where the text may end; they are not text themselves.
    public init(tokens: [[UInt8]?], endTokens: [Int32]) {
        count = tokens.count
        self.endTokens = endTokens.filter { $0 >= 0 && $0 < tokens.count }
        var starts: [Int32] = [0]
        var text: [UInt8] = []
        for (id, token) in tokens.enumerated() {
            // A depth must fit 16 bits.
            if let token, token.count < 4096, !endTokens.contains(Int32(truncatingIfNeeded: id)) { text += token }
            starts.append(Int32(truncatingIfNeeded: text.count))
        }
        self.starts = starts
        self.text = text

        var plainIDs: [Int32] = []
        var restIDs: [Int32] = []
        var characters = [Int](repeating: 0, count: tokens.count)
        var longest = 0
        var seen = [Bool](repeating: false, count: 256)
        let wordCount = (tokens.count + 63) / 64
        var masks = [[UInt64]](repeating: [UInt64](repeating: 0, count: wordCount), count: Self.maximumPlainMask + 2)
        var long: [(id: Int32, characters: Int)] = []
        text.withUnsafeBufferPointer { text in
            func bytes(_ id: Int32) -> UnsafeBufferPointer<UInt8> {
                UnsafeBufferPointer(rebasing: text[Int(starts[Int(id)])..<Int(starts[Int(id) + 1])])
            }
            for id in 0..<Int32(truncatingIfNeeded: tokens.count) {
                let token = bytes(id)
                if token.count == 1 { seen[Int(token[0])] = true }
                if token.isEmpty { continue }
                if let n = Self.plainCharacters(token) {
                    plainIDs.append(id)
                    characters[Int(id)] = n
                    longest = max(longest, n)
                    if n > Self.maximumPlainMask { long.append((id, n)) }
                    masks[min(n, Self.maximumPlainMask + 1)][Int(id) >> 6] |= 1 << UInt64(id & 63)
                } else {
                    restIDs.append(id)
                }
            }
            for n in 1..<masks.count {
                for i in 0..<wordCount { masks[n][i] |= masks[n - 1][i] }
            }
            func isBefore(_ a: Int32, _ b: Int32) -> Bool {
                let (first, second) = (bytes(a), bytes(b))
                let common = min(first.count, second.count)
                for i in 0..<common where first[i] != second[i] { return first[i] < second[i] }
                return first.count != second.count ? first.count < second.count : a < b
            }
            plainIDs.sort(by: isBefore)
            restIDs.sort(by: isBefore)
        }
        plain = text.withUnsafeBufferPointer { text in
            TokenTree(plainIDs) { UnsafeBufferPointer(rebasing: text[Int(starts[Int($0)])..<Int(starts[Int($0) + 1])]) }
        }
        rest = text.withUnsafeBufferPointer { text in
            TokenTree(restIDs) { UnsafeBufferPointer(rebasing: text[Int(starts[Int($0)])..<Int(starts[Int($0) + 1])]) }
        }
        plainMasks = masks
        longestPlain = longest
        longPlain = long
        hasAllBytes = !seen.contains(false)
    }

    /// - Parameter endTokens: What ends a turn of this model, such as `<end_of_turn>` and `<eos>`.
    public convenience init(_ tokenizer: Tokenizer, endTokens: [Int32]) {
        var tokens: [[UInt8]?] = []
        tokens.reserveCapacity(tokenizer.vocabularySize)
        for id in 0..<Int32(truncatingIfNeeded: tokenizer.vocabularySize) {
            let isText = !tokenizer.isSpecial(id) && !Self.isPlaceholder(tokenizer.piece(id))
            tokens.append(isText ? tokenizer.bytes(of: id) : nil)
        }
        self.init(tokens: tokens, endTokens: endTokens)
    }

    private static func isPlaceholder(_ piece: String?) -> Bool {
        guard let piece else { return true }
        let bytes = Array(piece.utf8)
        if bytes.first == 0x3C {
            if piece == "<mask>" || piece == "<unk>" || piece == "<pad>" { return true }
            let prefix = Array("<unused".utf8)
            return bytes.starts(with: prefix) && bytes.last == 0x3E && bytes[prefix.count..<(bytes.count - 1)].allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
        }
        return bytes.first == 0x5B && piece == "[multimodal]"
    }

    /// The characters of a token that is plain inside a JSON string; nil if it is not.
    private static func plainCharacters(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        var characters = 0
        for byte in bytes {
            if byte < 0x20 || byte == 0x22 || byte == 0x5C { return nil }
            if byte & 0xC0 != 0x80 { characters += 1 }
        }
        return isValidUTF8(bytes) ? characters : nil
    }

    /// The bytes a token adds to a text; nil for ids that never are text.
    public func bytes(of id: Int32) -> ArraySlice<UInt8>? {
        guard id >= 0, id < count else { return nil }
        let range = Int(starts[Int(id)])..<Int(starts[Int(id) + 1])
        return range.isEmpty ? nil : text[range]
    }

    func isEnd(_ id: Int32) -> Bool { endTokens.contains(id) }
}
