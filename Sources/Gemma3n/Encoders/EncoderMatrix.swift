internal import CKernels
internal import Tensors

/// A weight matrix `[rows, columns]` of an encoder.
struct EncoderMatrix: Sendable {
    let rows: Int
    let columns: Int
    private let weight: Matrix

    init(_ weight: Matrix) {
        rows = weight.rows
        columns = weight.columns
        self.weight = weight
    }

    /// The matrix as its products read it. Made anew for every run and shared by all products of it: packed weights take twice
    /// the bytes of stored ones, and packing them costs as much as multiplying one vector.
    func ready(_ memory: EncoderMemory, _ parallelism: Parallelism) -> ReadyMatrix {
        let panel = Int(CK_GEMM_PANEL)
        let panels = (rows + panel - 1) / panel
        let block = memory.lend(panels * panel * columns)
        parallelism.forEachRange(panels, by: max(1, (1 << 16) / max(panel * columns, 1))) { range in
            weight.packRows(
                range.lowerBound * panel..<min(rows, range.upperBound * panel), into: block.pointer + range.lowerBound * panel * columns)
        }
        return ReadyMatrix(rows: rows, columns: columns, packed: block)
    }
}

/// A weight matrix ready for many vectors.
///
/// An element is summed in an order that depends on `columns` only (`ck_gemm_packed_f32`).
struct ReadyMatrix {
    let rows: Int
    let columns: Int
    fileprivate let packed: EncoderMemory.Loan

    /// Floats of memory that a product with at most `tokens` vectors works in.
    func scratchCount(tokens: Int) -> Int { Int(CK_GEMM_SCRATCH) }

    /// `y[t] = W x[t]`, or `y[t] += W x[t]`, on this thread.
    ///
    /// - Parameters:
    ///   - x: `[tokens, columns]`.
    ///   - y: `[tokens, rows]`. Must not overlap `x`.
    ///   - range: The rows to compute, from a multiple of 32 on.
    ///   - scratch: `scratchCount(tokens:)` floats.
    func multiply(
        _ x: UnsafePointer<Float>, tokens: Int, adding: Bool = false, rows range: Range<Int>? = nil, into y: UnsafeMutablePointer<Float>,
        scratch: UnsafeMutablePointer<Float>
    ) {
        let range = range ?? 0..<rows
        ck_gemm_packed_f32(
            packed.pointer + range.lowerBound * columns, range.count, columns, x, columns, tokens, adding ? 1 : 0, y + range.lowerBound, rows,
            scratch)
    }

    /// `y[t] = W x[t]`, spread over rows and vectors.
    func multiply(
        _ x: UnsafePointer<Float>, tokens: Int, into y: UnsafeMutablePointer<Float>, _ memory: EncoderMemory, _ parallelism: Parallelism
    ) {
        // Each task puts its vectors in order once: it should have many rows.
        let tokenParts = max(1, (tokens + 95) / 192)
        let tokenStep = max(12, ((tokens + tokenParts - 1) / tokenParts + 11) / 12 * 12)
        let rowStep = 512
        let rowTasks = (rows + rowStep - 1) / rowStep
        let tokenTasks = (tokens + tokenStep - 1) / tokenStep
        memory.forEach(rowTasks * tokenTasks, scratch: scratchCount(tokens: tokenStep), parallelism) { task, scratch in
            let (first, token) = (task / tokenTasks * rowStep, task % tokenTasks * tokenStep)
            multiply(
                x + token * columns, tokens: min(tokenStep, tokens - token), rows: first..<min(rows, first + rowStep),
                into: y + token * rows, scratch: scratch)
        }
    }
}
