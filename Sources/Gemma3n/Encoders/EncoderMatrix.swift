internal import CKernels
internal import Tensors

/// A weight matrix `[rows, columns]` of an encoder.
struct EncoderMatrix: Sendable {
    let rows: Int
    let columns: Int
    private let weight: Matrix
    /// The copy in 8 bits; nil where products are computed in float32.
    private let panels: EncoderPanels?

    /// - Parameter copies: Where the copy in 8 bits, if there is to be one, belongs.
    init(_ weight: Matrix, _ copies: EncoderCopies) {
        rows = weight.rows
        columns = weight.columns
        self.weight = weight
        panels = copies.panels(columns: columns)
    }

    /// The matrix as its products read it.
    ///
    /// Float32 weights are packed anew for every run and shared by all products of it: they take twice the bytes of stored ones, and
    /// packing costs about as much as multiplying two vectors. Weights in 8 bits are made once, when they are first needed.
    func ready(_ memory: EncoderMemory, _ parallelism: Parallelism) -> ReadyMatrix {
        if let panels, let matrix = panels.panels(of: weight, parallelism) {
            return ReadyMatrix(rows: rows, columns: columns, weights: .panels(matrix))
        }
        let panel = Int(CK_GEMM_PANEL)
        let panels = (rows + panel - 1) / panel
        let block = memory.lend(panels * panel * columns)
        parallelism.forEachRange(panels, by: max(1, (1 << 16) / max(panel * columns, 1))) { range in
            weight.packRows(
                range.lowerBound * panel..<min(rows, range.upperBound * panel), into: block.pointer + range.lowerBound * panel * columns)
        }
        return ReadyMatrix(rows: rows, columns: columns, weights: .floats(block))
    }
}

/// A weight matrix ready for many vectors.
///
/// An element is summed in an order that depends on `columns` only (`ck_gemm_packed_f32`, `ck_panel_matmul`).
struct ReadyMatrix {
    let rows: Int
    let columns: Int
    fileprivate let weights: Weights

    fileprivate enum Weights {
        case floats(EncoderMemory.Loan)
        case panels(Matrix)
    }

    /// Floats of memory that a product with at most `tokens` vectors works in.
    func scratchCount(tokens: Int) -> Int {
        switch weights {
        case .floats: Int(CK_GEMM_SCRATCH)
        case .panels: (ck_activations_bytes(tokens, columns) + 63) / 64 * 16
        }
    }

    /// `y[t] = W x[t]`, on this thread.
    ///
    /// - Parameters:
    ///   - x: `[tokens, columns]`.
    ///   - isSameInput: `x` is that of the last product in `scratch`, whose matrix had the same precision.
    ///   - range: The rows to compute, from a multiple of 32 on.
    ///   - y: `[tokens, rows]`. Must not overlap `x`.
    ///   - scratch: `scratchCount(tokens:)` floats, aligned to 64 bytes.
    func multiply(
        _ x: UnsafePointer<Float>, tokens: Int, isSameInput: Bool = false, rows range: Range<Int>? = nil, into y: UnsafeMutablePointer<Float>,
        scratch: UnsafeMutablePointer<Float>
    ) {
        let range = range ?? 0..<rows
        switch weights {
        case .floats(let packed):
            ck_gemm_packed_f32(
                packed.pointer + range.lowerBound * columns, range.count, columns, x, columns, tokens, 0, y + range.lowerBound, rows, scratch)
        case .panels(let panels):
            if !isSameInput { ck_quantize_activations(x, columns, columns, tokens, 0, tokens, scratch) }
            panels.multiplyPanels(range, scratch, tokens: tokens, into: y + range.lowerBound, yStride: rows)
        }
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
