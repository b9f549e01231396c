internal import CKernels
internal import Checkpoint
internal import Tensors

/// `x += residualWeight · rms(clip(W₂ silu(W₁ rms(clip(x); pre))); post)`
///
/// - Source: `Gemma3nAudioConformerFeedForward` in transformers 5.23.0.
struct AudioConformerFeedForward: Sendable {
    private let clip: Float
    private let residualWeight: Float
    private let preNorm: Vector  // [D]
    private let up: EncoderMatrix  // [4 D, D]
    private let down: EncoderMatrix  // [D, 4 D]
    private let postNorm: Vector  // [D]

    init(_ scope: WeightScope, _ c: AudioConfiguration, _ copies: EncoderCopies) throws(CheckpointError) {
        clip = c.gradientClipping
        residualWeight = c.confResidualWeight
        preNorm = try scope["pre_layer_norm"].vector(count: c.hiddenSize)
        up = EncoderMatrix(
            try scope["ffw_layer_1"].matrix(rows: 4 * c.hiddenSize, columns: c.hiddenSize, reason: "4 × hidden_size \(c.hiddenSize)"), copies)
        down = EncoderMatrix(
            try scope["ffw_layer_2"].matrix(rows: c.hiddenSize, columns: 4 * c.hiddenSize, reason: "4 × hidden_size \(c.hiddenSize)"), copies)
        postNorm = try scope["post_layer_norm"].vector(count: c.hiddenSize)
    }

    /// Changes the first `frames` rows of `activations.hidden`.
    ///
    /// - Parameter lastNorm: A norm that follows, of every row by itself.
    func callAsFunction(
        _ activations: borrowing AudioActivations, frames: Int, lastNorm: Vector? = nil, _ parallelism: Parallelism
    ) {
        let size = down.rows
        let wide = up.rows
        let x = activations.hidden.pointer
        let epsilon = AudioConformerBlock.normEpsilon
        let up = up.ready(activations.memory, parallelism)
        let down = down.ready(activations.memory, parallelism)
        activations.memory.forEachTile(frames, scratchPerPixel: size + wide, [up, down], parallelism) { range, normed, work in
            let inner = normed + range.count * size
            let rows = x + range.lowerBound * size
            AudioRows.normalize(rows, frames: range.count, clip: clip, weight: preNorm, epsilon: epsilon, into: normed)
            up.multiply(normed, tokens: range.count, into: inner, scratch: work)
            ck_silu_f32(inner, inner, range.count * wide)
            down.multiply(inner, tokens: range.count, into: normed, scratch: work)
            AudioRows.normalize(normed, frames: range.count, clip: clip, weight: postNorm, epsilon: epsilon, into: normed)
            ck_axpy_f32(residualWeight, normed, rows, range.count * size)
            if let lastNorm {
                AudioRows.normalize(rows, frames: range.count, clip: clip, weight: lastNorm, epsilon: epsilon, into: rows)
            }
        }
    }
}
