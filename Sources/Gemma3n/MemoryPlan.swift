internal import Checkpoint
internal import Tensors

/// How a model is used within a given memory, computed from headers and configuration before any weight is read.
///
/// What costs least is given up first: room for rows of the per-layer table, the encoders between uses, the size of prefill
/// chunks; then keys and values in half precision, and in 8 bits only when nothing else fits the context asked for. Nothing of
/// this changes the answer but the format of keys and values.
public struct MemoryPlan: Sendable, Equatable {
    /// Tokens of context.
    public let contextLength: Int
    /// Tokens handled together during prefill.
    public let chunk: Int
    public let keyValues: KVFormat
    /// Most bytes of the per-layer table in memory.
    public let tableBudget: Int
    /// Whether the encoders' weights are given up after each use.
    public let releasesEncoders: Bool
    /// Most bytes of encoded media kept for feeding them again.
    public let softTokenBudget: Int
    /// What takes memory, in bytes, the largest first.
    public let parts: [Part]

    public struct Part: Sendable, Equatable {
        public let name: String
        public let byteCount: Int
    }

    /// Most bytes of memory that will be held at once.
    public var byteCount: Int { parts.reduce(0) { $0 + $1.byteCount } }
}

/// What decides how much memory a model takes.
package struct MemoryNeeds {
    let text: TextConfiguration
    /// Weights that every token reads, and those of the encoders.
    let textWeights: Int
    let visionWeights: Int
    let audioWeights: Int
    /// Pixels of a side of the pictures the vision tower takes; 0 without one.
    let imageSide: Int
    let isQuantized: Bool
    let threads: Int
    /// What the process holds already: code, libraries, tokenizer and headers.
    let held: Int

    /// - Parameters:
    ///   - encoders: As in `Gemma3nModel.init`.
    ///   - held: Memory of the process with `source` open; nil where the system does not tell.
    ///   - slice: The part of the model that will run; nil for all of it.
    package init(
        _ source: ModelSource, modalities: Modalities, encoders: EncoderPrecision? = nil, threads: Int, held: Int?, slice: ModelSlice? = nil
    ) {
        let c = source.configuration
        text = c.text
        self.threads = threads
        var (language, vision, audio) = (0, 0, 0)
        let (hasVision, hasAudio) = (modalities.contains(.image) && c.vision != nil, modalities.contains(.audio) && c.audio != nil)
        let isQuantized = source.weights.tensors.contains { name, tensor in
            tensor.format.isQuantized && name.split(separator: ".").contains { $0 == "q_proj" || $0 == "gate_proj" }
                && !name.utf8.starts(with: "model.audio_tower".utf8)
        }
        let precision = encoders ?? (isQuantized ? .fast : .exact)
        for (name, tensor) in source.weights.tensors {
            let parts = name.split(separator: ".")
            if parts.contains("vision_tower") {
                if hasVision { vision += EncoderCopies.byteCount(tensor, precision) }
            } else if parts.contains("embed_vision") {
                if hasVision { vision += tensor.byteCount }
            } else if parts.contains("audio_tower") {
                if hasAudio { audio += EncoderCopies.byteCount(tensor, precision) }
            } else if parts.contains("embed_audio") {
                if hasAudio { audio += tensor.byteCount }
            } else if !parts.contains("embed_tokens_per_layer"),
                !Gemma3nModel.isKnownUnused(name, firstSharedLayer: c.text.firstSharedLayer, hasVision: true, hasAudio: true)
                    || (name == "lm_head.weight" && !c.text.tieWordEmbeddings)
            {
                // Groups are brought into blocks of their format.
                let whole = tensor.layout == .groups ? tensor.format.byteCount(of: tensor.elementCount) : tensor.byteCount
                language += slice.map { Self.bytes(tensor, whole, parts, of: $0, c.text) } ?? whole
            }
        }
        (textWeights, visionWeights, audioWeights) = (language, vision, audio)
        imageSide = vision > 0 ? 768 : 0
        self.isQuantized = isQuantized
        // Without a word from the system: a program of this kind, and a vocabulary of the released size.
        self.held = held ?? (48 << 20) + 128 * c.text.vocabSize
    }

    /// Bytes of a text tensor that come into memory when a slice runs. What is copied into the kernels' order is copied whole.
    ///
    /// - Parameter whole: Bytes of all of it.
    private static func bytes(_ tensor: StoredTensor, _ whole: Int, _ parts: [Substring], of slice: ModelSlice, _ c: TextConfiguration) -> Int {
        if parts.contains("per_layer_model_projection") {
            return isUsedInPlace(tensor) ? whole / max(1, slice.widths.count) * slice.layers.count : whole
        }
        guard let at = parts.firstIndex(of: "layers"), at + 1 < parts.count, let layer = Int(parts[at + 1]), slice.widths.indices.contains(layer) else {
            return whole
        }
        let (width, full) = (slice.widths[layer], max(1, c.intermediateSize[layer]))
        let staysInRows = parts.contains("up_proj") && tensor.layout == .rows && c.activationSparsityPattern[layer] > 0
        guard isUsedInPlace(tensor) || (staysInRows && tensor.region.isFileMapping) else { return whole }
        if width == 0 { return 0 }
        if parts.contains("gate_proj") || parts.contains("up_proj") { return whole / full * width }
        guard parts.contains("down_proj") else { return whole }
        if tensor.layout == .units { return whole / full * width }
        // The system maps whole windows: what a cut leaves of a row, or of 16 interleaved ones, brings its neighbours with it.
        let rows = max(1, (tensor.shape.first ?? 1) / (tensor.layout == .panels ? 16 : 1))
        let stride = whole / rows
        return rows * min(stride, stride / full * width + 2 * ResidentRows.window)
    }

    private static func isUsedInPlace(_ tensor: StoredTensor) -> Bool {
        tensor.region.isFileMapping && tensor.layout != .groups && (!tensor.format.isQuantized || tensor.layout != .rows)
    }

    var defaultKVFormat: KVFormat { isQuantized ? .f16 : .f32 }

    private func keyValueBytes(_ contextLength: Int, _ chunk: Int, _ format: KVFormat) -> Int {
        let window = min(text.slidingWindow, contextLength)
        return (0..<text.firstSharedLayer).reduce(0) { sum, layer in
            sum + KVCache.byteCount(
                headCount: text.numKeyValueHeads, headDim: text.headDim, window: text.layerTypes[layer] == .sliding ? window : nil, chunk: chunk,
                contextLength: contextLength, format: format)
        }
    }

    /// Working memory, after the fields of `TextActivations`, `AttentionScores` and `TextDecoder`.
    private func activationBytes(_ chunk: Int) -> Int {
        let (d, f, n) = (text.hiddenSize, text.intermediateSize.max() ?? 1, text.headDim)
        let (queries, keys) = (text.numAttentionHeads * n, text.numKeyValueHeads * n)
        let streams = 2 * text.altupNumInputs * d + 4 * d
        let perLayer = (text.numHiddenLayers + 1) * text.hiddenSizePerLayerInput + text.laurelRank
        // Twice the feed-forward's width, and the units above the cutoff with their values; rotary tables.
        let perToken = 4 * (streams + perLayer + 2 * queries + 2 * keys + 4 * f + 2 * n)
        // Copies of products' inputs in 8 bits with their scales.
        let quantized = isQuantized ? 2 * (d + queries + max(text.laurelRank, text.hiddenSizePerLayerInput) + f) : 0
        let group = min(chunk, AttentionScores.blockRows) * text.queriesPerKVHead
        let attention = 6 * threads * (AttentionScores.roomSize(queries: group, headDim: n) + group * (2 + n))
        let partials = 6 * AttentionScores.partialLimit * text.numKeyValueHeads * AttentionScores.roomSize(queries: text.queriesPerKVHead, headDim: n)
        // Logits of the decoder and of the conversation, a sampler's candidates.
        let logits = (4 + 4 + 16) * text.vocabSize
        return chunk * (perToken + quantized) + max(attention, partials) + logits + threads * (256 << 10)
    }

    /// Feature maps of a picture or features of a clip while they are encoded, estimated.
    private var encoderScratch: Int {
        let maps = imageSide > 0 ? 6 * 64 * (imageSide / 2) * (imageSide / 2) * 4 : 0
        return max(maps, audioWeights > 0 ? 96 << 20 : 0)
    }

    private func plan(_ contextLength: Int, chunk: Int, _ format: KVFormat, table: Int, releases: Bool, media: Int) -> MemoryPlan {
        let keyValues = keyValueBytes(contextLength, chunk, format)
        let encoders = releases ? max(visionWeights, audioWeights) : visionWeights + audioWeights
        var parts: [MemoryPlan.Part] = [
            .init(name: "weights", byteCount: textWeights), .init(name: "keys and values", byteCount: keyValues),
            .init(name: "working memory", byteCount: activationBytes(chunk)), .init(name: "rows of the per-layer table", byteCount: table),
            .init(name: "program and tokenizer", byteCount: held),
        ]
        if encoders > 0 {
            parts.append(.init(name: "encoders", byteCount: encoders + encoderScratch))
            parts.append(.init(name: "encoded pictures and sounds", byteCount: media))
        }
        parts.sort { $0.byteCount > $1.byteCount }
        return MemoryPlan(
            contextLength: contextLength, chunk: min(chunk, contextLength), keyValues: format, tableBudget: table, releasesEncoders: releases,
            softTokenBudget: encoders > 0 ? media : 0, parts: parts)
    }

    /// Settings from the fastest to the smallest.
    private static let steps: [(chunk: Int, table: Int, releases: Bool, media: Int)] = [
        (128, 64 << 20, false, 64 << 20), (128, 32 << 20, true, 16 << 20), (64, 16 << 20, true, 8 << 20), (32, 8 << 20, true, 4 << 20),
        (16, 4 << 20, true, 0),
    ]

    /// The fastest plan within `limit` bytes, else the smallest one there is.
    ///
    /// - Parameters:
    ///   - contextLength: What was asked for; nil takes the longest up to `longest` that fits, at least 1024.
    ///   - keyValues: What was asked for; nil chooses.
    package func plan(limit: Int, contextLength: Int?, longest: Int, keyValues: KVFormat?) -> MemoryPlan {
        var contexts = [contextLength ?? longest]
        if contextLength == nil {
            while contexts[contexts.count - 1] > 1024 { contexts.append(max(1024, contexts[contexts.count - 1] / 2)) }
        }
        var formats = keyValues.map { [$0] } ?? (isQuantized ? [.f16] : [.f32, .f16])
        var smallest: MemoryPlan?
        for pass in 0..<2 {
            for context in contexts {
                for format in formats {
                    for step in Self.steps {
                        let plan = plan(context, chunk: step.chunk, format, table: step.table, releases: step.releases, media: step.media)
                        if plan.byteCount <= limit { return plan }
                        if plan.byteCount < smallest?.byteCount ?? .max { smallest = plan }
                    }
                }
            }
            // 8 bits only when all else failed.
            if pass == 0, keyValues == nil { formats = [.q8_0] } else { break }
        }
        return smallest ?? plan(contexts[0], chunk: 16, .q8_0, table: 4 << 20, releases: true, media: 0)
    }

    /// Why nothing fits in `limit` bytes, and what the smallest changes are that would.
    ///
    /// - Parameters:
    ///   - granted: Where the limit comes from: "were given", "the control group allows".
    ///   - smaller: A part of the model that could run instead.
    package func refusal(
        _ smallest: MemoryPlan, limit: Int, granted: String, contextLength: Int?, keyValues: KVFormat?, modalities: Modalities, name: String,
        smaller: (name: String, needs: MemoryNeeds)? = nil
    ) -> String {
        let parts = smallest.parts.prefix(3).map { "\($0.name) \(gigabytes($0.byteCount))" }.joined(separator: ", ")
        // To the next hundredth, so that what is said is enough.
        var ways = ["--memory \(gigabytes(smallest.byteCount))"]
        var shorter = smallest.contextLength
        while shorter > 256 {
            shorter = max(256, (shorter - 1) / 256 * 256)
            let plan = plan(limit: limit, contextLength: shorter, longest: shorter, keyValues: keyValues)
            if plan.byteCount <= limit {
                ways.append("--context \(shorter)")
                break
            }
        }
        if keyValues != nil, keyValues != .q8_0 {
            let plan = plan(limit: limit, contextLength: smallest.contextLength, longest: smallest.contextLength, keyValues: nil)
            if plan.byteCount <= limit { ways.append("--kv \(plan.keyValues.rawValue)") }
        }
        if visionWeights + audioWeights > 0 {
            let encoders = smallest.parts.first { $0.name == "encoders" }?.byteCount ?? 0
            if smallest.byteCount - encoders <= limit { ways.append("--modalities text") }
        }
        if let smaller, smaller.needs.plan(limit: limit, contextLength: contextLength, longest: smallest.contextLength, keyValues: keyValues).byteCount <= limit {
            ways.append("--size \(smaller.name)")
        }
        return
            "\(name) needs \(gigabytes(smallest.byteCount)) for a context of \(smallest.contextLength) tokens (\(parts), …), but \(granted) \(gigabytes(limit, roundingUp: false)). Give \(ways.joined(separator: " or "))."
    }
}

extension ModelSource {
    /// `TextModel.widthGrain`, before the weights are read.
    package var widthGrain: Int {
        weights.tensors.values.reduce(1) { grain, tensor in
            let parts = tensor.name.split(separator: ".")
            return parts.contains("layers") && parts.contains("mlp") && parts.contains("down_proj") ? max(grain, tensor.format.blockLength) : grain
        }
    }
}

/// Bytes in the words of `--memory`: "1.57GB".
package func gigabytes(_ bytes: Int, roundingUp: Bool = true) -> String {
    let unit = bytes >= 1_000_000_000 ? 10_000_000 : 1_000_000
    let count = roundingUp ? (bytes + unit - 1) / unit : bytes / unit
    if unit == 1_000_000 && count < 1000 { return "\(count)MB" }
    let hundredths = unit == 1_000_000 ? count / 10 : count
    let rest = hundredths % 100
    return rest == 0 ? "\(hundredths / 100)GB" : "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest % 10 == 0 ? rest / 10 : rest)GB"
}
