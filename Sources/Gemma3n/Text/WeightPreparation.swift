public import Tensors

/// How quantised weights are brought into the order in which kernels read them while a model is opened.
///
/// Packed checkpoints have that order already and are used where they lie. Others (GGUF, MLX) are repacked into memory of their own:
/// rows interleaved by 16, and the down projection of sparse layers transposed. Numbers only move; plain weights stay where they are.
public struct WeightPreparation {
    private let parallelism: Parallelism
    private let onPacked: (_ region: ByteRegion, _ bytes: Range<Int>) -> Void

    /// - Parameter onPacked: Told which stored bytes have been copied and will not be read again; a host may let go of their pages.
    public init(_ parallelism: Parallelism = .serial, onPacked: @escaping (_ region: ByteRegion, _ bytes: Range<Int>) -> Void = { _, _ in }) {
        self.parallelism = parallelism
        self.onPacked = onPacked
    }

    /// The matrix in `layout` if it is quantised and lies as in other programs' files.
    func callAsFunction(_ matrix: Matrix, _ layout: MatrixLayout) -> Matrix {
        guard matrix.format.isQuantized, matrix.layout == .rows || matrix.layout == .groups, matrix.layout != layout,
            let packed = matrix.packed(layout, parallelism)
        else { return matrix }
        for place in matrix.places { onPacked(place.region, place.bytes) }
        return packed
    }
}
