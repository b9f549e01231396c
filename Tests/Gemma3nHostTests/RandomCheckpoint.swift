import Checkpoint
import Foundation
import TestSupport

/// A small text-only checkpoint with random weights whose rows are whole blocks; the tokenizer is that of the tiny checkpoint.
struct RandomCheckpoint {
    var hiddenSize = 64
    var width = 128
    var layers = 5
    var shared = 2
    var perLayer = 32
    var heads = 2
    var headDim = 32
    var rank = 32
    /// Written as F32, F16 or BF16.
    var format = "F32"
    /// Put in the place of one weight.
    var damage: (tensor: String, value: Float)?

    static let vocabulary = 808
    static let perLayerVocabulary = 768

    private var config: String {
        """
        {"model_type": "gemma3n_text", "vocab_size": \(Self.vocabulary), "vocab_size_per_layer_input": \(Self.perLayerVocabulary),
         "hidden_size": \(hiddenSize), "hidden_size_per_layer_input": \(perLayer), "num_hidden_layers": \(layers),
         "intermediate_size": \(width), "num_attention_heads": \(heads), "num_key_value_heads": 1, "head_dim": \(headDim),
         "num_kv_shared_layers": \(shared), "layer_types": [\((0..<layers).map { $0 % 3 == 2 ? "\"full_attention\"" : "\"sliding_attention\"" }.joined(separator: ", "))],
         "sliding_window": 8, "laurel_rank": \(rank), "max_position_embeddings": 256, "eos_token_id": [1, 10],
         "activation_sparsity_pattern": [\((0..<layers).map { $0 < 2 ? "0.5" : "0.0" }.joined(separator: ", "))], "tie_word_embeddings": true}
        """
    }

    private var shapes: [(name: String, shape: [Int], scale: Float)] {
        let (d, f, p, r) = (hiddenSize, width, perLayer, rank)
        func linear(_ name: String, _ rows: Int, _ columns: Int) -> (String, [Int], Float) { (name, [rows, columns], 1 / Float(columns).squareRoot()) }
        func norm(_ name: String, _ count: Int) -> (String, [Int], Float) { (name, [count], 0) }
        var list: [(name: String, shape: [Int], scale: Float)] = [
            ("embed_tokens.weight", [Self.vocabulary, d], 0.5), ("embed_tokens_per_layer.weight", [Self.perLayerVocabulary, layers * p], 0.2),
            linear("per_layer_model_projection.weight", layers * p, d), norm("per_layer_projection_norm.weight", p), norm("norm.weight", d),
        ]
        for i in 0..<3 {
            list.append(linear("altup_projections.\(i).weight", d, d))
            list.append(linear("altup_unembed_projections.\(i).weight", d, d))
        }
        for i in 0..<layers {
            let l = "layers.\(i)."
            for name in ["input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm", "post_per_layer_input_norm", "altup.router_norm", "laurel.post_laurel_norm"] {
                list.append(norm(l + name + ".weight", d))
            }
            list.append((l + "altup.correct_output_scale", [d], 0))
            list.append((l + "altup.correction_coefs.weight", [4, 4], 0.1))
            list.append((l + "altup.prediction_coefs.weight", [16, 4], 0.1))
            list.append(linear(l + "altup.modality_router.weight", 4, d))
            list.append(linear(l + "self_attn.q_proj.weight", heads * headDim, d))
            list.append(linear(l + "self_attn.o_proj.weight", d, heads * headDim))
            list.append(norm(l + "self_attn.q_norm.weight", headDim))
            if i < layers - shared {
                list.append(linear(l + "self_attn.k_proj.weight", headDim, d))
                list.append(linear(l + "self_attn.v_proj.weight", headDim, d))
                list.append(norm(l + "self_attn.k_norm.weight", headDim))
            }
            list.append(linear(l + "mlp.gate_proj.weight", f, d))
            list.append(linear(l + "mlp.up_proj.weight", f, d))
            list.append(linear(l + "mlp.down_proj.weight", d, f))
            list.append(linear(l + "laurel.linear_left.weight", r, d))
            list.append(linear(l + "laurel.linear_right.weight", d, r))
            list.append(linear(l + "per_layer_input_gate.weight", p, d))
            list.append(linear(l + "per_layer_projection.weight", d, p))
        }
        return list.map { ("model." + $0.name, $0.shape, $0.scale) }
    }

    /// Writes the checkpoint into an existing directory.
    func write(to directory: String) throws {
        for name in ["tokenizer.json", "tokenizer.model", "chat_template.jinja", "generation_config.json"] {
            try make("\(directory)/\(name)", readBytes(Fixtures.path("checkpoints/tiny/\(name)")))
        }
        try make("\(directory)/config.json", Array(config.utf8))
        var state: UInt64 = 1
        /// Near enough to a normal distribution.
        func normal() -> Float {
            var sum: Float = 0
            for _ in 0..<4 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                sum += Float(state >> 40) / Float(1 << 24) - 0.5
            }
            return sum * 1.7
        }
        let size = format == "F32" ? 4 : 2
        var bytes = SafeTensorsWriter.header(
            shapes.map { SafeTensorsWriter.Entry(name: $0.name, format: format, shape: $0.shape, byteCount: $0.shape.reduce(size, *)) })
        for (name, shape, scale) in shapes {
            for index in 0..<shape.reduce(1, *) {
                var value = scale > 0 ? normal() * scale : 1 + 0.1 * normal()
                if let damage, damage.tensor == name, index == 5 { value = damage.value }
                if size == 4 {
                    withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
                } else {
                    withUnsafeBytes(of: UInt16(truncatingIfNeeded: value.bitPattern >> 16).littleEndian) { bytes += $0 }
                }
            }
        }
        try make("\(directory)/model.safetensors", bytes)
    }
}
