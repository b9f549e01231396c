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

    init(_ scope: WeightScope, _ c: TextConfiguration, layer: Int) throws(CheckpointError) {
        let (n, d) = (c.headDim, c.hiddenSize)
        let queries = "num_attention_heads \(c.numAttentionHeads) × head_dim \(n), hidden_size \(d) in config.json"
        query = try scope["q_proj"].matrix(rows: c.numAttentionHeads * n, columns: d, reason: queries)
        output = try scope["o_proj"].matrix(rows: d, columns: c.numAttentionHeads * n, reason: queries)
        queryNorm = try scope["q_norm"].vector(count: n, reason: "head_dim \(n)")
        if layer < c.firstSharedLayer {
            let keys = "num_key_value_heads \(c.numKeyValueHeads) × head_dim \(n), hidden_size \(d) in config.json"
            keyValue = KeyValueProjection(
                key: try scope["k_proj"].matrix(rows: c.numKeyValueHeads * n, columns: d, reason: keys),
                value: try scope["v_proj"].matrix(rows: c.numKeyValueHeads * n, columns: d, reason: keys),
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

    /// Computes keys and values of all rows and stores them: `k = rope(norm(W_k x))`, `v = norm(W_v x)` without weight.
    func storeKeyValues(
        _ x: UnsafePointer<Float>, _ rows: TextRows, projected: UnsafeMutablePointer<Float>, cache: KVCache, _ parallelism: Parallelism
    ) {
        guard let keyValue, rows.count > 0 else { return }
        let width = keyValue.key.rows
        let values = projected + rows.count * width
        keyValue.key.multiply(x, tokens: rows.count, into: projected, parallelism)
        keyValue.value.multiply(x, tokens: rows.count, into: values, parallelism)
        cache.reserve(rows.positions[rows.count - 1] + 1)
        parallelism.forEach(rows.count) { r in
            let (cos, sin) = rows.rotation(r, kind)
            for head in 0..<width / headDim {
                let key = cache.key(head: head, position: rows.positions[r])
                ck_rms_norm_f32(projected + r * width + head * headDim, keyValue.keyNorm.pointer, epsilon, key, headDim)
                ck_rope_f32(key, cos, sin, headDim / 2)
                ck_rms_norm_f32(values + r * width + head * headDim, nil, epsilon, key + cache.valueOffset, headDim)
            }
        }
    }

    /// Attends from all rows to the cache and projects: `[T, D]` into `y`.
    ///
    /// - Parameters:
    ///   - queries, mixed: Scratch, `[T, H N]` each.
    ///   - scores: Scratch that grows with the context.
    func callAsFunction(
        _ x: UnsafePointer<Float>, _ rows: TextRows, queries: UnsafeMutablePointer<Float>, mixed: UnsafeMutablePointer<Float>,
        scores: AttentionScores, cache: KVCache, into y: UnsafeMutablePointer<Float>, _ parallelism: Parallelism
    ) {
        let width = query.rows
        query.multiply(x, tokens: rows.count, into: queries, parallelism)
        parallelism.forEach(rows.count) { r in
            let (cos, sin) = rows.rotation(r, kind)
            for head in 0..<headCount {
                let q = queries + r * width + head * headDim
                ck_rms_norm_f32(q, queryNorm.pointer, epsilon, q, headDim)
                ck_rope_f32(q, cos, sin, headDim / 2)
            }
        }
        attend(queries, rows, mixed: mixed, scores: scores, cache: cache, parallelism)
        output.multiply(mixed, tokens: rows.count, into: y, parallelism)
    }

    /// `softmax(q k) v` by blocks of query rows: one block's scores against all its keys are a matrix product, then every
    /// row takes the softmax over the keys it may see. A row's result does not depend on its block.
    private func attend(
        _ queries: UnsafePointer<Float>, _ rows: TextRows, mixed: UnsafeMutablePointer<Float>, scores: AttentionScores, cache: KVCache,
        _ parallelism: Parallelism
    ) {
        let blockRows = AttentionScores.blockRows
        let width = headCount * headDim
        let blocks = (rows.count + blockRows - 1) / blockRows
        let items = blocks * cache.headCount
        let slots = min(parallelism.threadCount, items)
        let last = rows.positions[rows.count - 1]
        let keyCapacity = cache.window.map { min(last + 1, $0 + (last - rows.positions[0])) } ?? last + 1
        scores.reserve(slots: slots, keys: keyCapacity, queriesPerKVHead: queriesPerKVHead)

        parallelism.forEach(slots) { slot in
            let scratch = scores.slot(slot)
            for item in stride(from: slot, to: items, by: slots) {
                let kvHead = item / blocks
                let first = item % blocks * blockRows
                let count = min(blockRows, rows.count - first)
                let from = cache.firstVisible(from: rows.positions[first])
                let to = rows.positions[first + count - 1] + 1
                let keys = to - from

                // Scores [head in group][row][key].
                cache.forEachSegment(from..<to, head: kvHead) { key, positions in
                    for g in 0..<queriesPerKVHead {
                        ck_matmul_f32(
                            key, headDim, positions.count, headDim,
                            queries + first * width + (kvHead * queriesPerKVHead + g) * headDim, width, count,
                            scratch + g * count * keys + (positions.lowerBound - from), keys)
                    }
                }
                for g in 0..<queriesPerKVHead {
                    for r in 0..<count {
                        let position = rows.positions[first + r]
                        let start = cache.firstVisible(from: position)
                        let p = scratch + (g * count + r) * keys - from
                        ck_softmax_f32(p + start, position + 1 - start)
                        let out = mixed + (first + r) * width + (kvHead * queriesPerKVHead + g) * headDim
                        out.update(repeating: 0, count: headDim)
                        cache.forEachSegment(start..<position + 1, head: kvHead) { key, positions in
                            ck_weighted_sum_add_f32(
                                p + positions.lowerBound, positions.count, key + cache.valueOffset, headDim, out, headDim)
                        }
                    }
                }
            }
        }
    }
}

/// Room for attention scores, one slot for every task that runs at the same time; grows with the context.
final class AttentionScores {
    /// Query rows handled together.
    static let blockRows = 16
    private var buffer = FloatBuffer(count: 0)
    private var slotLength = 0

    func reserve(slots: Int, keys: Int, queriesPerKVHead: Int) {
        // Steps of 512 keys, so that decoding does not allocate for every token.
        let length = (keys + 511) / 512 * 512 * queriesPerKVHead * Self.blockRows
        if slots * length > buffer.count { buffer = FloatBuffer(count: slots * length) }
        slotLength = buffer.count / max(slots, 1)
    }

    func slot(_ index: Int) -> UnsafeMutablePointer<Float> { buffer.pointer + index * slotLength }
}
