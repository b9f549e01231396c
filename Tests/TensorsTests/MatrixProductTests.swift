import CKernels
import Testing

import Tensors

@Suite("Matrix products") struct MatrixProductTests {
    /// Random weights in one of the three formats, with the values they stand for.
    struct Weights {
        let format: ElementFormat
        var f32: [Float] = []
        var bits: [UInt16] = []
        var values: [Float] = []

        init(_ format: ElementFormat, count: Int, seed: UInt64) {
            self.format = format
            var numbers = Numbers(seed)
            for _ in 0..<count {
                let value = numbers.float()
                switch format {
                case .f32:
                    f32.append(value)
                    values.append(value)
                case .bf16:
                    bits.append(UInt16(value.bitPattern >> 16))
                    values.append(Float(bitPattern: value.bitPattern & 0xFFFF_0000))
                case .f16:
                    bits.append(Float16(value).bitPattern)
                    values.append(Float(Float16(value)))
                default: Issue.record("\(format.name) is no plain format")
                }
            }
        }

        func multiply(
            _ version: KernelVersion, at offset: Int, stride: Int, rows: Int, k: Int, x: UnsafePointer<Float>, xStride: Int,
            tokens: Int, y: UnsafeMutablePointer<Float>, yStride: Int
        ) {
            let table = version.table
            switch format {
            case .f32: f32.withUnsafeBufferPointer { table.matmul_f32($0.baseAddress! + offset, stride, rows, k, x, xStride, tokens, y, yStride) }
            case .f16: bits.withUnsafeBufferPointer { table.matmul_f16($0.baseAddress! + offset, stride, rows, k, x, xStride, tokens, y, yStride) }
            case .bf16: bits.withUnsafeBufferPointer { table.matmul_bf16($0.baseAddress! + offset, stride, rows, k, x, xStride, tokens, y, yStride) }
            default: Issue.record("\(format.name) is no plain format")
            }
        }
    }

    /// Against a sum in double precision. The bound is the classical one: a partial sum of k/16 terms and four pairwise
    /// additions round at most k/16 + 5 times each (products once more without FMA), relative to the sum of magnitudes.
    @Test("match a Double sum", arguments: KernelVersion.all, [ElementFormat.f32, .f16, .bf16])
    func matchDouble(version: KernelVersion, format: ElementFormat) {
        let w = Weights(format, count: 10 * 1300, seed: 1)
        var numbers = Numbers(2)
        let x = numbers.floats(40 * 1300)
        for k in lengths + [511, 512, 513, 527, 529, 1025, 1100] {
            for (rows, tokens) in [(0, 3), (3, 0), (1, 1), (2, 1), (5, 2), (9, 1), (4, 6), (8, 13), (3, 5), (7, 40)] + (1...9).map({ ($0, 14 - $0) }) {
                let (wStride, xStride, yStride) = (k + rows % 3, k + tokens % 5, rows + k % 2)
                var y = [Float](repeating: canary, count: max(tokens, 1) * yStride + 8)
                x.withUnsafeBufferPointer { x in
                    y.withUnsafeMutableBufferPointer { y in
                        w.multiply(
                            version, at: k % 4, stride: wStride, rows: rows, k: k, x: x.baseAddress! + 1, xStride: xStride, tokens: tokens,
                            y: y.baseAddress! + 1, yStride: yStride)
                    }
                }
                var expectedWrites = Set<Int>()
                for t in 0..<tokens {
                    for r in 0..<rows {
                        var sum = 0.0, magnitude = 0.0
                        for i in 0..<k {
                            let product = Double(w.values[k % 4 + r * wStride + i]) * Double(x[1 + t * xStride + i])
                            sum += product
                            magnitude += abs(product)
                        }
                        let index = 1 + t * yStride + r
                        expectedWrites.insert(index)
                        let error = abs(Double(y[index]) - sum)
                        if error > magnitude * rounding * Double(k / 16 + 7) {
                            Issue.record("k \(k), row \(r) of \(rows), token \(t) of \(tokens): \(y[index]), expected \(sum)")
                            return
                        }
                    }
                }
                for index in y.indices where !expectedWrites.contains(index) && y[index] != canary {
                    Issue.record("k \(k), \(rows) rows, \(tokens) tokens: wrote outside the result at \(index)")
                    return
                }
            }
        }
    }

    /// An element has the same bits whatever is computed beside it.
    @Test("do not depend on batch or row split", arguments: KernelVersion.all, [ElementFormat.f32, .f16, .bf16])
    func sameBits(version: KernelVersion, format: ElementFormat) {
        for k in [5, 16, 100, 512, 1100, 1536] {
            let (rows, tokens) = (39, 53)
            let w = Weights(format, count: rows * k, seed: UInt64(k))
            var numbers = Numbers(3)
            let x = numbers.floats(tokens * k)
            func product(_ rowRange: Range<Int>, _ tokenRange: Range<Int>) -> [Float] {
                var y = [Float](repeating: 0, count: rowRange.count * tokenRange.count)
                x.withUnsafeBufferPointer { x in
                    y.withUnsafeMutableBufferPointer { y in
                        w.multiply(
                            version, at: rowRange.lowerBound * k, stride: k, rows: rowRange.count, k: k,
                            x: x.baseAddress! + tokenRange.lowerBound * k, xStride: k, tokens: tokenRange.count, y: y.baseAddress!,
                            yStride: rowRange.count)
                    }
                }
                return y
            }
            let whole = product(0..<rows, 0..<tokens)
            for (rowStep, tokenStep) in [(1, 1), (1, 53), (39, 1), (2, 7), (5, 12), (16, 13), (32, 24), (33, 30)] {
                for r in stride(from: 0, to: rows, by: rowStep) {
                    for t in stride(from: 0, to: tokens, by: tokenStep) {
                        let (rowRange, tokenRange) = (r..<min(rows, r + rowStep), t..<min(tokens, t + tokenStep))
                        let part = product(rowRange, tokenRange)
                        for (i, token) in tokenRange.enumerated() {
                            for (j, row) in rowRange.enumerated()
                            where part[i * rowRange.count + j].bitPattern != whole[token * rows + row].bitPattern {
                                Issue.record("k \(k): row \(row), token \(token) differs when computed as \(rowRange) x \(tokenRange)")
                                return
                            }
                        }
                    }
                }
            }
        }
    }

    /// All versions with fused multiply-add sum in the same lanes and the same order.
    @Test("have the same bits with AVX2, AVX-512 and NEON", arguments: [ElementFormat.f32, .f16, .bf16])
    func fusedVersionsAgree(format: ElementFormat) {
        let fused = KernelVersion.vectorised.filter { $0.isa != CK_ISA_SIMD128 }
        guard let first = fused.first else { return }
        for k in [1, 7, 16, 31, 100, 600, 1100] {
            let w = Weights(format, count: 9 * k, seed: UInt64(k))
            var numbers = Numbers(4)
            let x = numbers.floats(30 * k)
            var results: [[Float]] = []
            for version in fused {
                var y = [Float](repeating: 0, count: 9 * 30)
                x.withUnsafeBufferPointer { x in
                    y.withUnsafeMutableBufferPointer { y in
                        w.multiply(version, at: 0, stride: k, rows: 9, k: k, x: x.baseAddress!, xStride: k, tokens: 30, y: y.baseAddress!, yStride: 9)
                    }
                }
                results.append(y)
            }
            for (version, y) in zip(fused, results) {
                #expect(y.map(\.bitPattern) == results[0].map(\.bitPattern), "k \(k): \(version.name) and \(first.name) differ")
            }
        }
    }

    /// Infinities and NaN pass through; nothing outside the row leaks in.
    @Test("keep special values", arguments: KernelVersion.all)
    func specialValues(version: KernelVersion) {
        for k in [1, 15, 16, 17, 40] {
            var w = [Float](repeating: 1, count: k + 32), x = [Float](repeating: 1, count: k + 32)
            for i in k..<(k + 32) { (w[i], x[i]) = (.nan, .infinity) }
            var y: Float = 0
            version.table.matmul_f32(w, k, 1, k, x, k, 1, &y, 1)
            #expect(y == Float(k))
            x[k - 1] = -.infinity
            version.table.matmul_f32(w, k, 1, k, x, k, 1, &y, 1)
            #expect(y == -.infinity)
            w[0] = .nan
            version.table.matmul_f32(w, k, 1, k, x, k, 1, &y, 1)
            #expect(y.isNaN)
        }
    }

    @Test("spread over rows and tokens give the same bits", arguments: [1, 2, 3, 7])
    func parallel(threadCount: Int) {
        // Runs tasks backwards: any order must do.
        let backwards = Parallelism(threadCount: threadCount) { count, task in for i in (0..<count).reversed() { task(i) } }
        var numbers = Numbers(5)
        for (rows, columns, tokens) in [(300, 64, 1), (17, 700, 9), (4, 2048, 300), (1000, 33, 40)] {
            let matrix = Matrix(numbers.floats(rows * columns), rows: rows, columns: columns)
            let x = numbers.floats(tokens * columns)
            var serial = [Float](repeating: 0, count: rows * tokens), parallel = serial
            matrix.multiply(x, tokens: tokens, into: &serial, .serial)
            matrix.multiply(x, tokens: tokens, into: &parallel, backwards)
            #expect(serial.map(\.bitPattern) == parallel.map(\.bitPattern))
        }
    }
}
