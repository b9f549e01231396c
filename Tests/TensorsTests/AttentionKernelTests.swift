import CKernels
import Testing

/// The kernels of attention over caches in float32, half precision and 8 bits.
struct AttentionKernelTests {
    static func widened(_ halves: [UInt16]) -> [Float] {
        var y = [Float](repeating: 0, count: halves.count)
        KernelVersion.portable.table.f16_to_f32(halves, &y, halves.count)
        return y
    }

    static func bytes(_ numbers: inout Numbers, _ count: Int) -> [Int8] {
        (0..<count).map { _ in Int8(truncatingIfNeeded: Int(numbers.next() % 255) - 127) }
    }

    @Test("every half is kept, everything between goes to the nearer, ties to even", arguments: KernelVersion.all)
    func halfRounding(version: KernelVersion) {
        let finite = Array(UInt16(0)...0x7BFF)
        let values = Self.widened(finite)
        func rounded(_ x: [Float]) -> [UInt16] {
            var y = [UInt16](repeating: 0xFFFF, count: x.count)
            version.table.f32_to_f16(x, &y, x.count)
            return y
        }
        #expect(rounded(values) == finite)
        #expect(rounded(values.map { -$0 }) == finite.map { $0 | 0x8000 })
        // Midpoints of neighbours are floats; one step beside them decides.
        let middles = zip(values, values.dropFirst()).map { ($0 + $1) / 2 }
        #expect(rounded(middles) == zip(finite, finite.dropFirst()).map { $0 & 1 == 0 ? $0 : $1 })
        #expect(rounded(middles.map(\.nextDown)) == Array(finite.dropLast()))
        #expect(rounded(middles.map(\.nextUp)) == Array(finite.dropFirst()))
        let extremes = rounded([65504, 65520, 1e30, .infinity, -.infinity, .nan, 0x1p-149])
        #expect(extremes[..<5] == [0x7BFF, 0x7BFF, 0x7BFF, 0x7BFF, 0xFBFF] && extremes[5] & 0x7FFF == 0x7E00 && extremes[6] == 0)
        for n in lengths.prefix(40) {
            var y = [UInt16](repeating: 0x1234, count: n + 1)
            version.table.f32_to_f16(Array(values[1000..<1000 + n]), &y, n)
            #expect(Array(y[..<n]) == Array(finite[1000..<1000 + n]) && y[n] == 0x1234)
        }
    }

    @Test("8 bits: half a step of error at most, the same bits everywhere", arguments: KernelVersion.all)
    func byteRounding(version: KernelVersion) {
        var numbers = Numbers(41)
        for n in lengths {
            let x = numbers.floats(n, 3)
            var y = [Int8](repeating: 99, count: n + 1), expected = y
            let scale = version.table.f32_to_i8(x, &y, n)
            #expect(scale == KernelVersion.portable.table.f32_to_i8(x, &expected, n) && y == expected && y[n] == 99)
            #expect(scale == (x.map(abs).max() ?? 0) / 127)
            for i in 0..<n { #expect(abs(Float(y[i]) * scale - x[i]) <= scale * 0.50001) }
        }
        var y: [Int8] = [1, 1]
        #expect(version.table.f32_to_i8([0, 0], &y, 2) == 0 && y == [0, 0])
        #expect(version.table.f32_to_i8([1e-40, 0], &y, 2) == 0 && y == [0, 0])
    }

    @Test("scores against 8-bit keys", arguments: KernelVersion.all)
    func byteScores(version: KernelVersion) {
        var numbers = Numbers(42)
        for k in [0, 1, 15, 16, 17, 64, 256, 600] {
            for (rows, tokens) in [(1, 1), (5, 1), (7, 4), (33, 4), (40, 30)] {
                let w = Self.bytes(&numbers, rows * k + 1), x = numbers.floats(tokens * k + 1)
                var y = [Float](repeating: canary, count: rows * tokens + 1)
                version.table.matmul_i8(w, k, rows, k, x, k, tokens, &y, rows)
                for t in 0..<tokens {
                    for r in 0..<rows {
                        let expected = (0..<k).reduce(0.0) { $0 + Double(w[r * k + $1]) * Double(x[t * k + $1]) }
                        // Sums of k products of up to 127, in 16 partial sums.
                        #expect(abs(Double(y[t * rows + r]) - expected) <= 127 * rounding * Double(k) * Double(k / 16 + 6))
                    }
                }
                #expect(y[rows * tokens] == canary)
                var scores = [Float](repeating: canary, count: rows * tokens + 1)
                version.table.scores_i8(w, k, rows, k, x, k, tokens, &scores, rows)
                #expect(scores.map(\.bitPattern) == y.map(\.bitPattern))
                // Alone or together: the same bits.
                var one: Float = 0
                version.table.matmul_i8(Array(w[(rows - 1) * k..<rows * k]) + [0], k, 1, k, Array(x[(tokens - 1) * k..<tokens * k]) + [0], k, 1, &one, 1)
                #expect(one.bitPattern == y[rows * tokens - 1].bitPattern)
            }
        }
    }

    @Test("scores are the matrix product's bits", arguments: KernelVersion.all)
    func scoresAreProducts(version: KernelVersion) {
        var numbers = Numbers(46)
        for k in [0, 5, 16, 256] {
            for rows in [0, 1, 3, 4, 9, 90] {
                for tokens in [1, 2, 4, 6, 7] {
                    let w = numbers.floats(rows * k + 1), x = numbers.floats(tokens * k + 1)
                    var halves = [UInt16](repeating: 0, count: w.count)
                    version.table.f32_to_f16(w, &halves, w.count)
                    func both(_ body: (_ y: inout [Float], _ scores: Bool) -> Void) -> Bool {
                        var a = [Float](repeating: canary, count: rows * tokens + 1), b = a
                        body(&a, true)
                        body(&b, false)
                        return a.map(\.bitPattern) == b.map(\.bitPattern) && a[rows * tokens] == canary
                    }
                    #expect(both { ($1 ? version.table.scores_f32 : version.table.matmul_f32)(w, k, rows, k, x, k, tokens, &$0, rows) })
                    #expect(both { ($1 ? version.table.scores_f16 : version.table.matmul_f16)(halves, k, rows, k, x, k, tokens, &$0, rows) })
                }
            }
        }
    }

    @Test("sums of values of every format", arguments: KernelVersion.all)
    func weightedSums(version: KernelVersion) {
        var numbers = Numbers(43)
        for n in [1, 3, 8, 16, 17, 31, 64, 70, 256] {
            for rows in [1, 2, 3, 4, 5, 9] {
                for count in [0, 1, 31, 33, 80] {
                    let (pStride, vStride, outStride) = (count + 2, n + rows % 2, n + 3)
                    let p = numbers.floats(rows * pStride), before = numbers.floats(rows * outStride)
                    let f32 = numbers.floats(count * vStride + 1)
                    var f16 = [UInt16](repeating: 0, count: f32.count)
                    version.table.f32_to_f16(f32, &f16, f32.count)
                    let i8 = Self.bytes(&numbers, f32.count)
                    for format in 0..<3 {
                        let values = format == 0 ? f32 : format == 1 ? Self.widened(f16) : i8.map { Float($0) }
                        func sums(_ p: [Float], _ rows: Int, _ from: Int, _ count: Int, _ out: inout [Float]) {
                            let at = from * vStride
                            switch format {
                            case 0: version.table.weighted_sums_f32(p, pStride, rows, count, Array(f32[at...]), vStride, &out, outStride, n)
                            case 1: version.table.weighted_sums_f16(p, pStride, rows, count, Array(f16[at...]), vStride, &out, outStride, n)
                            default: version.table.weighted_sums_i8(p, pStride, rows, count, Array(i8[at...]), vStride, &out, outStride, n)
                            }
                        }
                        var out = before
                        sums(p, rows, 0, count, &out)
                        let scale = format == 2 ? 127.0 : 1
                        for r in 0..<rows {
                            for d in 0..<outStride {
                                guard d < n else {
                                    #expect(out[r * outStride + d] == before[r * outStride + d])
                                    continue
                                }
                                let expected = (0..<count).reduce(Double(before[r * outStride + d])) {
                                    $0 + Double(p[r * pStride + $1]) * Double(values[$1 * vStride + d])
                                }
                                // One chain of additions.
                                #expect(abs(Double(out[r * outStride + d]) - expected) <= 2 * rounding * scale * Double((count + 1) * (count + 1)))
                            }
                        }
                        // In two calls, and a row alone: the same bits.
                        var split = before
                        let cut = count / 3
                        sums(p, rows, 0, cut, &split)
                        sums(Array(p[cut...]), rows, cut, count - cut, &split)
                        #expect(split.map(\.bitPattern) == out.map(\.bitPattern))
                        var alone = Array(before[((rows - 1) * outStride)...])
                        sums(Array(p[((rows - 1) * pStride)...]), 1, 0, count, &alone)
                        #expect(alone.map(\.bitPattern) == out[((rows - 1) * outStride)...].map(\.bitPattern))
                    }
                }
            }
        }
    }

    @Test("joining blocks of keys", arguments: KernelVersion.all)
    func joining(version: KernelVersion) {
        var numbers = Numbers(44)
        for n in lengths {
            let x = numbers.floats(n + 1), y = numbers.floats(n + 1)
            var out = y, e = x
            version.table.scale_axpy_f32(0.75, 1.5, x, &out, n)
            let sum = version.table.exp_sum_f32(&e, 0.5, n)
            for i in 0..<n {
                #expect(abs(Double(out[i]) - (0.75 * Double(y[i]) + 1.5 * Double(x[i]))) <= 4 * rounding)
                #expect(abs(Double(e[i]) - ck_exp(Double(x[i]) - 0.5)) <= 8 * rounding)
            }
            #expect(out[n] == y[n] && e[n] == x[n])
            #expect(abs(Double(sum) - e[..<n].reduce(0.0) { $0 + Double($1) }) <= 4 * rounding * Double(n + 1))
        }
    }

    @Test("fused versions agree bit for bit")
    func fusedVersionsAgree() {
        let fused = KernelVersion.vectorised.filter { $0.isa != CK_ISA_SIMD128 }
        guard let first = fused.first else { return }
        var numbers = Numbers(45)
        let (count, n, rows) = (70, 256, 5)
        let p = numbers.floats(rows * count), f32 = numbers.floats(count * n), i8 = Self.bytes(&numbers, count * n)
        var f16 = [UInt16](repeating: 0, count: f32.count)
        first.table.f32_to_f16(f32, &f16, f32.count)
        func all(_ v: KernelVersion) -> [UInt32] {
            var a = [Float](repeating: 0, count: rows * n), b = a, c = a, s = a, e = Array(p)
            v.table.weighted_sums_f32(p, count, rows, count, f32, n, &a, n, n)
            v.table.weighted_sums_f16(p, count, rows, count, f16, n, &b, n, n)
            v.table.weighted_sums_i8(p, count, rows, count, i8, n, &c, n, n)
            v.table.matmul_i8(i8, n, count, n, f32, n, 3, &s, count)
            let sum = v.table.exp_sum_f32(&e, 0.3, e.count)
            v.table.scale_axpy_f32(0.3, 0.7, a, &b, b.count)
            return (a + b + c + s + e + [sum]).map(\.bitPattern)
        }
        let expected = all(first)
        for version in fused.dropFirst() { #expect(all(version) == expected, "\(version.name)") }
    }
}
