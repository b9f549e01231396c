internal import Checkpoint
internal import Tensors

/// One block of the conformer: feed-forward, attention, light convolution, feed-forward, norm.
///
/// - Source: `Gemma3nAudioConformerBlock` in transformers 5.23.0.
struct AudioConformerBlock: Sendable {
    /// Of all norms but those of the light convolution: the reference leaves them at its default instead of `rms_norm_eps`.
    static let normEpsilon: Float = 1e-6

    private let feedForwardStart: AudioConformerFeedForward
    private let attention: AudioConformerAttention
    private let lightConvolution: AudioConformerLightConv1d
    private let feedForwardEnd: AudioConformerFeedForward
    private let norm: Vector  // [D]

    init(_ scope: WeightScope, _ c: AudioConfiguration, _ copies: EncoderCopies) throws(CheckpointError) {
        feedForwardStart = try AudioConformerFeedForward(scope["ffw_layer_start"], c, copies)
        attention = try AudioConformerAttention(scope["attention"], c, copies)
        lightConvolution = try AudioConformerLightConv1d(scope["lconv1d"], c, copies)
        feedForwardEnd = try AudioConformerFeedForward(scope["ffw_layer_end"], c, copies)
        norm = try scope["norm"].vector(count: c.hiddenSize)
    }

    /// Changes the first `frames` rows of `activations.hidden`.
    ///
    /// - Parameters:
    ///   - mask: Per frame, whether it is real.
    ///   - keepingEvery: Every so-manieth frame is finished and moved to the front; the steps that mix frames run for all.
    /// - Returns: The number of rows that are valid now.
    func callAsFunction(
        _ activations: borrowing AudioActivations, frames: Int, mask: UnsafePointer<Bool>, keepingEvery step: Int = 1,
        _ parallelism: Parallelism
    ) -> Int {
        let size = norm.count
        let x = activations.hidden.pointer
        feedForwardStart(activations, frames: frames, parallelism)
        attention(activations, frames: frames, mask: mask, parallelism)
        // Also the residual: what padding held is gone.
        for t in 0..<frames where !mask[t] { (x + t * size).update(repeating: 0, count: size) }
        lightConvolution(activations, frames: frames, parallelism)
        var kept = frames
        if step > 1 {
            kept = 0
            for t in stride(from: 0, to: frames, by: step) {
                if kept != t { (x + kept * size).update(from: x + t * size, count: size) }
                kept += 1
            }
        }
        feedForwardEnd(activations, frames: kept, lastNorm: norm, parallelism)
        return kept
    }
}
