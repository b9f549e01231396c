internal import CKernels

/// The scales and biases of a matrix in layout `groups`: weight = scale * number + bias, both shared by `length` columns of a row.
package final class AffineGroups: Sendable {
    /// Columns that share a scale and a bias: 32, 64 or 128.
    let length: Int
    /// How scales and biases are stored: a plain format.
    let format: ElementFormat
    private let scales: (region: ByteRegion, offset: Int)
    private let biases: (region: ByteRegion, offset: Int)

    /// - Precondition: Both hold `[rows, columns / length]` numbers of `format` from their offset on, for the matrix they go with.
    package init(length: Int, format: ElementFormat, scales: (region: ByteRegion, offset: Int), biases: (region: ByteRegion, offset: Int)) {
        precondition(length > 0 && length % 32 == 0 && !format.isQuantized, "groups of \(length) with scales in \(format.name)")
        self.length = length
        self.format = format
        self.scales = scales
        self.biases = biases
    }

    /// Bytes of the scales, and as many of the biases, of some rows.
    package func byteCount(rows: Int, columns: Int) -> Int { rows * columns / length * format.blockByteCount }

    /// Where they lie for the first rows of a matrix.
    package func places(rows: Int, columns: Int) -> [(region: ByteRegion, bytes: Range<Int>)] {
        let count = byteCount(rows: rows, columns: columns)
        return [scales, biases].map { ($0.region, $0.offset..<$0.offset + count) }
    }

    /// Columns of a row, a multiple of 32 at both ends, as blocks of the affine format `element`.
    ///
    /// - Parameter numbers: The row's.
    func blocks(
        _ element: ElementFormat, row: Int, of columns: Int, _ range: Range<Int>, numbers: UnsafeRawPointer, into out: UnsafeMutableRawPointer
    ) {
        guard let scales = scales.region.bytes.baseAddress.map({ $0 + self.scales.offset }),
            let biases = biases.region.bytes.baseAddress.map({ $0 + self.biases.offset })
        else { return }
        let start = byteCount(rows: row, columns: columns)
        ck_group_blocks(
            element.kernel, numbers, scales + start, biases + start, format.kernel, length, range.lowerBound, range.count, out)
    }
}
