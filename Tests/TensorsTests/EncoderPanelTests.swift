import CKernels
import Tensors
import Testing

/// Weights as the encoders in 8 bits use them.
@Suite("Encoder panels") struct EncoderPanelTests {
    static func product(_ panels: Matrix, _ x: [Float], tokens: Int) -> [Float] {
        var y = [Float](repeating: canary, count: tokens * panels.rows)
        withUnsafeTemporaryAllocation(byteCount: max(64, ck_activations_bytes(tokens, panels.columns)), alignment: 64) { memory in
            ck_quantize_activations(x, panels.columns, panels.columns, tokens, 0, tokens, memory.baseAddress!)
            panels.multiplyPanels(0..<panels.rows, memory.baseAddress!, tokens: tokens, into: &y, yStride: panels.rows)
        }
        return y
    }

    @Test("of plain weights err by their rounding only", arguments: [(1, 32, 1), (16, 64, 5), (40, 576, 13), (100, 96, 25)])
    func plain(_ rows: Int, _ columns: Int, _ tokens: Int) throws {
        var numbers = Numbers(UInt64(rows))
        let w = numbers.floats(rows * columns), x = numbers.floats(tokens * columns)
        let panels = try #require(Matrix(w, rows: rows, columns: columns).inPanels(.serial))
        #expect(panels.format == .q8_0 && panels.layout == .panels && panels.rows == rows && panels.columns == columns)
        let y = Self.product(panels, x, tokens: tokens)
        for t in 0..<tokens {
            for r in 0..<rows {
                var exact = 0.0
                var bound = 1e-6
                for i in 0..<columns {
                    let (a, b) = (Double(w[r * columns + i]), Double(x[t * columns + i]))
                    exact += a * b
                    // Both numbers are at most 1; half a step is 1/254 of the block's largest, the scale's half precision 1/2048 of the number.
                    let (da, db) = (1.0 / 254 + a.magnitude / 2048, 1.0 / 254)
                    bound += da * b.magnitude + db * a.magnitude + da * db
                }
                #expect(abs(Double(y[t * rows + r]) - exact) <= bound, "\(r) \(t)")
            }
        }
    }

    @Test("of quantised weights are the text model's product, bit for bit", arguments: [ElementFormat.q8_0, .q4_0, .q6_K])
    func quantized(_ format: ElementFormat) throws {
        let (rows, columns, tokens) = (40, 512, 7)
        var numbers = Numbers(5)
        let w = numbers.floats(rows * columns), x = numbers.floats(tokens * columns)
        let rowBytes = format.byteCount(of: columns)
        var bytes = [UInt8](repeating: 0, count: rows * rowBytes)
        bytes.withUnsafeMutableBytes { bytes in
            w.withUnsafeBufferPointer { w in
                for r in 0..<rows { ck_quantize_row(ck_format(UInt32(format.rawValue)), w.baseAddress! + r * columns, columns, bytes.baseAddress! + r * rowBytes) }
            }
        }
        let matrix = Matrix(region: ByteRegion(copying: bytes), offset: 0, rows: rows, columns: columns, format: format)
        let panels = try #require(matrix.inPanels(.serial))
        #expect(panels.inPanels(.serial)?.base == panels.base, "already there")
        var y = [Float](repeating: 0, count: tokens * rows)
        matrix.multiply(x, tokens: tokens, into: &y, .serial)
        #expect(Self.product(panels, x, tokens: tokens) == y)
    }

    @Test("do not exist for columns that fill no blocks") func unfit() {
        #expect(Matrix([Float](repeating: 1, count: 40), rows: 1, columns: 40).inPanels(.serial) == nil)
    }
}
