package import Checkpoint
package import Tensors

/// A vocabulary as GGUF files hold it (`tokenizer.ggml.model` "llama"): pieces, scores and types by id.
///
/// - Source: `_create_vocab_sentencepiece` in llama.cpp's `conversion/base.py` (2026).
package struct GGUFVocabulary {
    /// GGUF's numbers, which are SentencePiece's.
    package enum Kind: Int32 {
        case normal = 1
        case unknown, control, userDefined, unused, byte
    }

    package private(set) var pieces: [[UInt8]]
    package private(set) var scores: [Float]
    package private(set) var kinds: [Kind]

    /// What a place without a piece has for a score; merging never gets there.
    private static let unusedScore: Float = -10_000
    private static let addedScore: Float = -1000

    /// The vocabulary of a tokenizer.
    ///
    /// - Parameters:
    ///   - tokenizer: The checkpoint's tokenizer.
    ///   - sentencePiece: Its `tokenizer.model`, if it has one: learned pieces then keep their scores. Without one, scores follow the
    ///     order of merges, which gives the same merging.
    ///   - count: Ids to fill: `vocab_size`. Ids without a piece become `[PAD…]`.
    ///   - specialTokens: Control tokens whose ids the configuration holds.
    package init(
        _ tokenizer: Tokenizer, sentencePiece: ByteRegion?, count: Int, specialTokens: [(content: String, id: Int32)]
    ) throws(CheckpointError) {
        pieces = (0..<count).map { Array("[PAD\($0)]".utf8) }
        scores = [Float](repeating: Self.unusedScore, count: count)
        kinds = [Kind](repeating: .unused, count: count)
        if let sentencePiece {
            try read(sentencePiece)
        } else {
            read(tokenizer)
        }
        for token in tokenizer.addedTokens { set(token.id, Array(token.content.utf8), isSpecial: token.isSpecial, unknown: tokenizer.unknownToken) }
        for (content, id) in specialTokens where id >= 0 && Int(id) < count && kinds[Int(id)] == .unused {
            set(id, Array(content.utf8), isSpecial: true, unknown: nil)
        }
    }

    private mutating func set(_ id: Int32, _ content: [UInt8], isSpecial: Bool, unknown: Int32?) {
        guard id >= 0, Int(id) < pieces.count else { return }
        let id = Int(id)
        if Int32(id) == unknown {
            kinds[id] = .unknown
        } else if isSpecial {
            kinds[id] = .control
        } else {
            kinds[id] = .userDefined
        }
        scores[id] = Self.addedScore
        // llama.cpp looks for user-defined pieces in the text before it replaces spaces.
        pieces[id] = kinds[id] == .userDefined ? Self.withSpaces(content) : content
    }

    /// Every U+2581 as a space.
    private static func withSpaces(_ text: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var i = 0
        while i < text.count {
            if text[i...].starts(with: [0xE2, 0x96, 0x81]) {
                result.append(0x20)
                i += 3
            } else {
                result.append(text[i])
                i += 1
            }
        }
        return result
    }

    private mutating func read(_ region: ByteRegion) throws(CheckpointError) {
        let file = "tokenizer.model"
        defer { withExtendedLifetime(region) {} }
        var message = ProtobufReader(region.bytes, file: file)
        var id = 0
        while let field = try message.next() {
            guard field.number == 1 else { continue }
            var parts = try field.message(file)
            var (piece, score, kind): ([UInt8], Float, Kind) = ([], 0, .normal)
            while let part = try parts.next() {
                switch part.number {
                case 1: piece = Array(part.bytes)
                case 2: score = Float(bitPattern: UInt32(truncatingIfNeeded: part.varint))
                case 3: kind = Kind(rawValue: Int32(truncatingIfNeeded: part.varint)) ?? .normal
                default: break
                }
            }
            if id < pieces.count {
                pieces[id] = kind == .userDefined ? Self.withSpaces(piece) : piece
                scores[id] = score
                kinds[id] = kind
            }
            id += 1
        }
    }

    private mutating func read(_ tokenizer: Tokenizer) {
        tokenizer.forEachPiece { (id, piece, rank) in
            guard id < pieces.count else { return }
            pieces[id] = Array(piece)
            if tokenizer.byte(Int32(truncatingIfNeeded: id)) != nil {
                kinds[id] = .byte
                scores[id] = 0
            } else {
                kinds[id] = .normal
                // Single characters come before any merge; what no merge makes comes after all of them.
                scores[id] = rank < 0 ? (piece.count <= 4 && isOneCharacter(piece) ? 0 : -1e9) : -Float(rank)
            }
        }
        if let unknown = tokenizer.unknownToken, Int(unknown) < kinds.count { kinds[Int(unknown)] = .unknown }
    }

    private func isOneCharacter(_ piece: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let base = piece.baseAddress else { return false }
        return utf8SequenceLength(base, available: piece.count) == piece.count
    }
}
