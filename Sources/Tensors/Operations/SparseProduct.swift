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
}
