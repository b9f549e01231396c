internal import CKernels

extension Matrix {
    /// The same matrix in another layout, in memory of its own. Numbers only move.
    ///
    /// - Returns: Nil if the format has no such layout.
    /// - Precondition: The matrix lies in layout `rows` or `groups`, and is to go into another.
    package func packed(_ target: MatrixLayout, _ parallelism: Parallelism) -> Matrix? {
        precondition((layout == .rows || layout == .groups) && target != layout, "\(layout.name) to \(target.name)")
        guard target != .groups, let size = target.byteCount(format, rows: rows, columns: columns) else { return nil }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(size, 64), alignment: 64)
        guard let out = memory.baseAddress else { return nil }
        pack(target, into: out, parallelism)
        let region = ByteRegion(UnsafeRawBufferPointer(memory)) { _ in memory.deallocate() }
        return Matrix(region: region, offset: 0, rows: rows, columns: columns, format: format, layout: target)
    }

    /// Writes the matrix in another layout to `out`, which has room for it.
    private func pack(_ target: MatrixLayout, into out: UnsafeMutableRawPointer, _ parallelism: Parallelism) {
        let rowBytes = format.byteCount(of: columns)
        switch target {
        case .rows: parallelism.forEachRange(rows, by: 16) { range in copyRows(range, into: out + range.lowerBound * rowBytes) }
        case .panels:
            let panel = ck_panel_bytes(format.kernel, columns)
            parallelism.forEach((rows + 15) / 16) { index in
                let range = index * 16..<min(rows, index * 16 + 16)
                withRows(range) { ck_pack_panel(format.kernel, $0, rowBytes, range.count, columns, out + index * panel) }
            }
        case .units:
            withRows(0..<rows) { base in
                parallelism.forEachRange(rows, by: Self.unitOutputs) { range in
                    ck_pack_units(format.kernel, base, rowBytes, rows, columns, range.lowerBound, range.count, out)
                }
            }
        case .groups: preconditionFailure("nothing is packed into groups")
        }
    }

    /// The rows in `range` in layout `rows`: where they lie, or copied.
    private func withRows(_ range: Range<Int>, _ body: (UnsafeRawPointer) -> Void) {
        if layout == .rows, stride == format.byteCount(of: columns) { return body(base + range.lowerBound * stride) }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(64, range.count * format.byteCount(of: columns)), alignment: 64)
        defer { copy.deallocate() }
        guard let memory = copy.baseAddress else { return }
        copyRows(range, into: memory)
        body(memory)
    }
}
