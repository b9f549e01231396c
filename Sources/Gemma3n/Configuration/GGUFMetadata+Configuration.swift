public import Checkpoint

extension GGUFMetadata {
    /// Sets what describes the text model: the keys llama.cpp's converter writes for architecture `gemma3n`, with its types.
    ///
    /// `vocab_size_per_layer_input` is ours: the table of per-layer embeddings is filled up to `vocab_size` in GGUF files.
    ///
    /// - Source: `Gemma3NModel.set_gguf_parameters` and its bases in llama.cpp's `conversion/gemma.py`, `base.py` (2026).
    public mutating func set(_ c: TextConfiguration) {
        let arch = "gemma3n"
        set("\(arch).block_count", uint32: c.numHiddenLayers)
        set("\(arch).context_length", uint32: c.maxPositionEmbeddings)
        set("\(arch).embedding_length", uint32: c.hiddenSize)
        set(feedForwardLengths: c.intermediateSize)
        set("\(arch).attention.head_count", uint32: c.numAttentionHeads)
        set("\(arch).attention.head_count_kv", uint32: c.numKeyValueHeads)
        set("\(arch).attention.layer_norm_rms_epsilon", float32: c.rmsNormEps)
        set("\(arch).attention.key_length", uint32: c.headDim)
        set("\(arch).attention.value_length", uint32: c.headDim)
        set("\(arch).rope.freq_base", float32: Float(c.ropeThetaFull))
        set("\(arch).rope.freq_base_swa", float32: Float(c.ropeThetaSliding))
        if let cap = c.finalLogitSoftcapping { set("\(arch).final_logit_softcapping", float32: cap) }
        set("\(arch).attention.sliding_window", uint32: c.slidingWindow)
        set("\(arch).altup.active_idx", uint32: c.altupActiveIdx)
        set("\(arch).altup.num_inputs", uint32: c.altupNumInputs)
        set("\(arch).embedding_length_per_layer_input", uint32: c.hiddenSizePerLayerInput)
        set("\(arch).attention.shared_kv_layers", uint32: c.numKVSharedLayers)
        // The quantile of the sparsity; minus infinity where there is no cutoff.
        set("\(arch).activation_sparsity_scale", float32s: c.activationSparsityPattern.map { $0 > 0 ? Float(normalQuantile($0)) : -.infinity })
        set("\(arch).attention.sliding_window_pattern", bools: c.layerTypes.map { $0 == .sliding })
        set("\(arch).vocab_size", uint32: c.vocabSize)
        set("\(arch).vocab_size_per_layer_input", uint32: min(c.vocabSize, c.vocabSizePerLayerInput))
    }

    /// Sets the widths of the layers: one number if they are equal.
    package mutating func set(feedForwardLengths widths: [Int]) {
        let key = "gemma3n.feed_forward_length"
        if let width = widths.first, widths.allSatisfy({ $0 == width }) {
            set(key, uint32: width)
        } else {
            set(key, int32s: widths.map { Int32(truncatingIfNeeded: $0) })
        }
    }

    /// Sets what describes the encoders of a projector file (`general.architecture` `clip`).
    ///
    /// - Parameter imageSize: Pixels of a side of the pictures.
    /// - Source: `Gemma3nVisionAudioModel` and `MmprojModel` in llama.cpp's `conversion/gemma.py`, `base.py` (2026).
    public mutating func set(
        vision: VisionConfiguration?, audio: AudioConfiguration?, textHiddenSize: Int, imageSize: Int, softTokensPerImage: Int
    ) {
        if let vision {
            set("clip.has_vision_encoder", bool: true)
            set("clip.vision.projection_dim", uint32: textHiddenSize)
            set("clip.vision.image_size", uint32: imageSize)
            set("clip.vision.patch_size", uint32: max(1, imageSize / max(1, softTokensPerImage)))
            set("clip.vision.embedding_length", uint32: vision.hiddenSize)
            // Of these the encoder has none; the keys must be there.
            set("clip.vision.feed_forward_length", uint32: vision.hiddenSize * 4)
            set("clip.vision.block_count", uint32: 128)
            set("clip.vision.attention.head_count", uint32: 8)
            set("clip.vision.image_mean", float32s: [0, 0, 0])
            set("clip.vision.image_std", float32s: [1, 1, 1])
        }
        if let audio {
            set("clip.has_audio_encoder", bool: true)
            set("clip.audio.projection_dim", uint32: textHiddenSize)
            set("clip.audio.embedding_length", uint32: audio.hiddenSize)
            set("clip.audio.feed_forward_length", uint32: audio.hiddenSize * 4)
            set("clip.audio.block_count", uint32: audio.confNumHiddenLayers)
            set("clip.audio.attention.head_count", uint32: audio.confNumAttentionHeads)
        }
        if vision != nil {
            set("clip.vision.projector_type", string: "gemma3nv")
            set("clip.vision.attention.layer_norm_epsilon", float32: 1e-6)
        }
        if let audio {
            set("clip.audio.projector_type", string: "gemma3na")
            set("clip.audio.num_mel_bins", uint32: audio.inputFeatSize)
            set("clip.audio.attention.layer_norm_epsilon", float32: 1e-5)
        }
    }
}
