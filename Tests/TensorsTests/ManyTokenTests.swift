import CKernels
import Testing

/// The products of the encoders: packed and transposed weights, every version.
@Suite("Products of many tokens") struct ManyTokenTests {
    /// Rows, columns, tokens: tails of every tile, blocks of columns and of tokens.
    static let shapes = [(1, 1, 1), (5, 3, 2), (31, 17, 7), (32, 32, 12), (33, 64, 13), (64, 255, 24), (65, 256, 25), (40, 257, 11), (3, 513, 200), (530, 40, 14)]

    static func packed(_ k: ck_kernels, _ w: [Float], rows: Int, columns: Int) -> [Float] {
        let panel = Int(CK_GEMM_PANEL)
        var result = [Float](repeating: canary, count: (rows + panel - 1) / panel * panel * columns)
        k.gemm_pack_f32(w, columns, rows, columns, &result)
        return result
    }

    static func product(
        _ k: ck_kernels, _ w: [Float], _ x: [Float], _ shape: (Int, Int, Int), first: Int = 0, count: Int? = nil, add: Bool = false, y: [Float]
    ) -> [Float] {
        let (rows, columns, tokens) = shape
        var y = y
        var scratch = [Float](repeating: .nan, count: Int(CK_GEMM_SCRATCH))
        let weights = packed(k, w, rows: rows, columns: columns)
        y.withUnsafeMutableBufferPointer { y in
            x.withUnsafeBufferPointer { x in
                k.gemm_packed_f32(
                    weights, rows, columns, x.baseAddress! + first * columns, columns, count ?? tokens, add ? 1 : 0,
                    y.baseAddress! + first * rows, rows, &scratch)
            }
        }
        return y
    }

    @Test("match a Double sum", arguments: KernelVersion.all) func match(version: KernelVersion) {
        for shape in Self.shapes {
            let (rows, columns, tokens) = shape
            var numbers = Numbers(UInt64(rows * 1000 + columns))
            let w = numbers.floats(rows * columns), x = numbers.floats(tokens * columns), start = numbers.floats(tokens * rows)
            for add in [false, true] {
                let y = Self.product(version.table, w, x, shape, add: add, y: start)
                for t in 0..<tokens {
                    for r in 0..<rows {
                        var exact = add ? Double(start[t * rows + r]) : 0
                        var size = exact.magnitude
                        for i in 0..<columns {
                            let term = Double(w[r * columns + i]) * Double(x[t * columns + i])
                            exact += term
                            size += term.magnitude
                        }
                        // A block is 256 additions and products one after the other, each rounded once or twice.
                        let bound = 2 * Double(min(columns, 256) + 4) * rounding * size
                        if abs(Double(y[t * rows + r]) - exact) > bound {
                            Issue.record("\(shape), add \(add): row \(r) token \(t) is \(y[t * rows + r]), expected \(exact)")
                            return
                        }
                    }
                }
            }
        }
    }

    @Test("do not depend on how many tokens go together", arguments: KernelVersion.all) func batches(version: KernelVersion) {
        for shape in Self.shapes {
            let (rows, columns, tokens) = shape
            var numbers = Numbers(11)
            let w = numbers.floats(rows * columns), x = numbers.floats(tokens * columns)
            let zeros = [Float](repeating: 0, count: tokens * rows)
            let together = Self.product(version.table, w, x, shape, y: zeros)
            for size in [1, 5, 12] {
                var parts = zeros
                for first in stride(from: 0, to: tokens, by: size) {
                    parts = Self.product(version.table, w, x, shape, first: first, count: min(size, tokens - first), y: parts)
                }
                #expect(parts == together, "\(shape) by \(size)")
            }
        }
    }

    @Test("have the same bits packed and transposed, and with every version that fuses", arguments: KernelVersion.vectorised)
    func sameBits(version: KernelVersion) {
        let k = version.table
        for shape in Self.shapes {
            let (rows, columns, tokens) = shape
            var numbers = Numbers(12)
            let w = numbers.floats(rows * columns), x = numbers.floats(tokens * columns)
            let zeros = [Float](repeating: 0, count: tokens * rows)
            let y = Self.product(k, w, x, shape, y: zeros)
            if version.name != "SIMD128" {
                #expect(Self.product(KernelVersion.vectorised[0].table, w, x, shape, y: zeros) == y, "\(shape)")
            }
            var turned = w
            for r in 0..<rows { for i in 0..<columns { turned[i * rows + r] = w[r * columns + i] } }
            var z = zeros
            var scratch = [Float](repeating: .nan, count: Int(CK_GEMM_SCRATCH))
            k.gemm_transposed_f32(turned, rows, rows, columns, x, columns, tokens, 0, &z, rows, &scratch)
            #expect(z == y, "\(shape), transposed")
        }
    }

    /// Packing moves numbers and widens them; nothing is computed.
    @Test("pack every format", arguments: KernelVersion.all) func packing(version: KernelVersion) {
        let k = version.table
        for (rows, columns) in [(1, 1), (5, 3), (31, 17), (32, 32), (33, 64), (64, 255), (65, 300)] {
            var numbers = Numbers(13)
            let words = (0..<rows * columns).map { _ in UInt16(truncatingIfNeeded: numbers.next()) & 0xBFFF }
            let panel = Int(CK_GEMM_PANEL)
            var packed = [Float](repeating: canary, count: (rows + panel - 1) / panel * panel * columns)
            for (name, pack, widen) in [("f16", k.gemm_pack_f16, k.f16_to_f32), ("bf16", k.gemm_pack_bf16, k.bf16_to_f32)] {
                var wide = [Float](repeating: 0, count: words.count)
                widen?(words, &wide, words.count)
                pack?(words, columns, rows, columns, &packed)
                let expected = Self.packed(k, wide, rows: rows, columns: columns)
                #expect(packed.map(\.bitPattern) == expected.map(\.bitPattern), "\(name) \(rows) x \(columns)")
                for r in 0..<rows { for i in 0..<columns where expected[r / panel * panel * columns + i * panel + r % panel] != wide[r * columns + i] {
                    Issue.record("row \(r) column \(i)")
                    return
                } }
            }
        }
    }

    /// Fused norms are the two steps written together.
    @Test("norms with what follows", arguments: KernelVersion.all) func norms(version: KernelVersion) {
        let k = version.table
        for n in lengths where n > 0 {
            var numbers = Numbers(UInt64(n))
            let z = numbers.floats(n), w = numbers.floats(n), a = numbers.floats(n), x = numbers.floats(n)
            var normed = z, gelu = z, fused = z
            k.rms_norm_f32(z, w, 1e-6, &normed, n)
            k.gelu_f32(normed, &gelu, n)
            k.rms_norm_gelu_f32(z, w, 1e-6, &fused, n)
            #expect(fused == gelu, "gelu, \(n)")
            k.rms_norm_add_f32(z, w, 1e-6, a, x, &fused, n)
            #expect(fused == (0..<n).map { x[$0] + normed[$0] * a[$0] }, "scaled and added, \(n)")
            k.rms_norm_add_f32(z, w, 1e-6, nil, x, &fused, n)
            #expect(fused == (0..<n).map { x[$0] + normed[$0] }, "added, \(n)")
            k.rms_norm_add_f32(z, w, 1e-6, a, nil, &fused, n)
            #expect(fused == (0..<n).map { normed[$0] * a[$0] }, "scaled, \(n)")
            k.rms_norm_add_f32(z, w, 1e-6, nil, nil, &fused, n)
            #expect(fused == normed, "alone, \(n)")
        }
    }
}
