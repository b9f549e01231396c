internal import CKernels

extension Matrix {
    /// `y[i] = row rows[i] times token` for `count` single rows of a matrix in layout `rows`, on this thread.
    ///
    /// - Parameter input: If the matrix is quantised, its copy in 8 bits must have been made (`LinearInput.quantize`).
    package func multiplyRows(
        _ rows: UnsafePointer<Int32>, count: Int, _ input: LinearInput, token: Int, into y: UnsafeMutablePointer<Float>
    ) {
        precondition(layout == .rows, "single rows are read from rows")
        guard format.isQuantized else {
            let x = input.x + token * input.stride
            for i in 0..<count {
                let row = Int(rows[i])
                multiplyRows(row..<row + 1, x, tokens: 1, xStride: columns, into: y + (i - row), yStride: 1)
            }
            return
        }
        guard let quantized = input.quantizedRows else { preconditionFailure("inputs were not quantised") }
        ck_dot_rows(format.kernel, base, stride, rows, count, columns, quantized, token, input.tokens, y)
    }

    /// `y[i] = sum_j a[j] W[first + i, units[j]]`, units ascending, for `range` of the outputs of a matrix in layout `units`, on this thread.
    ///
    /// - Parameter y: Output `range.lowerBound`.
    package func sumUnits(
        _ units: UnsafePointer<Int32>, _ a: UnsafePointer<Float>, count: Int, outputs range: Range<Int>, into y: UnsafeMutablePointer<Float>
    ) {
        precondition(layout == .units && range.lowerBound >= 0 && range.upperBound <= rows, "outputs \(range) of \(rows)")
        y.update(repeating: 0, count: range.count)
        ck_units_accumulate(format.kernel, base, rows, units, count, a, range.lowerBound, range.count, y)
    }

    /// Outputs at a multiple of which `sumUnits` may begin.
    package static var unitOutputs: Int { 128 }

    /// The same matrix in another layout, in memory of its own. Numbers only move.
    ///
    /// - Returns: Nil if the format has no such layout.
    /// - Precondition: The matrix lies in layout `rows`.
    package func packed(_ target: MatrixLayout, _ parallelism: Parallelism) -> Matrix? {
        precondition(layout == .rows, "only rows are packed")
        guard target != .rows, let size = target.byteCount(format, rows: rows, columns: columns) else { return nil }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(size, 64), alignment: 64)
        guard let out = memory.baseAddress else { return nil }
        pack(target, into: out, parallelism)
        let region = ByteRegion(UnsafeRawBufferPointer(memory)) { _ in memory.deallocate() }
        return Matrix(region: region, offset: 0, rows: rows, columns: columns, format: format, layout: target)
    }

    /// Writes the matrix in another layout to `out`, which has room for it.
    package func pack(_ target: MatrixLayout, into out: UnsafeMutableRawPointer, _ parallelism: Parallelism) {
        precondition(layout == .rows, "only rows are packed")
        switch target {
        case .rows:
            for r in 0..<rows {
                (out + r * format.byteCount(of: columns)).copyMemory(from: base + r * stride, byteCount: format.byteCount(of: columns))
            }
        case .panels:
            let panel = ck_panel_bytes(format.kernel, columns)
            parallelism.forEach((rows + 15) / 16) { index in
                ck_pack_panel(
                    format.kernel, base + index * 16 * stride, stride, min(16, rows - index * 16), columns, out + index * panel)
            }
        case .units:
            parallelism.forEachRange(rows, by: Self.unitOutputs) { range in
                ck_pack_units(format.kernel, base, stride, rows, columns, range.lowerBound, range.count, out)
            }
        }
    }
}
