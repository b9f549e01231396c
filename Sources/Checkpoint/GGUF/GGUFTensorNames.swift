/// The one table of tensor names: Hugging Face's and those of GGUF files, both ways.
///
/// `altup_projections.{0,1,2}` and `altup_unembed_projections.{0,1,2}` are one stacked tensor in GGUF; their place there is `slice`.
///
/// - Source: `MODEL_ARCH.GEMMA3N` and `MODEL_ARCH.MMPROJ` of the `gguf` package 0.19, `conversion/gemma.py` of llama.cpp (2026).
public enum GGUFTensorNames {
    /// Where a Hugging Face tensor lies in a GGUF file.
    public struct Place: Sendable, Equatable {
        public let name: String
        /// Which of the stacked matrices it is; nil for a tensor of its own.
        public let slice: Int?

        public init(_ name: String, slice: Int? = nil) {
            self.name = name
            self.slice = slice
        }
    }

    /// A name with `{}` where a number is.
    struct Pair {
        let huggingFace: String
        let gguf: String

        init(_ huggingFace: String, _ gguf: String) {
            self.huggingFace = huggingFace
            self.gguf = gguf
        }
    }

    /// Below `model.language_model.` (or `model.` of a text-only export).
    static let text: [Pair] = [
        Pair("embed_tokens.weight", "token_embd.weight"),
        Pair("embed_tokens_per_layer.weight", "per_layer_token_embd.weight"),
        Pair("per_layer_model_projection.weight", "per_layer_model_proj.weight"),
        Pair("per_layer_projection_norm.weight", "per_layer_proj_norm.weight"),
        Pair("norm.weight", "output_norm.weight"),
        Pair("layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight"),
        Pair("layers.{}.post_attention_layernorm.weight", "blk.{}.post_attention_norm.weight"),
        Pair("layers.{}.pre_feedforward_layernorm.weight", "blk.{}.ffn_norm.weight"),
        Pair("layers.{}.post_feedforward_layernorm.weight", "blk.{}.post_ffw_norm.weight"),
        Pair("layers.{}.self_attn.q_proj.weight", "blk.{}.attn_q.weight"),
        Pair("layers.{}.self_attn.k_proj.weight", "blk.{}.attn_k.weight"),
        Pair("layers.{}.self_attn.v_proj.weight", "blk.{}.attn_v.weight"),
        Pair("layers.{}.self_attn.o_proj.weight", "blk.{}.attn_output.weight"),
        Pair("layers.{}.self_attn.q_norm.weight", "blk.{}.attn_q_norm.weight"),
        Pair("layers.{}.self_attn.k_norm.weight", "blk.{}.attn_k_norm.weight"),
        Pair("layers.{}.mlp.gate_proj.weight", "blk.{}.ffn_gate.weight"),
        Pair("layers.{}.mlp.up_proj.weight", "blk.{}.ffn_up.weight"),
        Pair("layers.{}.mlp.down_proj.weight", "blk.{}.ffn_down.weight"),
        Pair("layers.{}.altup.correct_output_scale", "blk.{}.altup_correct_scale.weight"),
        Pair("layers.{}.altup.correction_coefs.weight", "blk.{}.altup_correct_coef.weight"),
        Pair("layers.{}.altup.prediction_coefs.weight", "blk.{}.altup_predict_coef.weight"),
        Pair("layers.{}.altup.modality_router.weight", "blk.{}.altup_router.weight"),
        Pair("layers.{}.altup.router_norm.weight", "blk.{}.altup_router_norm.weight"),
        Pair("layers.{}.laurel.linear_left.weight", "blk.{}.laurel_l.weight"),
        Pair("layers.{}.laurel.linear_right.weight", "blk.{}.laurel_r.weight"),
        Pair("layers.{}.laurel.post_laurel_norm.weight", "blk.{}.laurel_post_norm.weight"),
        Pair("layers.{}.per_layer_input_gate.weight", "blk.{}.inp_gate.weight"),
        Pair("layers.{}.per_layer_projection.weight", "blk.{}.proj.weight"),
        Pair("layers.{}.post_per_layer_input_norm.weight", "blk.{}.post_norm.weight"),
    ]

    /// Stacked: `{}` is the slice on one side only.
    static let stacked: [Pair] = [
        Pair("altup_projections.{}.weight", "altup_proj.weight"),
        Pair("altup_unembed_projections.{}.weight", "altup_unembd_proj.weight"),
    ]

    /// Below `model.`: in projector files.
    static let media: [Pair] = [
        Pair("embed_vision.embedding.weight", "mm.embedding.weight"),
        Pair("embed_vision.embedding_projection.weight", "mm.input_projection.weight"),
        Pair("embed_vision.hard_embedding_norm.weight", "mm.hard_emb_norm.weight"),
        Pair("embed_vision.soft_embedding_norm.weight", "mm.soft_emb_norm.weight"),
        Pair("embed_audio.embedding.weight", "mm.a.embedding.weight"),
        Pair("embed_audio.embedding_projection.weight", "mm.a.input_projection.weight"),
        Pair("embed_audio.hard_embedding_norm.weight", "mm.a.hard_emb_norm.weight"),
        Pair("embed_audio.soft_embedding_norm.weight", "mm.a.soft_emb_norm.weight"),
        Pair("vision_tower.timm_model.conv_stem.conv.weight", "v.conv_stem.conv.weight"),
        Pair("vision_tower.timm_model.conv_stem.conv.bias", "v.conv_stem.conv.bias"),
        Pair("vision_tower.timm_model.conv_stem.bn.weight", "v.conv_stem.bn.weight"),
        Pair("vision_tower.timm_model.msfa.ffn.pw_exp.conv.weight", "v.msfa.ffn.pw_exp.conv.weight"),
        Pair("vision_tower.timm_model.msfa.ffn.pw_exp.bn.weight", "v.msfa.ffn.pw_exp.bn.weight"),
        Pair("vision_tower.timm_model.msfa.ffn.pw_proj.conv.weight", "v.msfa.ffn.pw_proj.conv.weight"),
        Pair("vision_tower.timm_model.msfa.ffn.pw_proj.bn.weight", "v.msfa.ffn.pw_proj.bn.weight"),
        Pair("vision_tower.timm_model.msfa.norm.weight", "v.msfa.norm.weight"),
        Pair("audio_tower.subsample_conv_projection.conv_{}.conv.weight", "a.conv1d.{}.weight"),
        Pair("audio_tower.subsample_conv_projection.conv_{}.norm.weight", "a.conv1d.{}.norm.weight"),
        Pair("audio_tower.subsample_conv_projection.input_proj_linear.weight", "a.pre_encode.out.weight"),
        Pair("audio_tower.conformer.{}.ffw_layer_start.pre_layer_norm.weight", "a.blk.{}.ffn_norm.weight"),
        Pair("audio_tower.conformer.{}.ffw_layer_start.ffw_layer_1.weight", "a.blk.{}.ffn_up.weight"),
        Pair("audio_tower.conformer.{}.ffw_layer_start.ffw_layer_2.weight", "a.blk.{}.ffn_down.weight"),
        Pair("audio_tower.conformer.{}.ffw_layer_start.post_layer_norm.weight", "a.blk.{}.ffn_post_norm.weight"),
        Pair("audio_tower.conformer.{}.ffw_layer_end.pre_layer_norm.weight", "a.blk.{}.ffn_norm_1.weight"),
        Pair("audio_tower.conformer.{}.ffw_layer_end.ffw_layer_1.weight", "a.blk.{}.ffn_up_1.weight"),
        Pair("audio_tower.conformer.{}.ffw_layer_end.ffw_layer_2.weight", "a.blk.{}.ffn_down_1.weight"),
        Pair("audio_tower.conformer.{}.ffw_layer_end.post_layer_norm.weight", "a.blk.{}.ffn_post_norm_1.weight"),
        Pair("audio_tower.conformer.{}.attention.pre_attn_norm.weight", "a.blk.{}.ln1.weight"),
        Pair("audio_tower.conformer.{}.attention.post_norm.weight", "a.blk.{}.ln2.weight"),
        Pair("audio_tower.conformer.{}.attention.attn.q_proj.weight", "a.blk.{}.attn_q.weight"),
        Pair("audio_tower.conformer.{}.attention.attn.k_proj.weight", "a.blk.{}.attn_k.weight"),
        Pair("audio_tower.conformer.{}.attention.attn.v_proj.weight", "a.blk.{}.attn_v.weight"),
        Pair("audio_tower.conformer.{}.attention.attn.per_dim_scale", "a.blk.{}.per_dim_scale"),
        Pair("audio_tower.conformer.{}.attention.attn.relative_position_embedding.pos_proj.weight", "a.blk.{}.linear_pos.weight"),
        Pair("audio_tower.conformer.{}.attention.post.weight", "a.blk.{}.attn_out.weight"),
        Pair("audio_tower.conformer.{}.lconv1d.pre_layer_norm.weight", "a.blk.{}.conv_norm.weight"),
        Pair("audio_tower.conformer.{}.lconv1d.linear_start.weight", "a.blk.{}.conv_pw1.weight"),
        Pair("audio_tower.conformer.{}.lconv1d.depthwise_conv1d.weight", "a.blk.{}.conv_dw.weight"),
        Pair("audio_tower.conformer.{}.lconv1d.conv_norm.weight", "a.blk.{}.norm_conv.weight"),
        Pair("audio_tower.conformer.{}.lconv1d.linear_end.weight", "a.blk.{}.conv_pw2.weight"),
        Pair("audio_tower.conformer.{}.norm.weight", "a.blk.{}.layer_pre_norm.weight"),
    ]

    private static let visionBlocks = (huggingFace: "vision_tower.timm_model.blocks.", gguf: "v.blk.")

    /// The place of a Hugging Face tensor; nil for a name no Gemma 3n has.
    public static func gguf(huggingFace name: String) -> Place? {
        if name == "lm_head.weight" { return Place("output.weight") }
        guard var rest = stripped(name, "model.") else { return nil }
        if let found = find(rest, media, fromHuggingFace: true) { return Place(found) }
        if let inner = stripped(rest, visionBlocks.huggingFace) { return Place(visionBlocks.gguf + inner) }
        if let inner = stripped(rest, "language_model.") { rest = inner }
        if let found = find(rest, text, fromHuggingFace: true) { return Place(found) }
        for pair in stacked {
            if let number = numberInside(rest, pair.huggingFace), let slice = Int(number) { return Place(pair.gguf, slice: slice) }
        }
        return nil
    }

    /// The Hugging Face name of a GGUF tensor: the whole name, or for a stacked tensor the one with `{}` where the slice's number goes.
    ///
    /// - Parameter textPrefix: What text tensors lie under: `model.language_model.` or `model.`.
    public static func huggingFace(gguf name: String, textPrefix: String = "model.language_model.") -> String? {
        if name == "output.weight" { return "lm_head.weight" }
        if let found = find(name, text, fromHuggingFace: false) { return textPrefix + found }
        for pair in stacked where pair.gguf == name { return textPrefix + pair.huggingFace }
        if let found = find(name, media, fromHuggingFace: false) { return "model." + found }
        if let inner = stripped(name, visionBlocks.gguf) { return "model." + visionBlocks.huggingFace + inner }
        return nil
    }

    // MARK: Matching

    /// The other side of the pair one of whose sides is `name`, its number filled in.
    private static func find(_ name: String, _ pairs: [Pair], fromHuggingFace: Bool) -> String? {
        for pair in pairs {
            let (from, to) = fromHuggingFace ? (pair.huggingFace, pair.gguf) : (pair.gguf, pair.huggingFace)
            if from == name { return to }
            if let number = numberInside(name, from) { return filled(to, number) }
        }
        return nil
    }

    /// `pattern` with `number` in the place of `{}`.
    public static func filled(_ pattern: String, _ number: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(pattern.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == 0x7B, rest.first == 0x7D {
                rest.removeFirst()
                bytes += number.utf8
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The digits that stand where `pattern` has `{}`, if `name` is otherwise the same.
    private static func numberInside(_ name: String, _ pattern: String) -> String? {
        let (name, pattern) = (Array(name.utf8), Array(pattern.utf8))
        guard let open = pattern.firstIndex(of: 0x7B) else { return nil }
        let tail = pattern.count - open - 2
        guard tail >= 0, name.count > open + tail, name[..<open] == pattern[..<open], name[(name.count - tail)...] == pattern[(open + 2)...] else {
            return nil
        }
        let digits = name[open..<(name.count - tail)]
        guard digits.count <= 9, digits.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
        return String(decoding: digits, as: UTF8.self)
    }

    private static func stripped(_ name: String, _ prefix: String) -> String? {
        guard name.utf8.starts(with: prefix.utf8) else { return nil }
        return String(decoding: name.utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
    }
}
