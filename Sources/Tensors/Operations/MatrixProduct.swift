internal import CKernels

/// A product that shares a parallel region with others.
package struct LinearProduct {
    let matrix: Matrix
    let input: LinearInput
    let y: UnsafeMutablePointer<Float>
    let stride: Int

    /// - Parameters:
    ///   - y: `[tokens, rows]`, rows `stride` apart (default `matrix.rows`).
    package init(_ matrix: Matrix, _ input: LinearInput, into y: UnsafeMutablePointer<Float>, stride: Int? = nil) {
        self.matrix = matrix
        self.input = input
        self.y = y
        self.stride = stride ?? matrix.rows
    }
}

extension Matrix {
    /// `y[t] = W x[t]` for all inputs, spread over rows (and over tokens where rows are few).
    ///
    /// - Parameters:
    ///   - y: `[tokens, rows]`, rows `yStride` apart (default `rows`). Must not overlap the input.
    /// - Complexity: `tokens * rows * columns` multiply-adds. Each element is summed in an order that depends on `columns` only.
    package func multiply(
        _ input: LinearInput, into y: UnsafeMutablePointer<Float>, yStride: Int? = nil, _ parallelism: Parallelism
    ) {
        multiplyTogether(parallelism, LinearProduct(self, input, into: y, stride: yStride))
    }

    /// The same for inputs that meet this matrix only.
    ///
    /// - Parameter x: `[tokens, columns]`, rows `xStride` apart (default `columns`).
    package func multiply(
        _ x: UnsafePointer<Float>, tokens: Int, xStride: Int? = nil, into y: UnsafeMutablePointer<Float>, yStride: Int? = nil,
        _ parallelism: Parallelism
    ) {
        let input = LinearInput()
        input.set(x, tokens: tokens, columns: columns, stride: xStride)
        multiply(input, into: y, yStride: yStride, parallelism)
    }

    /// The product with the rows in `range` of a plain matrix, on this thread. `y` is the start of the whole output.
    package func multiplyRows(
        _ range: Range<Int>, _ x: UnsafePointer<Float>, tokens: Int, xStride: Int, into y: UnsafeMutablePointer<Float>, yStride: Int
    ) {
        let w = base + range.lowerBound * stride
        let out = y + range.lowerBound
        let wStride = stride / format.blockByteCount
        switch format {
        case .f32: ck_matmul_f32(w.assumingMemoryBound(to: Float.self), wStride, range.count, columns, x, xStride, tokens, out, yStride)
        case .f16: ck_matmul_f16(w.assumingMemoryBound(to: UInt16.self), wStride, range.count, columns, x, xStride, tokens, out, yStride)
        case .bf16: ck_matmul_bf16(w.assumingMemoryBound(to: UInt16.self), wStride, range.count, columns, x, xStride, tokens, out, yStride)
        default: preconditionFailure("a matrix of \(format.name) is multiplied through a LinearInput")
        }
    }
}

/// Up to four products on the same number of tokens in one parallel region.
package func multiplyTogether(
    _ parallelism: Parallelism, _ a: LinearProduct, _ b: LinearProduct? = nil, _ c: LinearProduct? = nil, _ d: LinearProduct? = nil
) {
    let tokens = a.input.tokens
    if tokens == 0 { return }
    // Inputs first: tasks only read them.
    a.prepare(parallelism)
    b?.prepare(parallelism)
    c?.prepare(parallelism)
    d?.prepare(parallelism)
    let threads = parallelism.threadCount
    if threads == 1 {
        a.compute(0..<a.matrix.rows, 0..<tokens)
        if let b { b.compute(0..<b.matrix.rows, 0..<tokens) }
        if let c { c.compute(0..<c.matrix.rows, 0..<tokens) }
        if let d { d.compute(0..<d.matrix.rows, 0..<tokens) }
        return
    }
    func count(_ product: LinearProduct?) -> Int { product?.matrix.taskCount(tokens, threads) ?? 0 }
    let (na, nb, nc, nd) = (count(a), count(b), count(c), count(d))
    // Rows are split first: a thread then reads its weights once; tokens only where there are too few rows.
    let rowTasks = max(1, na + nb + nc + nd)
    var tokenTasks = 1
    if rowTasks < 4 * threads, tokens >= 48 { tokenTasks = min(tokens / 24, (4 * threads + rowTasks - 1) / rowTasks) }
    // Whole tiles of the kernels.
    let step = tokenTasks == 1 ? tokens : ((tokens + tokenTasks - 1) / tokenTasks + 23) / 24 * 24
    tokenTasks = (tokens + step - 1) / step
    parallelism.forEach((na + nb + nc + nd) * tokenTasks) { task in
        let (row, first) = (task / tokenTasks, task % tokenTasks * step)
        let range = first..<min(tokens, first + step)
        if row < na {
            a.computeTask(row, range, threads)
        } else if row < na + nb {
            b?.computeTask(row - na, range, threads)
        } else if row < na + nb + nc {
            c?.computeTask(row - na - nb, range, threads)
        } else {
            d?.computeTask(row - na - nb - nc, range, threads)
        }
    }
}

/// Says that the products of one token with these matrices are the region after the next one: threads that wait fetch what they will
/// begin with.
package func expectTogether(_ parallelism: Parallelism, _ a: Matrix, _ b: Matrix? = nil, _ c: Matrix? = nil, _ d: Matrix? = nil) {
    let threads = parallelism.threadCount
    func count(_ matrix: Matrix?) -> Int { matrix?.taskCount(1, threads) ?? 0 }
    let (na, nb, nc, nd) = (count(a), count(b), count(c), count(d))
    for thread in 0..<threads {
        let task = Parallelism.firstTask(of: thread, na + nb + nc + nd, threadCount: threads)
        let start: UnsafeRawBufferPointer? =
            if task < na { a.bytes(fromTask: task, threads) }
            else if task < na + nb { b?.bytes(fromTask: task - na, threads) }
            else if task < na + nb + nc { c?.bytes(fromTask: task - na - nb, threads) }
            else { d?.bytes(fromTask: task - na - nb - nc, threads) }
        if let start { parallelism.willRead(start, by: thread) }
    }
}

extension Matrix {
    /// Rows of one task: small enough to balance the threads, large enough to amortise handing one out.
    fileprivate func grain(_ tokens: Int, _ threads: Int) -> Int {
        let work = max(1, columns * tokens)
        let smallest = (format.isQuantized ? 1 << 18 : 1 << 17) / work
        let balanced = rows / (4 * threads)
        return max(16, (max(smallest, min(balanced, 128)) + 15) / 16 * 16)
    }

    /// The weights from the first row of a task of one token on.
    fileprivate func bytes(fromTask task: Int, _ threads: Int) -> UnsafeRawBufferPointer {
        let row = task * grain(1, threads)
        let first = (layout == .panels ? row / 16 : row) * stride
        let count = (layout == .panels ? (rows + 15) / 16 : rows) * stride
        return UnsafeRawBufferPointer(start: base + first, count: max(0, count - first))
    }

    fileprivate func taskCount(_ tokens: Int, _ threads: Int) -> Int {
        let grain = grain(tokens, threads)
        return (rows + grain - 1) / grain
    }
}

extension LinearProduct {
    fileprivate func prepare(_ parallelism: Parallelism) {
        precondition(input.columns == matrix.columns, "\(input.columns) inputs for \(matrix.columns) columns")
        if matrix.format.isQuantized { _ = input.quantized(parallelism) }
    }

    fileprivate func computeTask(_ task: Int, _ tokens: Range<Int>, _ threads: Int) {
        let grain = matrix.grain(input.tokens, threads)
        compute(task * grain..<min(matrix.rows, (task + 1) * grain), tokens)
    }

    /// Rows `rows` (from a multiple of 16 on) for the inputs `range`, on this thread.
    fileprivate func compute(_ rows: Range<Int>, _ range: Range<Int>) {
        if rows.isEmpty || range.isEmpty { return }
        let out = y + range.lowerBound * stride
        guard matrix.format.isQuantized, let quantized = input.quantizedRows else {
            precondition(matrix.layout == .rows, "plain matrices are multiplied row by row")
            matrix.multiplyRows(
                rows, input.x + range.lowerBound * input.stride, tokens: range.count, xStride: input.stride, into: out, yStride: stride)
            return
        }
        let format = matrix.format.kernel
        switch matrix.layout {
        case .panels:
            ck_panel_matmul(
                format, matrix.base + rows.lowerBound / 16 * matrix.stride, matrix.stride, rows.count, matrix.columns, quantized,
                range.lowerBound, range.count, input.tokens, out + rows.lowerBound, stride)
        case .rows:
            for t in range {
                ck_dot_rows(
                    format, matrix.base + rows.lowerBound * matrix.stride, matrix.stride, nil, rows.count, matrix.columns, quantized, t,
                    input.tokens, y + t * stride + rows.lowerBound)
            }
        case .units, .groups: preconditionFailure("\(matrix.layout.name) are not multiplied row by row")
        }
    }
}

// MARK: Products of many vectors

extension Matrix {
    /// The rows in `range`, as float32 in the layout of `ck_gemm_packed_f32`, to `packed`: `columns` times `range.count`, rounded up
    /// to 32, floats.
    package func packRows(_ range: Range<Int>, into packed: UnsafeMutablePointer<Float>) {
        let w = base + range.lowerBound * stride
        let rowStride = stride / format.blockByteCount
        switch format {
        case .f32: ck_gemm_pack_f32(w.assumingMemoryBound(to: Float.self), rowStride, range.count, columns, packed)
        case .f16: ck_gemm_pack_f16(w.assumingMemoryBound(to: UInt16.self), rowStride, range.count, columns, packed)
        case .bf16: ck_gemm_pack_bf16(w.assumingMemoryBound(to: UInt16.self), rowStride, range.count, columns, packed)
        default:
            withUnsafeTemporaryAllocation(of: Float.self, capacity: max(1, range.count * columns)) { decoded in
                guard let decoded = decoded.baseAddress else { return }
                for r in range { decodeRow(r, into: decoded + (r - range.lowerBound) * columns) }
                ck_gemm_pack_f32(decoded, columns, range.count, columns, packed)
            }
        }
    }

    /// The matrix with rows interleaved by 16 and weights in blocks of at least 32 columns, ready for `multiplyPanels`: itself, a quantised
    /// one repacked, or a plain one quantised to Q8_0. Nil if the columns are no whole number of blocks.
    package func inPanels(_ parallelism: Parallelism) -> Matrix? {
        if layout == .panels { return self }
        if layout == .units || columns % 32 != 0 || columns == 0 { return nil }
        if format.isQuantized { return packed(.panels, parallelism) }
        let count = (rows + 15) / 16
        let panelBytes = ck_panel_bytes(CK_Q8_0, columns)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(64, count * panelBytes), alignment: 64)
        guard let out = memory.baseAddress else { return nil }
        parallelism.forEachRange(count, by: max(1, (1 << 16) / (16 * columns))) { range in
            let rowBytes = columns / 32 * 34
            let values = FloatBuffer(count: columns)
            withUnsafeTemporaryAllocation(byteCount: 16 * rowBytes, alignment: 64) { quantized in
                guard let base = quantized.baseAddress else { return }
                for panel in range {
                    let lanes = min(16, rows - panel * 16)
                    for lane in 0..<lanes {
                        decodeRow(panel * 16 + lane, into: values.pointer)
                        ck_quantize_row(CK_Q8_0, values.pointer, columns, base + lane * rowBytes)
                    }
                    ck_pack_panel(CK_Q8_0, base, rowBytes, lanes, columns, out + panel * panelBytes)
                }
            }
        }
        let region = ByteRegion(UnsafeRawBufferPointer(memory)) { _ in memory.deallocate() }
        return Matrix(region: region, offset: 0, rows: rows, columns: columns, format: .q8_0, layout: .panels)
    }

    /// `y[t]` for the rows in `range`, from a multiple of 16 on, and all of `tokens` quantised inputs, on this thread.
    ///
    /// - Parameter y: The place of the first row in `range`.
    /// - Precondition: The matrix lies in panels.
    package func multiplyPanels(
        _ range: Range<Int>, _ activations: UnsafeRawPointer, tokens: Int, into y: UnsafeMutablePointer<Float>, yStride: Int
    ) {
        precondition(layout == .panels && range.lowerBound % 16 == 0, "rows from \(range.lowerBound) on are no panels")
        ck_panel_matmul(
            format.kernel, base + range.lowerBound / 16 * stride, stride, range.count, columns, activations, 0, tokens, tokens, y, yStride)
    }
}
