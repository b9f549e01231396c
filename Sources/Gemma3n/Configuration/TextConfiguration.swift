public import Checkpoint

/// Which tokens a layer attends to.
public enum AttentionKind: Sendable, Equatable {
    /// The last `sliding_window` tokens, itself included.
    case sliding
    /// All tokens up to itself.
    case full
}

/// `text_config` of `config.json`, with the reference's defaults for missing keys.
public struct TextConfiguration: Sendable, Equatable {
    public var vocabSize = 262_400
    public var vocabSizePerLayerInput = 262_144
    public var hiddenSize = 2048
    public var hiddenSizePerLayerInput = 256
    /// Feed-forward width of every layer.
    public var intermediateSize: [Int]
    public var numHiddenLayers = 35
    public var numAttentionHeads = 8
    public var numKeyValueHeads = 2
    public var headDim = 256
    public var numKVSharedLayers = 15
    public var layerTypes: [AttentionKind]
    public var slidingWindow = 512
    public var maxPositionEmbeddings = 32_768
    /// RoPE base of full and of sliding layers.
    public var ropeThetaFull = 1_000_000.0
    public var ropeThetaSliding = 10_000.0
    public var rmsNormEps: Float = 1e-6
    public var finalLogitSoftcapping: Float? = 30
    public var altupNumInputs = 4
    public var altupActiveIdx = 0
    public var altupCorrectScale = true
    public var laurelRank = 64
    /// Fraction of feed-forward units the statistical cutoff aims to remove, per layer; 0 means no cutoff.
    public var activationSparsityPattern: [Double]
    public var tieWordEmbeddings = true

    /// The first layer without K/V of its own; `numHiddenLayers` if none shares.
    public var firstSharedLayer: Int { numHiddenLayers - numKVSharedLayers }
    public var queriesPerKVHead: Int { numAttentionHeads / numKeyValueHeads }

    /// The layer whose K/V `layer` attends to: itself, or the last layer of its kind below `firstSharedLayer`.
    public func keyValueSource(of layer: Int) -> Int {
        if layer < firstSharedLayer { return layer }
        return layerTypes[..<firstSharedLayer].lastIndex(of: layerTypes[layer]) ?? layer
    }

    /// Parses `text_config` (or the top level of a text-only export).
    ///
    /// - Throws: `wrongType`, `unsupportedValue` with the key's name.
    public init(_ json: JSONValue, file: String = "config.json") throws(CheckpointError) {
        let keys = ConfigurationKeys(json, file: file)
        vocabSize = try keys.positive("vocab_size", default: vocabSize)
        vocabSizePerLayerInput = try keys.positive("vocab_size_per_layer_input", default: vocabSizePerLayerInput)
        hiddenSize = try keys.positive("hidden_size", default: hiddenSize)
        hiddenSizePerLayerInput = try keys.positive("hidden_size_per_layer_input", default: hiddenSizePerLayerInput)
        numHiddenLayers = try keys.positive("num_hidden_layers", default: numHiddenLayers, limit: 4096)
        numAttentionHeads = try keys.positive("num_attention_heads", default: numAttentionHeads)
        numKeyValueHeads = try keys.positive("num_key_value_heads", default: numKeyValueHeads)
        headDim = try keys.positive("head_dim", default: headDim)
        numKVSharedLayers = try keys.integer("num_kv_shared_layers", default: numKVSharedLayers, in: 0...numHiddenLayers)
        slidingWindow = try keys.positive("sliding_window", default: slidingWindow)
        maxPositionEmbeddings = try keys.positive("max_position_embeddings", default: maxPositionEmbeddings, limit: 1 << 24)
        rmsNormEps = try keys.float("rms_norm_eps", default: rmsNormEps)
        altupNumInputs = try keys.integer("altup_num_inputs", default: altupNumInputs, in: 1...16)
        altupActiveIdx = try keys.integer("altup_active_idx", default: altupActiveIdx, in: 0...altupNumInputs - 1)
        altupCorrectScale = try keys.bool("altup_correct_scale", default: altupCorrectScale)
        laurelRank = try keys.positive("laurel_rank", default: laurelRank)
        tieWordEmbeddings = try keys.bool("tie_word_embeddings", default: tieWordEmbeddings)
        if keys.isNull("final_logit_softcapping") {
            finalLogitSoftcapping = nil
        } else {
            finalLogitSoftcapping = try keys.float("final_logit_softcapping", default: 30)
        }

        let layers = numHiddenLayers
        intermediateSize = try keys.integers("intermediate_size", count: layers, default: 16_384)

        if let names = try keys.strings("layer_types", count: layers) {
            var kinds: [AttentionKind] = []
            for (index, name) in names.enumerated() {
                switch name {
                case "sliding_attention": kinds.append(.sliding)
                case "full_attention": kinds.append(.full)
                default:
                    throw CheckpointError(
                        .unsupportedValue, file: file,
                        "layer_types[\(index)] is \"\(name)\"; this version knows \"sliding_attention\" and \"full_attention\".")
                }
            }
            layerTypes = kinds
        } else {
            layerTypes = (0..<layers).map { ($0 + 1) % 5 == 0 ? .full : .sliding }
        }

        if let pattern = try keys.doubles("activation_sparsity_pattern", count: layers) {
            activationSparsityPattern = pattern
        } else {
            activationSparsityPattern = (0..<layers).map { layers > 10 && $0 < 10 ? 0.95 : 0 }
        }
        for (index, sparsity) in activationSparsityPattern.enumerated() where !(sparsity >= 0 && sparsity < 1) {
            throw CheckpointError(
                .unsupportedValue, file: file,
                "activation_sparsity_pattern[\(index)] is \(sparsity), expected a fraction of at least 0 and below 1.")
        }

        try readRope(keys, file: file)
        try validate(keys, file: file)
    }

    /// `rope_parameters` per kind of layer, or the older `rope_theta` and `rope_local_base_freq`.
    private mutating func readRope(_ keys: ConfigurationKeys, file: String) throws(CheckpointError) {
        ropeThetaFull = try keys.double("rope_theta", default: ropeThetaFull)
        ropeThetaSliding = try keys.double("rope_local_base_freq", default: ropeThetaSliding)
        if !keys.isNull("rope_scaling"), let type = try keys.nested("rope_scaling")?.ropeType, type != "default" {
            throw CheckpointError(.unsupportedValue, file: file, "rope_scaling has type \"\(type)\"; this version knows null and \"default\".")
        }
        guard let parameters = try keys.nested("rope_parameters") else { return }
        for (name, isFull) in [("full_attention", true), ("sliding_attention", false)] {
            guard let entry = try parameters.nested(name) else { continue }
            if let type = try entry.ropeType, type != "default" {
                throw CheckpointError(
                    .unsupportedValue, file: file, "rope_parameters.\(name).rope_type is \"\(type)\"; this version knows \"default\".")
            }
            if isFull {
                ropeThetaFull = try entry.double("rope_theta", default: ropeThetaFull)
            } else {
                ropeThetaSliding = try entry.double("rope_theta", default: ropeThetaSliding)
            }
        }
    }

    private func validate(_ keys: ConfigurationKeys, file: String) throws(CheckpointError) {
        func refuse(_ message: String) -> CheckpointError { CheckpointError(.unsupportedValue, file: file, message) }
        if let activation = try keys.string("hidden_activation"), activation != "gelu_pytorch_tanh" {
            throw refuse("hidden_activation is \"\(activation)\"; this version knows \"gelu_pytorch_tanh\".")
        }
        if try keys.bool("attention_bias", default: false) {
            throw refuse("attention_bias is true; no Gemma 3n has biased attention and this version cannot read them.")
        }
        if numAttentionHeads % numKeyValueHeads != 0 {
            throw refuse("num_attention_heads \(numAttentionHeads) is not a multiple of num_key_value_heads \(numKeyValueHeads).")
        }
        if headDim % 2 != 0 { throw refuse("head_dim is \(headDim), expected an even number: rotary positions turn pairs.") }
        for (name, theta) in [("full", ropeThetaFull), ("sliding", ropeThetaSliding)] where !(theta > 0 && theta.isFinite) {
            throw refuse("the RoPE theta of \(name) attention is \(theta), expected a positive number.")
        }
        if !(rmsNormEps >= 0 && rmsNormEps.isFinite) {
            throw refuse("rms_norm_eps is \(rmsNormEps), expected a number of at least 0.")
        }
        if let cap = finalLogitSoftcapping, !(cap > 0 && cap.isFinite) {
            throw refuse("final_logit_softcapping is \(cap), expected a positive number or null.")
        }
        if numKVSharedLayers >= numHiddenLayers {
            throw refuse("num_kv_shared_layers \(numKVSharedLayers) leaves no layer of \(numHiddenLayers) to make K/V.")
        }
        for layer in firstSharedLayer..<numHiddenLayers where !layerTypes[..<firstSharedLayer].contains(layerTypes[layer]) {
            throw refuse(
                "layer \(layer) shares K/V (num_kv_shared_layers \(numKVSharedLayers) of \(numHiddenLayers)), but no layer below \(firstSharedLayer) has its kind in layer_types.")
        }
    }
}

extension ConfigurationKeys {
    /// The kind of rotary embedding under either of its two keys.
    var ropeType: String? {
        get throws(CheckpointError) {
            if let type = try string("rope_type") { return type }
            return try string("type")
        }
    }
}
