internal import CKernels
internal import Checkpoint
internal import Tensors

/// Attention of every frame to a band of frames around it, with relative positions:
/// `x += rms(clip(W_post attention(rms(clip(x); pre))); post)`.
///
///     q'    = q · softplus(perDimScale) / (√N ln 2)
///     score = cap · tanh((q'ᵢ · kⱼ + q'ᵢ · rᵢ₋ⱼ) / cap)      for -right ≤ i - j ≤ left - 1 and frame j real
///
/// The reference computes the same in chunks; the band needs none, and the rows `r` depend on the weights only.
///
/// - Source: `Gemma3nAudioConformerAttention`, `Gemma3nAudioAttention` in transformers 5.23.0.
struct AudioConformerAttention: Sendable {
    private let heads: Int
    private let headSize: Int
    private let past: Int
    private let future: Int
    private let cap: Float
    private let clip: Float
    private let preNorm: Vector  // [D]
    private let query: EncoderMatrix  // [D, D]
    private let key: EncoderMatrix  // [D, D]
    private let value: EncoderMatrix  // [D, D]
    private let queryScale: Vector  // [D]: all factors of q', once for every head
    private let positions: Vector  // [past + 1 + future, D]: r of distance past, past - 1, ..., -future
    private let post: EncoderMatrix  // [D, D]
    private let postNorm: Vector  // [D]

    init(_ scope: WeightScope, _ c: AudioConfiguration, _ copies: EncoderCopies) throws(CheckpointError) {
        heads = c.confNumAttentionHeads
        headSize = c.headDim
        past = c.attentionPast
        future = c.confAttentionContextRight
        cap = c.confAttentionLogitCap
        clip = c.gradientClipping
        let size = c.hiddenSize
        preNorm = try scope["pre_attn_norm"].vector(count: size)
        query = EncoderMatrix(try scope["attn"]["q_proj"].matrix(rows: size, columns: size), copies)
        key = EncoderMatrix(try scope["attn"]["k_proj"].matrix(rows: size, columns: size), copies)
        value = EncoderMatrix(try scope["attn"]["v_proj"].matrix(rows: size, columns: size), copies)
        post = EncoderMatrix(try scope["post"].matrix(rows: size, columns: size), copies)
        postNorm = try scope["post_norm"].vector(count: size)

        let perDimScale = try scope["attn"]["per_dim_scale"].vector(
            count: headSize, reason: "hidden_size \(size) / conf_num_attention_heads \(heads)"
        ).values
        // 1 / ln 2 = 1 / softplus(0): a scale of zero leaves 1 / sqrt(N).
        let factor = 1 / (Double(headSize).squareRoot() * ck_log(2))
        var scale: [Float] = []
        for _ in 0..<heads {
            for s in perDimScale { scale.append(Float(factor * Self.softplus(Double(s)))) }
        }
        queryScale = Vector(scale)

        let projection = try scope["attn"]["relative_position_embedding"]["pos_proj"].matrix(rows: size, columns: size).plain
        positions = Self.positions(projection, past: past, future: future)
    }

    /// `ln(1 + exp(x))` without overflow.
    private static func softplus(_ x: Double) -> Double {
        max(x, 0) + ck_log(1 + ck_exp(-x.magnitude))
    }

    /// `r_d = W [sin(d w₀) …, cos(d w₀) …]`, `w_k = 10000^(-k / (D/2 - 1))`, for d from `past` down to `-future`.
    private static func positions(_ projection: Matrix, past: Int, future: Int) -> Vector {
        let size = projection.columns
        let half = size / 2
        let span = past + 1 + future
        let increment = ck_log(10_000) / Double(max(half - 1, 1))
        var signal = [Float](repeating: 0, count: span * size)
        for f in 0..<span {
            for k in 0..<half {
                // Rounded to float32 where the reference is.
                let frequency = Float(ck_exp(Double(Float(k) * Float(-increment))))
                let angle = Double(Float(past - f) * frequency)
                signal[f * size + k] = Float(ck_sin(angle))
                signal[f * size + half + k] = Float(ck_cos(angle))
            }
        }
        var rows = [Float](repeating: 0, count: span * projection.rows)
        signal.withUnsafeBufferPointer { x in
            rows.withUnsafeMutableBufferPointer { y in
                if let x = x.baseAddress, let y = y.baseAddress { projection.multiply(x, tokens: span, into: y, .serial) }
            }
        }
        return Vector(rows)
    }

    /// Changes the first `frames` rows of `activations.hidden`. Rows of frames that are not real are left undefined.
    func callAsFunction(
        _ activations: borrowing AudioActivations, frames: Int, mask: UnsafePointer<Bool>, _ parallelism: Parallelism
    ) {
        let size = heads * headSize
        let x = activations.hidden.pointer
        let (q, k, v) = (activations.queries.pointer, activations.keys.pointer, activations.values.pointer)
        let epsilon = AudioConformerBlock.normEpsilon
        let memory = activations.memory
        let query = query.ready(memory, parallelism)
        let key = key.ready(memory, parallelism)
        let value = value.ready(memory, parallelism)
        memory.forEachTile(frames, scratchPerPixel: size, [query, key, value], parallelism) { range, normed, work in
            let place = range.lowerBound * size
            AudioRows.normalize(x + place, frames: range.count, clip: clip, weight: preNorm, epsilon: epsilon, into: normed)
            query.multiply(normed, tokens: range.count, into: q + place, scratch: work)
            key.multiply(normed, tokens: range.count, isSameInput: true, into: k + place, scratch: work)
            value.multiply(normed, tokens: range.count, isSameInput: true, into: v + place, scratch: work)
        }
        let post = post.ready(memory, parallelism)
        memory.forEachTile(frames, scratchPerPixel: 2 * size, [post], parallelism) { range, mixed, work in
            let out = mixed + range.count * size
            attend(range, frames: frames, q: q, k: k, v: v, mask: mask, into: mixed)
            post.multiply(mixed, tokens: range.count, into: out, scratch: work)
            AudioRows.normalize(out, frames: range.count, clip: clip, weight: postNorm, epsilon: epsilon, into: out)
            ck_add_f32(out, x + range.lowerBound * size, range.count * size)
        }
    }

    /// The heads' outputs for the frames in `range`, from the start of `output` on.
    private func attend(
        _ range: Range<Int>, frames: Int, q: UnsafeMutablePointer<Float>, k: UnsafePointer<Float>, v: UnsafePointer<Float>,
        mask: UnsafePointer<Bool>, into output: UnsafeMutablePointer<Float>
    ) {
        let size = heads * headSize
        let span = past + 1 + future
        let memory = FloatBuffer(count: 3 * span)
        let scores = memory.pointer  // of the band; later its probabilities
        let positional = scores + span
        let real = positional + span  // scores of real frames only
        for i in range {
            let row = q + i * size
            ck_multiply_f32(queryScale.pointer, row, row, size)
            let first = max(0, i - past)
            let count = min(frames - 1, i + future) - first + 1
            let shift = first - (i - past)
            for h in 0..<heads {
                let query = row + h * headSize
                let start = first * size + h * headSize
                ck_matmul_f32(k + start, size, count, headSize, query, headSize, 1, scores, count)
                ck_matmul_f32(positions.pointer + shift * size + h * headSize, size, count, headSize, query, headSize, 1, positional, count)
                ck_add_f32(positional, scores, count)
                ck_softcap_f32(scores, cap, scores, count)
                var realCount = 0
                for j in 0..<count where mask[first + j] {
                    real[realCount] = scores[j]
                    realCount += 1
                }
                ck_softmax_f32(real, realCount)
                var next = 0
                for j in 0..<count {
                    scores[j] = 0
                    if mask[first + j] {
                        scores[j] = real[next]
                        next += 1
                    }
                }
                ck_weighted_sum_f32(scores, count, v + start, size, output + (i - range.lowerBound) * size + h * headSize, headSize)
            }
        }
    }
}
