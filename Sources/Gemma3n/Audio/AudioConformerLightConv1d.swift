internal import CKernels
internal import Checkpoint
internal import Tensors

/// A causal depthwise convolution over time behind a gate:
/// `x += W_end silu(rms(clip(conv(glu(W_start rms(x; pre)))); norm))`.
///
/// - Source: `Gemma3nAudioConformerLightConv1d` in transformers 5.23.0.
struct AudioConformerLightConv1d: Sendable {
    private let clip: Float
    private let epsilon: Float
    private let taps: Int
    private let preNorm: Vector  // [D]
    private let start: EncoderMatrix  // [2 D, D]: values, then gates
    private let kernel: Vector  // [taps, D], the last tap on the frame itself
    private let convNorm: Vector  // [D]
    private let end: EncoderMatrix  // [D, D]

    init(_ scope: WeightScope, _ c: AudioConfiguration, _ copies: EncoderCopies) throws(CheckpointError) {
        let size = c.hiddenSize
        clip = c.gradientClipping
        epsilon = c.rmsNormEps
        taps = c.confConvKernelSize
        preNorm = try scope["pre_layer_norm"].vector(count: size)
        start = EncoderMatrix(try scope["linear_start"].matrix(rows: 2 * size, columns: size, reason: "2 × hidden_size \(size)"), copies)
        let stored = try scope["depthwise_conv1d"].tensor(
            shape: [size, 1, taps], reason: "hidden_size \(size), conf_conv_kernel_size \(taps)"
        ).decoded()
        var transposed = [Float](repeating: 0, count: stored.count)
        for channel in 0..<size {
            for tap in 0..<taps { transposed[tap * size + channel] = stored[channel * taps + tap] }
        }
        kernel = Vector(transposed)
        convNorm = try scope["conv_norm"].vector(count: size)
        end = EncoderMatrix(try scope["linear_end"].matrix(rows: size, columns: size), copies)
    }

    /// Changes the first `frames` rows of `activations.hidden`.
    func callAsFunction(_ activations: borrowing AudioActivations, frames: Int, _ parallelism: Parallelism) {
        let size = end.rows
        let x = activations.hidden.pointer
        let gated = activations.mixed.pointer
        let memory = activations.memory
        let start = start.ready(memory, parallelism)
        memory.forEachTile(frames, scratchPerPixel: 3 * size, [start], parallelism) { range, normed, work in
            let wide = normed + range.count * size
            AudioRows.normalize(
                x + range.lowerBound * size, frames: range.count, clip: .infinity, weight: preNorm, epsilon: epsilon, into: normed)
            start.multiply(normed, tokens: range.count, into: wide, scratch: work)
            for (t, frame) in range.enumerated() {
                ck_glu_f32(wide + 2 * t * size, wide + (2 * t + 1) * size, gated + frame * size, size)
            }
        }
        let end = end.ready(memory, parallelism)
        memory.forEachTile(frames, scratchPerPixel: 2 * size, [end], parallelism) { range, normed, work in
            let out = normed + range.count * size
            for (t, frame) in range.enumerated() { convolve(frame, gated, into: normed + t * size) }
            AudioRows.normalize(normed, frames: range.count, clip: clip, weight: convNorm, epsilon: epsilon, into: normed)
            ck_silu_f32(normed, normed, range.count * size)
            end.multiply(normed, tokens: range.count, into: out, scratch: work)
            ck_add_f32(out, x + range.lowerBound * size, range.count * size)
        }
    }

    /// Frame `t`: sums taps from the oldest frame to `t` itself; frames before the first are zeros.
    private func convolve(_ t: Int, _ input: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>) {
        let size = end.rows
        y.update(repeating: 0, count: size)
        for tap in max(0, taps - 1 - t)..<taps {
            let source = input + (t - (taps - 1) + tap) * size
            let weight = kernel.pointer + tap * size
            for channel in 0..<size { y[channel] += weight[channel] * source[channel] }
        }
    }
}
