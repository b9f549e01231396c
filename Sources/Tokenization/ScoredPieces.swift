internal import Checkpoint

/// The pieces of a SentencePiece vocabulary with their scores, in order of ids: what `tokenizer.model` and GGUF files hold.
///
/// - Source: `GemmaConverter`, `generate_merges` in transformers 5.23.0.
struct ScoredPieces: ~Copyable {
    /// SentencePiece's numbers, and GGUF's.
    enum Kind: UInt8 {
        case normal = 1
        case unknown, control, userDefined, unused, byte
    }

    private let file: String
    private let vocabulary: Vocabulary
    /// By id.
    private var scores = GrowingMemory<Float>(capacity: 1 << 12)
    private var kinds = GrowingMemory<Kind>(capacity: 1 << 12)

    /// Pieces are shorter in bytes. All ways to cut a piece in two are looked up, which takes the square of its length.
    private static let maximumLength = 4096

    /// User-defined pieces that are control tokens all the same.
    private static let controlNames: Set<String> = [
        "<mask>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>", "<start_of_audio>",
        "<end_of_audio>", "<audio_soft_token>",
    ]

    /// - Parameter capacity: The pieces expected.
    init(capacity: Int, file: String) {
        self.file = file
        vocabulary = Vocabulary(capacity: min(capacity, Vocabulary.maximumID))
    }

    var count: Int { kinds.count }

    private func malformed(_ message: String) -> CheckpointError { CheckpointError(.malformedTokenizer, file: file, message) }

    /// Gives the next id its piece.
    @inline(__always)
    mutating func append(_ piece: UnsafeBufferPointer<UInt8>, score: Float, kind: Kind) throws(CheckpointError) {
        let id = kinds.count
        guard id < Vocabulary.maximumID, piece.count < Self.maximumLength else {
            throw CheckpointError(
                .unsupportedValue, file: file,
                "piece \(id) has \(piece.count) bytes; this version knows up to \(Vocabulary.maximumID) pieces of less than \(Self.maximumLength).")
        }
        guard isValidUTF8(piece) else { throw malformed("piece \(id) is not valid UTF-8.") }
        guard score.isFinite else { throw malformed("piece \(id) has the score \(score), expected a finite number.") }
        guard vocabulary.append(piece, id: id) else { throw malformed("the pieces together are too long.") }
        scores.append(score)
        kinds.append(kind)
    }

    /// Leaves the next id without a piece.
    mutating func skip() throws(CheckpointError) {
        guard kinds.count < Vocabulary.maximumID else { throw malformed("there are more than \(Vocabulary.maximumID) pieces.") }
        scores.append(0)
        kinds.append(.unused)
    }

    func score(_ id: Int) -> Float { scores[id] }
    func setScore(_ score: Float, id: Int) { scores[id] = score }
    func kind(_ id: Int) -> Kind { kinds[id] }
    func setKind(_ kind: Kind, id: Int) { kinds[id] = kind }
    func piece(_ id: Int) -> UnsafeBufferPointer<UInt8> { vocabulary.piece(id) }

    consuming func parts(specialTokens: [(content: String, id: Int32)]) throws(CheckpointError) -> TokenizerParts {
        // Older models have no tab; the reference puts it in the place of <0x09>.
        let vocabulary = try withTab()
        let appended = try append(specialTokens, to: vocabulary)
        if let twice = vocabulary.index() {
            throw malformed("two pieces are '\(String(decoding: vocabulary.piece(twice), as: UTF8.self))'.")
        }
        var added: [AddedToken] = []
        var unknown: Int32?
        var hasByteFallback = false
        for index in 0..<kinds.count {
            let kind = kinds[index]
            let id = Int32(truncatingIfNeeded: index)
            if kind == .byte { hasByteFallback = true }
            if kind == .unknown { unknown = id }
            guard kind == .unknown || kind == .control || kind == .userDefined else { continue }
            let content = String(decoding: vocabulary.piece(index), as: UTF8.self)
            if content.isEmpty { continue }
            added.append(AddedToken(id: id, content: content, isSpecial: kind != .userDefined || Self.controlNames.contains(content)))
        }
        added += appended
        return TokenizerParts(
            vocabulary: vocabulary, merges: try merges(vocabulary), addedTokens: added, byteFallback: hasByteFallback, unknown: unknown,
            fuseUnknown: true)
    }

    /// Puts tokens behind the pieces; those that are pieces already are left out.
    private func append(_ tokens: [(content: String, id: Int32)], to vocabulary: Vocabulary) throws(CheckpointError) -> [AddedToken] {
        var added: [AddedToken] = []
        for (content, id) in tokens {
            let bytes = Array(content.utf8)
            if (0..<kinds.count).contains(where: { vocabulary.piece($0).elementsEqual(bytes) }) { continue }
            guard id >= 0, Int(id) < Vocabulary.maximumID, bytes.withUnsafeBufferPointer({ vocabulary.append($0, id: Int(id)) }) else {
                throw malformed("the configuration gives '\(content)' the id \(id), which is a piece of the file or beyond \(Vocabulary.maximumID).")
            }
            added.append(AddedToken(id: id, content: content, isSpecial: true))
        }
        return added
    }

    /// The vocabulary, with a tab in the place of `<0x09>` if it has none of its own.
    private func withTab() throws(CheckpointError) -> Vocabulary {
        var place: Int?
        for id in 0..<kinds.count {
            let piece = vocabulary.piece(id)
            if piece.count == 1, piece[0] == 9 { return vocabulary }
            if piece.count == 6, piece.elementsEqual("<0x09>".utf8) { place = id }
        }
        guard let place else { return vocabulary }
        let result = Vocabulary(capacity: kinds.count)
        let tab: [UInt8] = [9]
        for id in 0..<kinds.count where vocabulary.contains(id) {
            let isAppended = id == place ? tab.withUnsafeBufferPointer { result.append($0, id: id) } : result.append(vocabulary.piece(id), id: id)
            if !isAppended { throw malformed("the pieces together are too long.") }
        }
        return result
    }

    // MARK: Merges

    /// Every way to cut a piece into two others, best score first; of one score the longer left part, then the longer right
    /// part (in characters), then the order of ids.
    private func merges(_ vocabulary: Vocabulary) throws(CheckpointError) -> MergeTable {
        let merges = MergeTable()
        var order = [Int32](0..<Int32(truncatingIfNeeded: kinds.count))
        order.sort { scores[Int($0)] != scores[Int($1)] ? scores[Int($0)] > scores[Int($1)] : $0 < $1 }
        var cuts: [Cut] = []
        var first = 0
        while first < order.count {
            // All pieces of one score. Learned pieces have one each, and their cuts are found in order.
            let score = scores[Int(order[first])]
            var end = first
            while end < order.count, scores[Int(order[end])] == score {
                appendCuts(of: order[end], vocabulary, to: &cuts)
                end += 1
            }
            if end - first > 1 {
                cuts.sort { a, b in
                    if a.leftLength != b.leftLength { return a.leftLength > b.leftLength }
                    if a.rightLength != b.rightLength { return a.rightLength > b.rightLength }
                    return a.piece < b.piece
                }
            }
            guard merges.count + cuts.count < MergeTable.maximumCount else {
                throw CheckpointError(
                    .unsupportedValue, file: file,
                    "the pieces give more than \(MergeTable.maximumCount) merges, and this version holds no more.")
            }
            for cut in cuts { merges.append(cut.left, cut.right, result: cut.piece, vocabulary) }
            cuts.removeAll(keepingCapacity: true)
            first = end
        }
        return merges
    }

    private struct Cut {
        let piece: Int32
        let left: Int32
        let right: Int32
        /// In characters.
        let leftLength: Int32
        let rightLength: Int32
    }

    /// The cuts of a piece into two others, longest left part first.
    @inline(__always)
    private func appendCuts(of id: Int32, _ vocabulary: Vocabulary, to cuts: inout [Cut]) {
        let piece = vocabulary.piece(Int(id))
        guard let base = piece.baseAddress else { return }
        var rightLength: Int32 = 0
        var length: Int32 = -1
        var start = piece.count - 1
        while start > 0 {
            if base[start] & 0xC0 != 0x80 {
                rightLength += 1
                let right = vocabulary.find(base + start, piece.count - start)
                if right >= 0 {
                    let left = vocabulary.find(base, start)
                    if left >= 0 {
                        if length < 0 { length = Int32(truncatingIfNeeded: piece.count { $0 & 0xC0 != 0x80 }) }
                        cuts.append(Cut(piece: id, left: left, right: right, leftLength: length - rightLength, rightLength: rightLength))
                    }
                }
            }
            start -= 1
        }
    }
}
