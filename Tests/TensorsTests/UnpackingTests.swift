import CKernels
import Tensors
import Testing

/// Packed rows come back byte for byte; rows in groups become the blocks they stand for.
struct UnpackingTests {
    @Test("panels and units give their rows back", arguments: BlockRows.formats)
    func rowsComeBack(format: ck_format) throws {
        for (rows, columns) in [(1, 256), (16, 512), (21, 768), (131, 256), (300, 512)] {
            let source = BlockRows(format, rows: rows, columns: columns, seed: 91)
            let kind = try #require(ElementFormat(rawValue: UInt8(format.rawValue)))
            let matrix = Matrix(region: ByteRegion(copying: source.bytes), offset: 0, rows: rows, columns: columns, format: kind)
            for layout in [MatrixLayout.panels, .units] {
                let packed = try #require(matrix.packed(layout, .serial))
                var bytes = [UInt8](repeating: 0xAA, count: source.bytes.count)
                bytes.withUnsafeMutableBytes { packed.copyRows(0..<rows, into: $0.baseAddress.unsafelyUnwrapped) }
                let isSame = bytes == source.bytes
                #expect(isSame, "\(kind.name) \(layout.name), \(rows) x \(columns)")
                // Some rows in the middle.
                let part = rows / 3..<max(rows / 3 + 1, rows * 2 / 3)
                var some = [UInt8](repeating: 0xAA, count: part.count * source.rowBytes)
                some.withUnsafeMutableBytes { packed.copyRows(part, into: $0.baseAddress.unsafelyUnwrapped) }
                #expect(some == Array(source.bytes[part.lowerBound * source.rowBytes..<part.upperBound * source.rowBytes]), "\(kind.name) \(layout.name)")
            }
        }
    }

    @Test("plain units give their rows back", arguments: [ElementFormat.f32, .f16, .bf16])
    func plainRowsComeBack(format: ElementFormat) throws {
        var numbers = Numbers(17)
        let bytes = (0..<131 * 40 * format.blockByteCount).map { _ in UInt8(truncatingIfNeeded: numbers.next() >> 9) }
        let matrix = Matrix(region: ByteRegion(copying: bytes), offset: 0, rows: 131, columns: 40, format: format)
        let units = try #require(matrix.packed(.units, .serial))
        var back = [UInt8](repeating: 0xAA, count: bytes.count)
        back.withUnsafeMutableBytes { units.copyRows(0..<131, into: $0.baseAddress.unsafelyUnwrapped) }
        let isSame = back == bytes
        #expect(isSame)
    }

    /// MLX's order: 4 bits from the lowest of a word up, so even columns in the low nibbles; a scale and a bias for each group.
    @Test("groups are read as blocks", arguments: [ElementFormat.affine4, .affine8], [32, 64, 128])
    func groups(format: ElementFormat, length: Int) throws {
        let (rows, columns) = (19, 256)
        let width = format == .affine4 ? 4 : 8
        var numbers = Numbers(23)
        let q = (0..<rows * columns).map { _ in UInt8(truncatingIfNeeded: numbers.next() >> 20) & UInt8(truncatingIfNeeded: (1 << width) - 1) }
        let stored = width == 8 ? q : stride(from: 0, to: q.count, by: 2).map { q[$0] | q[$0 + 1] << 4 }
        let (scales, biases) = (numbers.floats(rows * columns / length), numbers.floats(rows * columns / length))
        func region(_ values: [Float]) -> (region: ByteRegion, offset: Int) {
            // Off by a few bytes, as in a file.
            (ByteRegion(copying: [1, 2, 3] + values.flatMap { value in withUnsafeBytes(of: value.bitPattern.littleEndian) { [UInt8]($0) } }), 3)
        }
        let matrix = Matrix(
            region: ByteRegion(copying: [9] + stored), offset: 1, rows: rows, columns: columns, format: format, layout: .groups,
            groups: AffineGroups(length: length, format: .f32, scales: region(scales), biases: region(biases)))
        let expected = (0..<rows * columns).map { i in
            let product = scales[i / length] * Float(q[i])
            return product + biases[i / length]
        }
        #expect(isSame(matrix.decoded(), expected))
        #expect(matrix.byteCount == stored.count + 8 * scales.count)
        var row = [Float](repeating: 0, count: 100)
        matrix.decodeRow(7, columns: 45..<145, into: &row)
        #expect(row == Array(expected[7 * columns + 45..<7 * columns + 145]))
        for layout in [MatrixLayout.rows, .panels, .units] {
            let packed = try #require(matrix.packed(layout, .serial))
            #expect(isSame(packed.decoded(), expected), "\(layout.name)")
        }
        #expect(isSame(matrix.rows(0..<5).decoded(), Array(expected[..<(5 * columns)])))
        #expect(isSame(matrix.plain.decoded(), expected))
    }

    private func isSame(_ a: [Float], _ b: [Float]) -> Bool { bits(a) == bits(b) }
}
