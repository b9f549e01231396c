public import Checkpoint

extension Tokenizer {
    /// The tokenizer in the metadata of a GGUF file (`tokenizer.ggml.*`), with the ids of the tokenizer it was made from.
    ///
    /// A file that carries the whole `tokenizer.json` (`tokenizer.huggingface.json`) is read from there.
    ///
    /// - Parameter specialTokens: As for `tokenizer.model`: control tokens that the file may have left as padding.
    /// - Throws: `missingKey`, `malformedTokenizer`; `unsupportedValue` for tokenizers that are not Gemma's kind.
    /// - Source: llama.cpp's `conversion/base.py` (`_create_vocab_sentencepiece`), undone.
    public convenience init(gguf: GGUFFile, specialTokens: [(content: String, id: Int32)] = []) throws(CheckpointError) {
        if let json = gguf["tokenizer.huggingface.json"]?.stringRegion {
            try self.init(json: json, file: gguf.name)
            return
        }
        try self.init(GGUFPieces(gguf).parts(specialTokens: specialTokens), file: gguf.name)
    }
}

private struct GGUFPieces: ~Copyable {
    private var pieces: ScoredPieces

    init(_ gguf: GGUFFile) throws(CheckpointError) {
        let file = gguf.name
        pieces = ScoredPieces(capacity: gguf["tokenizer.ggml.tokens"]?.count ?? 0, file: file)
        func malformed(_ message: String) -> CheckpointError { CheckpointError(.malformedTokenizer, file: file, message) }
        func unsupported(_ message: String) -> CheckpointError { CheckpointError(.unsupportedValue, file: file, message) }

        guard let model = gguf["tokenizer.ggml.model"] else {
            throw CheckpointError(.missingKey, file: file, "there is no tokenizer.ggml.model. Is it the file of a whole model?")
        }
        guard model.string == "llama" else {
            throw unsupported("tokenizer.ggml.model is \(model.summary); Gemma 3n's is \"llama\", a SentencePiece vocabulary with scores.")
        }
        for key in ["add_space_prefix", "remove_extra_whitespaces"] where gguf["tokenizer.ggml.\(key)"]?.bool == true {
            throw unsupported("tokenizer.ggml.\(key) is true; Gemma's tokenizers leave spaces alone, and this version cannot do otherwise.")
        }
        if let map = gguf["tokenizer.ggml.precompiled_charsmap"], map.count != 0 {
            throw unsupported("tokenizer.ggml.precompiled_charsmap is set; Gemma's tokenizers do not normalise characters, and this version cannot.")
        }
        guard let tokens = gguf["tokenizer.ggml.tokens"], tokens.arrayType == .string, let count = tokens.count, count > 0 else {
            throw malformed("there is no list of strings tokenizer.ggml.tokens. Is it the file of a whole model?")
        }
        guard let scores = gguf["tokenizer.ggml.scores"]?.doubles, scores.count == count,
            let types = gguf["tokenizer.ggml.token_type"]?.integers, types.count == count
        else {
            throw malformed("tokenizer.ggml.scores and tokenizer.ggml.token_type are no lists of \(count) numbers, one for each token.")
        }

        // Named by a key of its own: files made from a tokenizer.json call it a control token.
        let unknown = gguf["tokenizer.ggml.unknown_token_id"]?.integer ?? -1
        var id = 0
        var replaced: [UInt8] = []
        _ = try tokens.forEachString { (piece: UnsafeBufferPointer<UInt8>) throws(CheckpointError) in
            defer { id += 1 }
            let kind = id == unknown ? .unknown : ScoredPieces.Kind(rawValue: UInt8(clamping: types[id])) ?? .normal
            switch kind {
            case .normal: try pieces.append(piece, score: Float(scores[id]), kind: .normal)
            case .unused:
                // Ids without a piece are filled up.
                if piece.starts(with: "[PAD".utf8) { try pieces.skip() } else { try pieces.append(piece, score: Float(scores[id]), kind: .unused) }
            case .unknown, .byte: try pieces.append(piece, score: 0, kind: kind)
            case .control:
                // The converter takes some of the user-defined pieces for control tokens.
                try pieces.append(piece, score: 0, kind: Self.looksReserved(piece) ? .userDefined : .control)
            case .userDefined:
                // The converter writes the spaces of these as spaces.
                if piece.contains(0x20) {
                    replaced.removeAll(keepingCapacity: true)
                    for byte in piece { if byte == 0x20 { replaced += [0xE2, 0x96, 0x81] } else { replaced.append(byte) } }
                    try replaced.withUnsafeBufferPointer { (bytes: UnsafeBufferPointer<UInt8>) throws(CheckpointError) in
                        try pieces.append(bytes, score: 0, kind: .userDefined)
                    }
                } else {
                    try pieces.append(piece, score: 0, kind: .userDefined)
                }
            }
        }
        findUserDefined()
    }

    /// Without a list of added tokens beside it, `tokenizer.model` loses its user-defined pieces to the converter, which calls them
    /// normal. Their score tells: learned pieces have 0, -1, -2, …, all others 0.
    private func findUserDefined() {
        for id in 0..<pieces.count where pieces.kind(id) == .normal && pieces.score(id) == 0 {
            let isFirstLearned = id + 1 < pieces.count && pieces.kind(id + 1) == .normal && pieces.score(id + 1) < 0
            if !isFirstLearned { pieces.setKind(.userDefined, id: id) }
        }
    }

    /// Names that llama.cpp's converter takes for control tokens whatever the tokenizer says (`does_token_look_special`).
    private static func looksReserved(_ piece: UnsafeBufferPointer<UInt8>) -> Bool {
        if piece.starts(with: "<unused".utf8) && piece.last == UInt8(ascii: ">") { return true }
        return ["<2mass>", "[@BOS@]"].contains { piece.elementsEqual($0.utf8) }
    }

    consuming func parts(specialTokens: [(content: String, id: Int32)]) throws(CheckpointError) -> TokenizerParts {
        try pieces.parts(specialTokens: specialTokens)
    }
}
