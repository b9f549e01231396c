internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost

/// What `inspect` shows.
struct Inspection {
    let model: Gemma3nLanguageModel
    let counts: ParameterCounts
    /// Tensors and bytes of each weight file.
    private let weightFiles: [(name: String, tensors: Int, bytes: Int)]
    /// Tensors and bytes of each element type.
    private let formats: [(name: String, tensors: Int, bytes: Int)]
    private let memory: MemoryEstimate

    init(_ model: Gemma3nLanguageModel) throws(CheckpointError) {
        self.model = model
        let tensors = model.model.tensors
        counts = ParameterCounts(tensors.map { ($0.name, $0.elementCount) }, used: model.model.usedTensors)
        func group(_ key: (StoredTensor) -> String) -> [(name: String, tensors: Int, bytes: Int)] {
            var groups: [String: (Int, Int)] = [:]
            for tensor in tensors {
                let (count, bytes) = groups[key(tensor)] ?? (0, 0)
                groups[key(tensor)] = (count + 1, bytes + tensor.byteCount)
            }
            return groups.sorted { $0.key < $1.key }.map { ($0.key, $0.value.0, $0.value.1) }
        }
        weightFiles = group { $0.file }
        formats = group { "\($0.format)".uppercased() }
        memory = MemoryEstimate(model)
    }

    // MARK: For people

    var text: String {
        let c = model.model.configuration
        let t = c.text
        var lines: [(String, String)] = []
        func add(_ key: String, _ value: String) { lines.append((key, value)) }
        add("model", model.files.name)
        add("layout", c.layout == .multimodal ? "multimodal" : "text only")
        add("takes", modalities.joined(separator: ", "))
        add("layers", "\(t.numHiddenLayers): \(layerPattern)")
        add("KV sharing", t.numKVSharedLayers == 0 ? "none" : "layers \(t.firstSharedLayer) to \(t.numHiddenLayers - 1) use the K/V of layers below")
        add("hidden size", "\(t.hiddenSize), per-layer input \(t.hiddenSizePerLayerInput)")
        add("feed-forward", runs(t.intermediateSize.map { "\($0)" }))
        add("sparsity", runs(t.activationSparsityPattern.map { "\($0)" }))
        add("attention", "\(t.numAttentionHeads) heads over \(t.numKeyValueHeads) key/value heads of \(t.headDim), window \(t.slidingWindow)")
        add("AltUp, LAuReL", "\(t.altupNumInputs) streams, rank \(t.laurelRank)")
        add("vocabulary", "\(t.vocabSize), \(t.vocabSizePerLayerInput) with per-layer rows")
        add("context", "\(t.maxPositionEmbeddings) tokens")
        if model.model.vision != nil { add("image", "\(c.visionSoftTokensPerImage) tokens") }
        if model.model.audio != nil { add("audio clip", "\(c.audioSoftTokensPerClip) tokens") }
        var text = table(lines)

        text += "\nparameters\n"
        var rows = ParameterCounts.Part.allCases.filter { counts[$0] > 0 }.map { ($0.title, grouped(counts[$0])) }
        rows.append(("language model with its tables", grouped(counts.text)))
        if counts.unused > 0 { rows.append(("of it in the files but unused", grouped(counts.unused))) }
        rows.append(("effective", grouped(counts.effective)))
        rows.append(("total", grouped(counts.total)))
        text += aligned(rows)

        text += "\nfiles\n" + aligned(weightFiles.map { ($0.name, "\(bytes($0.bytes)), \($0.tensors) tensors") })
        text += "\nelement types\n" + aligned(formats.map { ($0.name, "\(bytes($0.bytes)), \($0.tensors) tensors") })
        text += "\nmemory\n"
        text += aligned([
            ("weights read for every token", bytes(memory.residentWeights)), ("weights of encoders", bytes(memory.encoderWeights)),
            ("per-layer table, read row by row", bytes(memory.perLayerTable)),
            ("K/V cache of a full context (\(model.contextLength) tokens)", bytes(memory.fullCache)),
            ("estimate, full context, without the table", bytes(memory.total)),
        ])
        text += "\nsizes\n"
        text += aligned(model.sizes.map { ($0.name, "\(grouped($0.effectiveParameters)) effective, \(bytes($0.bytesPerToken)) read for a token") })
        return text
    }

    private var modalities: [String] {
        var names = ["text"]
        if model.model.modalities.contains(.image) { names.append("image") }
        if model.model.modalities.contains(.audio) { names.append("audio") }
        return names
    }

    private var layerPattern: String {
        let types = model.model.configuration.text.layerTypes
        let full = types.indices.filter { types[$0] == .full }
        return "sliding attention, full at \(full.map { "\($0)" }.joined(separator: ", "))"
    }

    /// Equal neighbours written once: `8192 x 30`.
    private func runs(_ values: [String]) -> String {
        var result: [(String, Int)] = []
        for value in values {
            if result.last?.0 == value { result[result.count - 1].1 += 1 } else { result.append((value, 1)) }
        }
        return result.map { $0.1 == 1 ? $0.0 : "\($0.0) x \($0.1)" }.joined(separator: ", ")
    }

    private func table(_ rows: [(String, String)]) -> String {
        let width = rows.map(\.0.count).max() ?? 0
        return rows.map { "\($0.0)\(String(repeating: " ", count: width - $0.0.count + 2))\($0.1)\n" }.joined()
    }

    private func aligned(_ rows: [(String, String)]) -> String {
        let left = rows.map(\.0.count).max() ?? 0
        let right = rows.map(\.1.count).max() ?? 0
        return rows.map { "  \($0.0)\(String(repeating: " ", count: left - $0.0.count + 2))\(padded($0.1, right))\n" }.joined()
    }

    private func grouped(_ value: Int) -> String {
        var digits = Array("\(value)")
        var place = digits.count - 3
        while place > 0 {
            digits.insert(" ", at: place)
            place -= 3
        }
        return String(digits)
    }

    private func bytes(_ value: Int) -> String {
        value >= 1 << 30 ? "\(fixed(Double(value) / 0x1p30, 2)) GiB" : value >= 1 << 20 ? "\(fixed(Double(value) / 0x1p20, 1)) MiB" : "\(fixed(Double(value) / 1024, 1)) KiB"
    }

    // MARK: For programs

    var json: JSONValue {
        let c = model.model.configuration
        let t = c.text
        func number(_ value: Int) -> JSONValue { .number(JSONNumber(value)) }
        func groups(_ list: [(name: String, tensors: Int, bytes: Int)]) -> JSONValue {
            .array(list.map { ["name": .string($0.name), "tensors": number($0.tensors), "bytes": number($0.bytes)] })
        }
        var parameters = ParameterCounts.Part.allCases.filter { counts[$0] > 0 }.map {
            JSONObject.Member(key: $0.rawValue, value: number(counts[$0]))
        }
        parameters += [
            .init(key: "language_model_with_tables", value: number(counts.text)), .init(key: "unused", value: number(counts.unused)),
            .init(key: "effective", value: number(counts.effective)), .init(key: "total", value: number(counts.total)),
        ]
        return [
            "model": .string(model.files.name),
            "architecture": [
                "layout": c.layout == .multimodal ? "multimodal" : "text_only",
                "modalities": .array(modalities.map { .string($0) }),
                "num_hidden_layers": number(t.numHiddenLayers),
                "layer_types": .array(t.layerTypes.map { $0 == .full ? "full_attention" : "sliding_attention" }),
                "first_shared_layer": number(t.firstSharedLayer), "num_kv_shared_layers": number(t.numKVSharedLayers),
                "hidden_size": number(t.hiddenSize), "hidden_size_per_layer_input": number(t.hiddenSizePerLayerInput),
                "intermediate_size": .array(t.intermediateSize.map(number)),
                "activation_sparsity_pattern": .array(t.activationSparsityPattern.map { .number(JSONNumber($0)) }),
                "num_attention_heads": number(t.numAttentionHeads), "num_key_value_heads": number(t.numKeyValueHeads),
                "head_dim": number(t.headDim), "sliding_window": number(t.slidingWindow),
                "altup_num_inputs": number(t.altupNumInputs), "laurel_rank": number(t.laurelRank),
                "vocab_size": number(t.vocabSize), "vocab_size_per_layer_input": number(t.vocabSizePerLayerInput),
                "max_position_embeddings": number(t.maxPositionEmbeddings),
                "vision_soft_tokens_per_image": number(c.visionSoftTokensPerImage),
                "audio_soft_tokens_per_clip": number(c.audioSoftTokensPerClip),
            ],
            "parameters": .object(JSONObject(parameters)),
            "files": groups(weightFiles), "formats": groups(formats),
            "memory": [
                "resident_weight_bytes": number(memory.residentWeights), "encoder_weight_bytes": number(memory.encoderWeights),
                "per_layer_table_bytes": number(memory.perLayerTable), "context_length": number(model.contextLength),
                "kv_cache_bytes": number(memory.fullCache), "estimated_total_bytes": number(memory.total),
            ],
            "sizes": .array(
                model.sizes.map { candidate in
                    .object(
                        JSONObject(
                            [
                                .init(key: "name", value: .string(candidate.name)), .init(key: "effective_parameters", value: number(candidate.effectiveParameters)),
                                .init(key: "bytes_per_token", value: number(candidate.bytesPerToken)),
                            ] + (candidate.slice.json.object?.members ?? [])))
                }),
            "warnings": .array(model.warnings.map { .string($0) }),
        ]
    }
}

/// Bytes a model needs when it runs.
struct MemoryEstimate {
    /// Weights of the language model that every token reads, in their stored format.
    let residentWeights: Int
    let encoderWeights: Int
    /// The per-layer embedding table: stays on disk but for the rows of tokens seen.
    let perLayerTable: Int
    /// Keys and values of a full context.
    let fullCache: Int

    var total: Int { residentWeights + encoderWeights + fullCache }

    init(_ model: Gemma3nLanguageModel) {
        var (resident, encoders, table) = (0, 0, 0)
        for tensor in model.model.tensors where model.model.usedTensors.contains(tensor.name) {
            switch ParameterCounts.Part(tensor: tensor.name) {
            case .perLayerEmbedding: table += tensor.byteCount
            case .visionTower, .audioTower, .visionEmbedder, .audioEmbedder: encoders += tensor.byteCount
            default: resident += tensor.byteCount
            }
        }
        (residentWeights, encoderWeights, perLayerTable) = (resident, encoders, table)
        let t = model.model.configuration.text
        let perPosition = 2 * t.numKeyValueHeads * t.headDim * MemoryLayout<Float>.size
        fullCache = t.layerTypes[..<t.firstSharedLayer].reduce(0) { sum, kind in
            sum + perPosition * (kind == .full ? model.contextLength : min(model.contextLength, t.slidingWindow - 1 + 128))
        }
    }
}
