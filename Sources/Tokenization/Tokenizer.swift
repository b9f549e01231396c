internal import Checkpoint

/// Text to token ids and back, as the checkpoint's tokenizer does it: byte-pair merging with byte fallback over the whole text
/// between added tokens. There is no pre-tokenization into words.
///
/// - Source: `tokenizer.json` as read by `tokenizers` 0.23; `GemmaConverter` in transformers 5.23.0 for `tokenizer.model`.
public final class Tokenizer: Sendable {
    /// Tokens cut out of the text before merging.
    public let addedTokens: [AddedToken]
    public let bosToken: Int32?
    nonisolated(unsafe) private let vocabulary: Vocabulary
    nonisolated(unsafe) private let encoder: BytePairEncoder
    nonisolated(unsafe) private let matcher: AddedTokenMatcher
    nonisolated(unsafe) private let special: IDSet
    /// The byte of an id `<0xHH>`.
    private let bytesByID: [Int32: UInt8]

    /// What `tokenizer.json` or `tokenizer.model` says, checked.
    init(_ parts: TokenizerParts, file: String) throws(CheckpointError) {
        var byteTokens: [Int32] = []
        var bytesByID: [Int32: UInt8] = [:]
        if parts.byteFallback {
            for byte in 0...255 {
                let digits = Array("0123456789ABCDEF".utf8)
                let name = Array("<0x".utf8) + [digits[byte >> 4], digits[byte & 15]] + Array(">".utf8)
                let named = parts.vocabulary.id(name)
                // Older conversions put the tab itself in the place of <0x09>.
                guard let id = named ?? parts.vocabulary.id([UInt8(byte)]) else {
                    throw CheckpointError(
                        .malformedTokenizer, file: file,
                        "byte_fallback is on, but the vocabulary has no piece \(String(decoding: name, as: UTF8.self)).")
                }
                byteTokens.append(Int32(truncatingIfNeeded: id))
                if named != nil { bytesByID[Int32(truncatingIfNeeded: id)] = UInt8(byte) }
            }
        }
        let special = IDSet(count: parts.vocabulary.count)
        for token in parts.addedTokens where token.isSpecial { special.insert(token.id) }
        parts.merges.index { special.contains($0) }
        vocabulary = parts.vocabulary
        addedTokens = parts.addedTokens
        matcher = AddedTokenMatcher(parts.addedTokens)
        self.special = special
        self.bytesByID = bytesByID
        encoder = BytePairEncoder(
            vocabulary: parts.vocabulary, merges: parts.merges, byteTokens: byteTokens, unknown: parts.unknown,
            fuseUnknown: parts.fuseUnknown, special: special)
        bosToken = Self.id(of: "<bos>", parts.vocabulary, parts.addedTokens)
    }

    /// Bytes of text that a token stands for at most; nil where one may stand for any number of unknown characters.
    ///
    /// - Complexity: O(n) in the size of the vocabulary.
    public var longestTokenByteCount: Int? {
        if bytesByID.isEmpty { return nil }
        let pieces = (0..<vocabulary.count).reduce(1) { max($0, vocabulary.piece($1).count) }
        return addedTokens.reduce(pieces) { max($0, $1.content.utf8.count) }
    }

    /// Ids are below this; not every id below it has a piece.
    public var vocabularySize: Int { vocabulary.count }

    /// The id of a piece or added token written exactly so; nil if there is none.
    public func id(of piece: String) -> Int32? { Self.id(of: piece, vocabulary, addedTokens) }

    private static func id(of piece: String, _ vocabulary: Vocabulary, _ added: [AddedToken]) -> Int32? {
        if let id = vocabulary.id(piece) { return Int32(truncatingIfNeeded: id) }
        return added.first { $0.content.utf8.elementsEqual(piece.utf8) }?.id
    }

    public func isSpecial(_ id: Int32) -> Bool { special.contains(id) }

    // MARK: Encoding

    /// A part of a text with its own rule for control tokens.
    public struct Segment: Sendable, Equatable {
        public var text: String
        /// Whether special tokens written in the text become control tokens, or stay plain text.
        public var recognizesSpecialTokens: Bool

        public init(_ text: String, recognizesSpecialTokens: Bool = true) {
            self.text = text
            self.recognizesSpecialTokens = recognizesSpecialTokens
        }
    }

    /// - Parameters:
    ///   - addBOS: Puts the beginning-of-sequence id in front, if the vocabulary has one.
    ///   - recognizesSpecialTokens: Whether special tokens written in the text become control tokens.
    /// - Complexity: O(n log n) in the bytes of the longest stretch between added tokens.
    public func encode(_ text: String, addBOS: Bool = false, recognizesSpecialTokens: Bool = true) -> [Int32] {
        encode([Segment(text, recognizesSpecialTokens: recognizesSpecialTokens)], addBOS: addBOS)
    }

    /// Encodes the joined text of all segments as one: merges and ordinary added tokens cross their boundaries, special
    /// tokens lie inside one segment that recognises them.
    public func encode(_ segments: [Segment], addBOS: Bool = false) -> [Int32] {
        var bytes: [UInt8] = []
        /// Ends of the segments, and whether each recognises special tokens.
        var ends: [(end: Int, recognizes: Bool)] = []
        for segment in segments {
            bytes += segment.text.utf8
            ends.append((bytes.count, segment.recognizesSpecialTokens))
        }
        var ids: [Int32] = []
        ids.reserveCapacity(bytes.count / 3 + 2)
        if addBOS, let bosToken { ids.append(bosToken) }
        var work = BytePairEncoder.Workspace()
        bytes.withUnsafeBufferPointer { text in
            var plain = 0
            var i = 0
            var segment = 0
            while i < text.count {
                if !matcher.mayBegin(text[i]) {
                    i += 1
                    continue
                }
                while segment < ends.count, ends[segment].end <= i { segment += 1 }
                let (end, recognizes) = ends[segment]
                let start = i
                let match = matcher.match(text, at: i) { token in
                    !token.isSpecial || (recognizes && start + token.content.utf8.count <= end)
                }
                if let match {
                    encoder.encode(UnsafeBufferPointer(rebasing: text[plain..<i]), into: &ids, &work)
                    ids.append(match.token.id)
                    i += match.length
                    plain = i
                } else {
                    i += 1
                }
            }
            encoder.encode(UnsafeBufferPointer(rebasing: text[plain...]), into: &ids, &work)
        }
        return ids
    }

    // MARK: Decoding

    /// The text of ids; ids without a piece give nothing. A run of byte tokens that is not valid UTF-8 as a whole gives one
    /// U+FFFD for each of its bytes.
    public func decode(_ ids: [Int32], skipSpecialTokens: Bool = true) -> String {
        var text: [UInt8] = []
        var run: [UInt8] = []
        func endRun() {
            if run.isEmpty { return }
            text += StreamingDecoder.decode(run).utf8
            run = []
        }
        for id in ids where !(skipSpecialTokens && isSpecial(id)) {
            if let byte = byte(id) {
                run.append(byte)
            } else {
                endRun()
                appendText(id, to: &text)
            }
        }
        endRun()
        return String(decoding: text, as: UTF8.self)
    }

    /// The byte that an id `<0xHH>` stands for; nil for every other id.
    public func byte(_ id: Int32) -> UInt8? { bytesByID[id] }

    /// The text of one id that is not a byte: its piece with every U+2581 as a space. Empty if it has no piece.
    public func text(_ id: Int32) -> String {
        let piece = vocabulary.piece(Int(id))
        return String(unsafeUninitializedCapacity: piece.count) { buffer in
            var count = 0
            Self.forEachByte(of: piece) { byte in
                buffer[count] = byte
                count += 1
            }
            return count
        }
    }

    /// The bytes an id adds to a text.
    public func bytes(of id: Int32) -> [UInt8] {
        if let byte = byte(id) { return [byte] }
        var result: [UInt8] = []
        appendText(id, to: &result)
        return result
    }

    private func appendText(_ id: Int32, to text: inout [UInt8]) { Self.forEachByte(of: vocabulary.piece(Int(id))) { text.append($0) } }

    /// The bytes of a piece's text: U+2581 is a space.
    @inline(__always)
    private static func forEachByte(of piece: UnsafeBufferPointer<UInt8>, _ body: (UInt8) -> Void) {
        var i = 0
        while i < piece.count {
            if piece[i] == 0xE2, i + 2 < piece.count, piece[i + 1] == 0x96, piece[i + 2] == 0x81 {
                body(0x20)
                i += 3
            } else {
                body(piece[i])
                i += 1
            }
        }
    }

    /// The piece of an id as the vocabulary spells it; nil if it has none.
    public func piece(_ id: Int32) -> String? {
        vocabulary.contains(Int(id)) ? String(decoding: vocabulary.piece(Int(id)), as: UTF8.self) : nil
    }

    // MARK: Handing on

    /// What characters outside the vocabulary become, if bytes do not stand for them.
    package var unknownToken: Int32? { encoder.unknown }

    /// Calls `body` with every piece in order of ids, and the rank of the first merge that makes it, -1 if none does.
    func forEachPiece(_ body: (_ id: Int, _ piece: UnsafeBufferPointer<UInt8>, _ rank: Int) -> Void) {
        var ranks = [Int32](repeating: -1, count: vocabulary.count)
        for rank in stride(from: encoder.merges.count - 1, through: 0, by: -1) {
            let result = encoder.merges.result(ofRank: rank)
            if result >= 0 { ranks[Int(result)] = Int32(truncatingIfNeeded: rank) }
        }
        for id in 0..<vocabulary.count where vocabulary.contains(id) { body(id, vocabulary.piece(id), Int(ranks[id])) }
    }
}

/// What a tokenizer file holds.
struct TokenizerParts {
    /// Indexed; tokens that are in the list of added tokens only have an id, but are not found.
    var vocabulary: Vocabulary
    /// Not indexed yet.
    var merges: MergeTable
    var addedTokens: [AddedToken]
    var byteFallback: Bool
    var unknown: Int32?
    var fuseUnknown: Bool
}

/// A set of ids, one bit each.
final class IDSet {
    private let words: GrowingMemory<UInt64>
    private let count: Int

    /// - Parameter count: Ids are below this.
    init(count: Int) {
        self.count = count
        words = GrowingMemory(repeating: 0, count: count / 64 + 1)
    }

    /// - Precondition: `0 <= id < count`.
    func insert(_ id: Int32) {
        precondition(id >= 0 && id < count, "an id beyond the vocabulary")
        words[Int(id) >> 6] |= 1 << UInt64(id & 63)
    }

    @inline(__always)
    func contains(_ id: Int32) -> Bool { id >= 0 && id < count && words[Int(id) >> 6] >> UInt64(id & 63) & 1 != 0 }
}
