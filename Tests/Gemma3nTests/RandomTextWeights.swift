import Gemma3n

/// The weights of a text model by name, in one order: what random ones are drawn for.
///
/// - Parameters:
///   - embeddings: How widely the token embeddings spread.
///   - sharingLayersOwnKeys: Whether layers that read others' keys and values hold projections for them, too, as released checkpoints do.
///   - add: Takes a name without `model.`, a shape, and the mean and spread of the values.
func forEachTextWeight(
    _ c: TextConfiguration, embeddings: Float, sharingLayersOwnKeys: Bool,
    _ add: (_ name: String, _ shape: [Int], _ mean: Float, _ spread: Float) -> Void
) {
    func linear(_ name: String, _ rows: Int, _ columns: Int) { add(name + ".weight", [rows, columns], 0, 1.7 / Float(columns).squareRoot()) }
    func norm(_ name: String, _ count: Int) { add(name + ".weight", [count], 1, 0.2) }
    let (d, p, n, l) = (c.hiddenSize, c.hiddenSizePerLayerInput, c.headDim, c.numHiddenLayers)
    add("embed_tokens.weight", [c.vocabSize, d], 0, embeddings)
    add("embed_tokens_per_layer.weight", [c.vocabSizePerLayerInput, l * p], 0, 0.3)
    linear("per_layer_model_projection", l * p, d)
    norm("per_layer_projection_norm", p)
    norm("norm", d)
    for i in 0..<c.altupNumInputs - 1 {
        linear("altup_projections.\(i)", d, d)
        linear("altup_unembed_projections.\(i)", d, d)
    }
    for i in 0..<l {
        let layer = "layers.\(i)."
        for name in ["input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm", "post_per_layer_input_norm", "laurel.post_laurel_norm", "altup.router_norm"] {
            norm(layer + name, d)
        }
        add(layer + "altup.correct_output_scale", [d], 1, 0.2)
        add(layer + "altup.correction_coefs.weight", [4, 4], 0, 0.2)
        add(layer + "altup.prediction_coefs.weight", [16, 4], 0, 0.2)
        add(layer + "altup.modality_router.weight", [4, d], 0, 1)
        linear(layer + "laurel.linear_left", c.laurelRank, d)
        linear(layer + "laurel.linear_right", d, c.laurelRank)
        linear(layer + "self_attn.q_proj", c.numAttentionHeads * n, d)
        let ownsKeys = sharingLayersOwnKeys || i < c.firstSharedLayer
        if ownsKeys {
            linear(layer + "self_attn.k_proj", c.numKeyValueHeads * n, d)
            linear(layer + "self_attn.v_proj", c.numKeyValueHeads * n, d)
        }
        linear(layer + "self_attn.o_proj", d, c.numAttentionHeads * n)
        norm(layer + "self_attn.q_norm", n)
        if ownsKeys { norm(layer + "self_attn.k_norm", n) }
        linear(layer + "mlp.gate_proj", c.intermediateSize[i], d)
        linear(layer + "mlp.up_proj", c.intermediateSize[i], d)
        linear(layer + "mlp.down_proj", d, c.intermediateSize[i])
        linear(layer + "per_layer_input_gate", p, d)
        linear(layer + "per_layer_projection", d, p)
    }
}
