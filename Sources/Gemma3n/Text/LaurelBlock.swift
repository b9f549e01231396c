internal import CKernels
internal import Checkpoint
internal import Tensors

/// Learned augmented residual: `y = x + norm(right (left x))`, of low rank, beside attention.
///
/// - Source: LAuReL, arXiv:2411.07501; `Gemma3nTextLaurelBlock` in transformers 5.23.0.
struct LaurelBlock {
    let left: Matrix  // [R, D]
    let right: Matrix  // [D, R]
    let norm: Vector  // [D]
    let epsilon: Float

    init(_ scope: WeightScope, _ c: TextConfiguration, _ prepare: WeightPreparation) throws(CheckpointError) {
        let reason = "laurel_rank \(c.laurelRank)"
        left = prepare(try scope["linear_left"].matrix(rows: c.laurelRank, columns: c.hiddenSize, reason: reason), .panels)
        right = prepare(try scope["linear_right"].matrix(rows: c.hiddenSize, columns: c.laurelRank, reason: reason), .panels)
        norm = try scope["post_laurel_norm"].vector(count: c.hiddenSize)
        epsilon = c.rmsNormEps
    }

    /// The last step: `y = x + norm(y)` for row `r` of `y = right (left x)`.
    ///
    /// - Parameter x: The normalised layer input, `[T, D]`; also the residual (not the layer input itself).
    func finish(_ x: UnsafePointer<Float>, row r: Int, _ y: UnsafeMutablePointer<Float>) {
        let d = right.rows
        ck_rms_norm_f32(y + r * d, norm.pointer, epsilon, y + r * d, d)
        ck_add_f32(x + r * d, y + r * d, d)
    }
}
