internal import Checkpoint
internal import Tensors

/// What the metadata and shapes of a GGUF file say, in the words of the Hugging Face checkpoint that it was made from.
///
/// llama.cpp's converter leaves out what llama.cpp itself takes for granted. What is not in the file has the value of the released
/// checkpoints: `rope_local_base_freq` 10 000 unless `rope.freq_base_swa` is there, `final_logit_softcapping` 30, `rms_norm_eps` of the
/// encoders 1e-6 (the files say 1e-5 for sound, which no Gemma 3n has), the front end of sound, 188 soft tokens for a clip.
///
/// Files that this project writes also carry the checkpoint's own JSON files (`gemma3n.huggingface.*`), which then count.
struct GGUFConfiguration {
    let config: JSONValue
    let generation: JSONValue?
    let preprocessor: JSONValue?
    let processor: JSONValue?
    /// Rows of the per-layer table that hold anything.
    let perLayerRows: Int
    let isMultimodal: Bool
    /// Control tokens for pictures and sound that the file may have left as padding.
    let mediaTokens: [(content: String, id: Int32)]

    /// - Throws: `unsupportedFormat` for another architecture, `missingKey`, `wrongType`, `missingTensor`.
    init(_ gguf: GGUFFile, projector: GGUFFile?) throws(CheckpointError) {
        try Self.checkArchitecture(gguf)
        let keys = GGUFKeys(gguf, prefix: "gemma3n.")
        let embedding = try keys.tensor("token_embd.weight")
        let table = try keys.tensor("per_layer_token_embd.weight")
        let vocabSize = embedding.shape.first ?? 0
        let embedded = try Self.embedded("config.json", gguf)

        let text: JSONValue
        if let embedded {
            let textConfig = embedded["text_config"] ?? embedded
            text = textConfig
            perLayerRows = min(textConfig["vocab_size_per_layer_input"]?.int ?? 262_144, table.shape.first ?? 0)
        } else {
            perLayerRows = Self.usedRows(table)
            text = try Self.text(keys, vocabSize: vocabSize, perLayerRows: perLayerRows)
        }

        let tokens = MediaTokenIDs(gguf, projector, textTokens: perLayerRows)
        // A file by itself is a text model, whatever it was cut out of.
        isMultimodal = projector != nil
        let endOfAnswer = Self.endOfAnswer(gguf, tokens)
        if let embedded, !isMultimodal || embedded["text_config"] != nil {
            config = isMultimodal ? embedded : Self.textOnly(embedded)
        } else {
            var members: [(String, JSONValue)] = []
            if let projector {
                members += [("model_type", "gemma3n"), ("text_config", text)]
                members += try GGUFProjector(projector).configuration(tokens)
            } else if case .object(let object) = text {
                members += [("model_type", "gemma3n_text")]
                members += object.members.map { ($0.key, $0.value) }
            }
            members.append(("eos_token_id", .array(endOfAnswer.map { .number(JSONNumber(Int($0))) })))
            config = JSONValue(members)
        }
        mediaTokens = tokens.unnamed
        generation = try Self.embedded("generation_config.json", gguf) ?? Self.generation(gguf, endOfAnswer)
        preprocessor = try Self.embedded("preprocessor_config.json", gguf)
        if let embeddedProcessor = try Self.embedded("processor_config.json", gguf) {
            processor = embeddedProcessor
        } else {
            processor = try projector.map { (projector) throws(CheckpointError) in try GGUFProjector(projector).processor() }
        }
    }

    private static func checkArchitecture(_ gguf: GGUFFile) throws(CheckpointError) {
        let architecture = gguf["general.architecture"]
        guard architecture?.string == "gemma3n" else {
            let found = architecture?.summary ?? "missing"
            let advice = architecture?.string == "clip" ? " Give the file of the language model, and this one with --mmproj." : ""
            throw CheckpointError(
                .unsupportedFormat, file: gguf.name, "general.architecture is \(found); this program runs \"gemma3n\".\(advice)")
        }
        if let count = gguf["split.count"]?.integer, count > 1 {
            throw CheckpointError(
                .unsupportedFormat, file: gguf.name,
                "the model is split over \(count) files; this version reads whole ones. Join them with llama.cpp's llama-gguf-split --merge.")
        }
    }

    /// A JSON file that the GGUF file carries.
    private static func embedded(_ name: String, _ gguf: GGUFFile) throws(CheckpointError) -> JSONValue? {
        guard let key = GGUFMetadata.embeddedFiles.first(where: { $0.file == name })?.key, let text = gguf[key]?.string else { return nil }
        return try JSONValue.parse(text, file: gguf.name)
    }

    private static func textOnly(_ config: JSONValue) -> JSONValue {
        guard let text = config["text_config"], case .object(let object) = text else { return config }
        var members = object.members.filter { $0.key != "model_type" && $0.key != "eos_token_id" }.map { ($0.key, $0.value) }
        members.append(("model_type", "gemma3n_text"))
        if let value = config["eos_token_id"] { members.append(("eos_token_id", value)) }
        return JSONValue(members)
    }

    // MARK: Text

    private static func text(_ keys: GGUFKeys, vocabSize: Int, perLayerRows: Int) throws(CheckpointError) -> JSONValue {
        let layers = try keys.integer("block_count")
        guard layers >= 1, layers <= 4096 else { throw keys.wrong("block_count", "1 to 4096") }
        let hiddenSize = try keys.integer("embedding_length")
        let headDim = try keys.integer("attention.key_length", default: 256)
        guard try keys.integer("attention.value_length", default: headDim) == headDim else {
            throw keys.wrong("attention.value_length", "\(headDim), as attention.key_length")
        }
        var members: [(String, JSONValue)] = [
            ("vocab_size", JSONValue(vocabSize)), ("vocab_size_per_layer_input", JSONValue(perLayerRows)), ("hidden_size", JSONValue(hiddenSize)),
            ("num_hidden_layers", JSONValue(layers)), ("head_dim", JSONValue(headDim)),
            ("num_attention_heads", JSONValue(try keys.integer("attention.head_count"))),
            ("num_key_value_heads", JSONValue(try keys.integer("attention.head_count_kv"))),
            ("hidden_size_per_layer_input", JSONValue(try keys.integer("embedding_length_per_layer_input", default: 256))),
            ("max_position_embeddings", JSONValue(try keys.integer("context_length", default: 32_768))),
            ("sliding_window", JSONValue(try keys.integer("attention.sliding_window", default: 512))),
            ("altup_num_inputs", JSONValue(try keys.integer("altup.num_inputs", default: 4))),
            ("altup_active_idx", JSONValue(try keys.integer("altup.active_idx", default: 0))),
            ("rms_norm_eps", JSONValue(try keys.double("attention.layer_norm_rms_epsilon", default: 1e-6))),
            ("rope_theta", JSONValue(try keys.double("rope.freq_base", default: 1_000_000))),
            ("rope_local_base_freq", JSONValue(try keys.double("rope.freq_base_swa", default: 10_000))),
            ("final_logit_softcapping", JSONValue(try keys.double("final_logit_softcapping", default: 30))),
            ("tie_word_embeddings", .bool(keys.gguf.tensor("output.weight") == nil)),
            ("altup_correct_scale", .bool(keys.gguf.tensor("blk.0.altup_correct_scale.weight") != nil)),
            // llama.cpp's file has no key for it, and llama.cpp always 64.
            ("laurel_rank", JSONValue(try keys.tensor("blk.0.laurel_l.weight").shape.first ?? 64)),
            // Files of before mid-2025 lack it; llama.cpp then gives the first 20 layers K/V of their own, as in both released models.
            ("num_kv_shared_layers", JSONValue(try keys.integer("attention.shared_kv_layers", default: max(0, layers - 20)))),
        ]
        if let type = keys.gguf["gemma3n.rope.scaling.type"]?.string, type != "none" {
            throw CheckpointError(
                .unsupportedValue, file: keys.gguf.name, "gemma3n.rope.scaling.type is \"\(type)\"; this version knows \"none\".")
        }
        let widths = try keys.integers("feed_forward_length", count: layers)
        members.append(("intermediate_size", .array(widths.map { JSONValue($0) })))
        let isSliding = try slidingPattern(keys, layers)
        members.append(("layer_types", .array(isSliding.map { $0 ? "sliding_attention" : "full_attention" })))
        if let scales = try keys.doubles("activation_sparsity_scale", count: layers) {
            members.append(("activation_sparsity_pattern", .array(scales.map { .number(JSONNumber(sparsity(standardDeviations: $0))) })))
        }
        return JSONValue(members)
    }

    /// True for layers with sliding attention: a list, or a period that ends with a layer of full attention.
    private static func slidingPattern(_ keys: GGUFKeys, _ layers: Int) throws(CheckpointError) -> [Bool] {
        let name = "attention.sliding_window_pattern"
        guard let value = keys.gguf["gemma3n." + name] else { return (0..<layers).map { ($0 + 1) % 5 != 0 } }
        if let period = value.integer, period > 0 { return (0..<layers).map { ($0 + 1) % period != 0 } }
        guard let pattern = value.bools ?? value.integers?.map({ $0 != 0 }), pattern.count == layers else {
            throw keys.wrong(name, "\(layers) booleans, one for each layer")
        }
        return pattern
    }

    /// The sparsity that a cutoff of so many standard deviations stands for: the inverse of `normalQuantile`.
    ///
    /// The file holds a rounded quantile of a number that people wrote, such as 0.95; of the numbers that fit, it is the one with
    /// few digits.
    static func sparsity(standardDeviations x: Double) -> Double {
        guard x.isFinite else { return x > 0 ? 1 : 0 }
        var (low, high) = (0.0, 1.0)
        for _ in 0..<64 {
            let middle = (low + high) / 2
            if middle <= low || middle >= high { break }
            if normalQuantile(middle) < x { low = middle } else { high = middle }
        }
        let written = (low * 1_000_000).rounded() / 1_000_000
        guard written > 0, written < 1 else { return low }
        let error = (normalQuantile(written) - x).magnitude
        return error <= 1e-6 * max(1, x.magnitude) ? written : low
    }

    /// Rows up to the last that is not zero: the converter fills the table up with zeros for the tokens of pictures and sound, which
    /// have no row of their own (they use row 0).
    static func usedRows(_ table: StoredTensor) -> Int {
        guard table.shape.count == 2, table.shape[0] > 0 else { return table.shape.first ?? 0 }
        let (rows, columns) = (table.shape[0], table.shape[1])
        var used = rows
        while used > 1, table.slice(rows: used - 1..<used, shape: [columns]).decoded().allSatisfy({ $0 == 0 }) { used -= 1 }
        return used
    }

    // MARK: Generation

    /// `eos`, `eot` and `eom` of the file, and `<end_of_turn>`, for which the converter writes no key.
    private static func endOfAnswer(_ gguf: GGUFFile, _ tokens: MediaTokenIDs) -> [Int32] {
        var ids: [Int32] = []
        let keys = ["eos_token_id", "eot_token_id", "eom_token_id"].map { gguf["tokenizer.ggml.\($0)"]?.integer }
        for id in keys + [tokens.endOfTurn] {
            if let id, let token = Int32(exactly: id), token >= 0, !ids.contains(token) { ids.append(token) }
        }
        return ids.isEmpty ? [1, 106] : ids
    }

    /// Nil if the file says nothing of sampling.
    private static func generation(_ gguf: GGUFFile, _ endOfAnswer: [Int32]) -> JSONValue? {
        var members: [(String, JSONValue)] = []
        for (key, name) in [
            ("temp", "temperature"), ("top_k", "top_k"), ("top_p", "top_p"), ("min_p", "min_p"), ("penalty_repeat", "repetition_penalty"),
        ] {
            if let value = gguf["general.sampling.\(key)"]?.double { members.append((name, JSONValue(shortest(value)))) }
        }
        guard !members.isEmpty else { return nil }
        let isGreedy = gguf["general.sampling.temp"]?.double == 0
        members.append(("do_sample", .bool(!isGreedy)))
        members.append(("eos_token_id", .array(endOfAnswer.map { JSONValue(Int($0)) })))
        for (key, name) in [("bos_token_id", "bos_token_id"), ("padding_token_id", "pad_token_id")] {
            if let id = gguf["tokenizer.ggml.\(key)"]?.integer { members.append((name, JSONValue(id))) }
        }
        return JSONValue(members)
    }

    /// A float32 as the short number it was written as.
    private static func shortest(_ value: Double) -> Double {
        let written = (value * 1_000_000).rounded() / 1_000_000
        return Float(written) == Float(value) ? written : value
    }
}

/// The ids of pictures' and sound's tokens: those that the vocabulary names, else where they lie behind the tokens of text.
struct MediaTokenIDs {
    private var ids: [String: Int] = [:]
    /// Ids for which the file has no piece.
    private let padding: Set<Int>
    let visionOffset: Int
    let audioOffset: Int
    var endOfTurn: Int? { ids["<end_of_turn>"] }

    private static let names = [
        "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>", "<start_of_audio>", "<end_of_audio>", "<audio_soft_token>",
    ]

    /// - Parameter textTokens: Tokens with a row of their own in the per-layer table; those of pictures and sound follow.
    init(_ gguf: GGUFFile, _ projector: GGUFFile?, textTokens: Int) {
        var found: [String: Int] = [:]
        var padding: Set<Int> = []
        var id = 0
        _ = gguf["tokenizer.ggml.tokens"]?.forEachString { (piece: UnsafeBufferPointer<UInt8>) in
            defer { id += 1 }
            if piece.starts(with: "[PAD".utf8) { padding.insert(id) }
            guard piece.count > 12, piece.count < 20, piece[0] == UInt8(ascii: "<") else { return }
            for name in Self.names where piece.elementsEqual(name.utf8) { found[name] = id }
        }
        ids = found
        self.padding = padding
        visionOffset = found["<end_of_image>"] ?? textTokens
        audioOffset = found["<end_of_audio>"] ?? visionOffset + (projector?.tensor("mm.embedding.weight")?.shape.first ?? 128)
        let assumed = [
            "<start_of_image>": 255_999, "<start_of_audio>": 256_000, "<end_of_image>": visionOffset, "<image_soft_token>": visionOffset + 1,
            "<end_of_audio>": audioOffset, "<audio_soft_token>": audioOffset + 1,
        ]
        for (name, id) in assumed where ids[name] == nil { ids[name] = id }
    }

    subscript(_ name: String) -> Int { ids[name] ?? 0 }

    /// Those whose places the file has filled up.
    var unnamed: [(content: String, id: Int32)] {
        Self.names.filter { padding.contains(self[$0]) }.map { ($0, Int32(truncatingIfNeeded: self[$0])) }
    }
}

/// Typed reading of the keys below one prefix.
struct GGUFKeys {
    let gguf: GGUFFile
    private let prefix: String

    init(_ gguf: GGUFFile, prefix: String) {
        self.gguf = gguf
        self.prefix = prefix
    }

    func wrong(_ key: String, _ expected: String) -> CheckpointError {
        guard let value = gguf[prefix + key] else {
            return CheckpointError(.missingKey, file: gguf.name, "there is no \(prefix)\(key), expected \(expected).")
        }
        return CheckpointError(.wrongType, file: gguf.name, "\(prefix)\(key) is \(value.summary), expected \(expected).")
    }

    /// - Parameter fallback: For a missing key; nil if the key must be there.
    func integer(_ key: String, default fallback: Int? = nil) throws(CheckpointError) -> Int {
        guard let value = gguf[prefix + key] else {
            guard let fallback else { throw wrong(key, "an integer") }
            return fallback
        }
        guard let number = value.integer else { throw wrong(key, "an integer") }
        return number
    }

    func double(_ key: String, default fallback: Double) throws(CheckpointError) -> Double {
        guard let value = gguf[prefix + key] else { return fallback }
        guard let number = value.double, number.isFinite else { throw wrong(key, "a number") }
        return number
    }

    /// One integer for all, or a list of `count`.
    func integers(_ key: String, count: Int) throws(CheckpointError) -> [Int] {
        if let number = gguf[prefix + key]?.integer { return [Int](repeating: number, count: count) }
        guard let list = gguf[prefix + key]?.integers, list.count == count else { throw wrong(key, "an integer, or a list of \(count)") }
        return list
    }

    /// A list of `count` numbers; nil if missing.
    func doubles(_ key: String, count: Int) throws(CheckpointError) -> [Double]? {
        guard let value = gguf[prefix + key] else { return nil }
        guard let list = value.doubles, list.count == count, !list.contains(where: { $0.isNaN }) else { throw wrong(key, "a list of \(count) numbers") }
        return list
    }

    func tensor(_ name: String) throws(CheckpointError) -> StoredTensor {
        guard let tensor = gguf.tensor(name) else {
            throw CheckpointError(.missingTensor, file: gguf.name, "tensor '\(name)' is missing. Is it the file of a whole Gemma 3n model?")
        }
        return tensor
    }
}

extension JSONValue {
    init(_ value: Int) { self = .number(JSONNumber(value)) }
    init(_ value: Double) { self = .number(JSONNumber(value)) }

    init(_ members: [(String, JSONValue)]) {
        self = .object(JSONObject(members.map { JSONObject.Member(key: $0.0, value: $0.1) }))
    }
}
