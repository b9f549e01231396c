internal import CKernels
internal import Checkpoint
internal import Tensors

/// Grouped-query attention with normed queries, keys and values; score scale 1, no score softcap.
///
/// A KV-sharing layer has queries only and reads the cache of its source layer.
///
/// - Source: `Gemma3nTextAttention` in transformers 5.23.0.
struct TextAttention {
    let query: Matrix  // [H N, D]
    let output: Matrix  // [D, H N]
    let queryNorm: Vector  // [N]
    /// Nil in KV-sharing layers.
    let keyValue: KeyValueProjection?
    let kind: AttentionKind
    let headCount: Int
    let queriesPerKVHead: Int
    let headDim: Int
    let epsilon: Float

    struct KeyValueProjection {
        let key: Matrix  // [K N, D]
        let value: Matrix  // [K N, D]
        let keyNorm: Vector  // [N]
    }

    init(_ scope: WeightScope, _ c: TextConfiguration, layer: Int, _ prepare: WeightPreparation) throws(CheckpointError) {
        let (n, d) = (c.headDim, c.hiddenSize)
        let queries = "num_attention_heads \(c.numAttentionHeads) × head_dim \(n), hidden_size \(d) in config.json"
        query = prepare(try scope["q_proj"].matrix(rows: c.numAttentionHeads * n, columns: d, reason: queries), .panels)
        output = prepare(try scope["o_proj"].matrix(rows: d, columns: c.numAttentionHeads * n, reason: queries), .panels)
        queryNorm = try scope["q_norm"].vector(count: n, reason: "head_dim \(n)")
        if layer < c.firstSharedLayer {
            let keys = "num_key_value_heads \(c.numKeyValueHeads) × head_dim \(n), hidden_size \(d) in config.json"
            keyValue = KeyValueProjection(
                key: prepare(try scope["k_proj"].matrix(rows: c.numKeyValueHeads * n, columns: d, reason: keys), .panels),
                value: prepare(try scope["v_proj"].matrix(rows: c.numKeyValueHeads * n, columns: d, reason: keys), .panels),
                keyNorm: try scope["k_norm"].vector(count: n, reason: "head_dim \(n)"))
        } else {
            keyValue = nil
        }
        kind = c.layerTypes[layer]
        headCount = c.numAttentionHeads
        queriesPerKVHead = c.queriesPerKVHead
        headDim = n
        epsilon = c.rmsNormEps
    }

    /// Finishes keys and values of all rows and stores them: `k = rope(norm(W_k x))`, `v = norm(W_v x)` without weight.
    ///
    /// - Parameters:
    ///   - keys, values: `W_k x` and `W_v x`, `[T, K N]` each; overwritten.
    ///   - source: The number of the layer's cache in each sequence.
    func storeKeyValues(
        _ keys: UnsafeMutablePointer<Float>, _ values: UnsafeMutablePointer<Float>, _ rows: TextRows, source: Int, _ parallelism: Parallelism
    ) {
        guard let keyValue, rows.count > 0 else { return }
        let width = keyValue.key.rows
        var first = 0
        while first < rows.count {
            let neighbours = rows.neighbours(from: first)
            rows.cache(first, source).reserve(rows.positions[first]..<rows.positions[neighbours.upperBound - 1] + 1)
            first = neighbours.upperBound
        }
        parallelism.forEach(rows.count) { r in
            let (cos, sin) = rows.rotation(r, kind)
            let cache = rows.cache(r, source)
            for head in 0..<width / headDim {
                let (key, value) = (keys + r * width + head * headDim, values + r * width + head * headDim)
                ck_rms_norm_f32(key, keyValue.keyNorm.pointer, epsilon, key, headDim)
                ck_rope_f32(key, cos, sin, headDim / 2)
                ck_rms_norm_f32(value, nil, epsilon, value, headDim)
                cache.store(head: head, position: rows.positions[r], key: key, value: value)
            }
        }
    }

    /// Attends from all rows to the cache.
    ///
    /// - Parameters:
    ///   - queries: `W_q x`, `[T, H N]`; overwritten.
    ///   - mixed: The weighted values, `[T, H N]`, which `output` projects.
    ///   - scores: Scratch.
    ///   - source: The number of the cache that is read in each sequence.
    func mix(
        _ queries: UnsafeMutablePointer<Float>, _ rows: TextRows, into mixed: UnsafeMutablePointer<Float>, scores: AttentionScores,
        source: Int, _ parallelism: Parallelism
    ) {
        let width = query.rows
        parallelism.forEach(rows.count) { r in
            let (cos, sin) = rows.rotation(r, kind)
            for head in 0..<headCount {
                let q = queries + r * width + head * headDim
                ck_rms_norm_f32(q, queryNorm.pointer, epsilon, q, headDim)
                ck_rope_f32(q, cos, sin, headDim / 2)
            }
        }
        attend(queries, rows, mixed: mixed, scores: scores, source: source, parallelism)
    }
}
