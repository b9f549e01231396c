internal import CKernels

extension Matrix {
    /// `y[t] = W x[t]` for `tokens` inputs, spread over rows (and over tokens where rows are few).
    ///
    /// - Parameters:
    ///   - x: `[tokens, columns]`, rows `xStride` apart (default `columns`).
    ///   - y: `[tokens, rows]`, rows `yStride` apart (default `rows`). Must not overlap `x`.
    /// - Complexity: `tokens * rows * columns` multiply-adds, no allocation. Each element is summed in an order that
    ///   depends on `columns` only.
    package func multiply(
        _ x: UnsafePointer<Float>, tokens: Int, xStride: Int? = nil, into y: UnsafeMutablePointer<Float>, yStride: Int? = nil,
        _ parallelism: Parallelism
    ) {
        let xStride = xStride ?? columns
        let yStride = yStride ?? rows
        if tokens == 0 || rows == 0 { return }
        if parallelism.threadCount == 1 {
            multiplyRows(0..<rows, x, tokens: tokens, xStride: xStride, into: y, yStride: yStride)
            return
        }
        // Tasks small enough to balance the threads, large enough to amortise handing one out. Rows are split first: a
        // thread then reads its weights once; tokens only where there are too few rows.
        let work = max(1, columns * tokens)
        let smallest = max(1, (1 << 17) / work)
        let balanced = rows / (4 * parallelism.threadCount)
        let grain = max(16, (max(smallest, min(balanced, 128)) + 15) / 16 * 16)
        let rowTasks = (rows + grain - 1) / grain
        if rowTasks >= 2 * parallelism.threadCount || tokens < 32 {
            parallelism.forEachRange(rows, by: grain) { range in
                multiplyRows(range, x, tokens: tokens, xStride: xStride, into: y, yStride: yStride)
            }
        } else {
            let step = max(24, (1 << 17) / max(1, columns * min(grain, rows)))
            let tokenTasks = (tokens + step - 1) / step
            parallelism.forEach(rowTasks * tokenTasks) { task in
                let (first, token) = (task / tokenTasks * grain, task % tokenTasks * step)
                multiplyRows(
                    first..<min(rows, first + grain), x + token * xStride, tokens: min(step, tokens - token), xStride: xStride,
                    into: y + token * yStride, yStride: yStride)
            }
        }
    }

    /// The same for the rows in `range`, on this thread. `y` is the start of the whole output.
    package func multiplyRows(
        _ range: Range<Int>, _ x: UnsafePointer<Float>, tokens: Int, xStride: Int, into y: UnsafeMutablePointer<Float>, yStride: Int
    ) {
        let w = base + range.lowerBound * rowStride * format.byteCount
        let out = y + range.lowerBound
        switch format {
        case .f32:
            ck_matmul_f32(w.assumingMemoryBound(to: Float.self), rowStride, range.count, columns, x, xStride, tokens, out, yStride)
        case .f16:
            ck_matmul_f16(w.assumingMemoryBound(to: UInt16.self), rowStride, range.count, columns, x, xStride, tokens, out, yStride)
        case .bf16:
            ck_matmul_bf16(w.assumingMemoryBound(to: UInt16.self), rowStride, range.count, columns, x, xStride, tokens, out, yStride)
        }
    }
}

// MARK: Products of many vectors

extension Matrix {
    /// The rows in `range`, as float32 in the layout of `ck_gemm_packed_f32`, to `packed`: `columns` times `range.count`, rounded up
    /// to 32, floats.
    package func packRows(_ range: Range<Int>, into packed: UnsafeMutablePointer<Float>) {
        let w = base + range.lowerBound * rowStride * format.byteCount
        switch format {
        case .f32: ck_gemm_pack_f32(w.assumingMemoryBound(to: Float.self), rowStride, range.count, columns, packed)
        case .f16: ck_gemm_pack_f16(w.assumingMemoryBound(to: UInt16.self), rowStride, range.count, columns, packed)
        case .bf16: ck_gemm_pack_bf16(w.assumingMemoryBound(to: UInt16.self), rowStride, range.count, columns, packed)
        }
    }
}
