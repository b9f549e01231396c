import CKernels
import Foundation
import Testing

/// A weight format and its name.
struct WeightFormat: Sendable, CustomTestStringConvertible {
    let kernel: ck_format
    let testDescription: String

    init(_ kernel: ck_format, _ name: String) { (self.kernel, testDescription) = (kernel, name) }

    static let plain = [WeightFormat(CK_F32, "f32"), WeightFormat(CK_F16, "f16"), WeightFormat(CK_BF16, "bf16")]
    static let gguf = [
        WeightFormat(CK_Q8_0, "q8_0"), WeightFormat(CK_Q4_0, "q4_0"), WeightFormat(CK_Q5_0, "q5_0"), WeightFormat(CK_Q4_K, "q4_K"),
        WeightFormat(CK_Q5_K, "q5_K"), WeightFormat(CK_Q6_K, "q6_K"),
    ]
    static let blocks = gguf + [WeightFormat(CK_AFFINE4, "affine4"), WeightFormat(CK_AFFINE8, "affine8")]

    func rowBytes(_ columns: Int) -> Int { ck_row_bytes(kernel, columns) }
    func encode(_ x: [Float]) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: rowBytes(x.count))
        ck_quantize_row(kernel, x, x.count, &bytes)
        return bytes
    }
    func decode(_ bytes: [UInt8], _ range: Range<Int>) -> [Float] {
        var y = [Float](repeating: canary, count: range.count + 1)
        ck_dequantize(kernel, bytes, range.lowerBound, range.count, &y)
        #expect(y.removeLast() == canary)
        return y
    }
}

extension Numbers {
    /// Normally distributed.
    mutating func normal() -> Float {
        let u = (Double(next() >> 11) + 1) * 0x1p-53, v = Double(next() >> 11) * 0x1p-53
        return Float(ck_sqrt(-2 * ck_log(u)) * ck_cos(2 * 3.141592653589793 * v))
    }
    /// Of Laplace's distribution: more large numbers among small ones.
    mutating func laplace() -> Float {
        let u = (Double(next() >> 11) + 1) * 0x1p-53
        return Float(next() & 1 == 0 ? ck_log(u) : -ck_log(u))
    }
    mutating func normals(_ count: Int, _ scale: Float) -> [Float] { (0..<count).map { _ in normal() * scale } }
}

func bits(_ x: [Float]) -> [UInt32] { x.map(\.bitPattern) }

@Suite("Weight formats") struct FormatTests {
    static func fixture(_ name: String, file: StaticString = #filePath) throws -> [UInt8] {
        let root = URL(fileURLWithPath: "\(file)").deletingLastPathComponent().deletingLastPathComponent()
        return [UInt8](try Data(contentsOf: root.appendingPathComponent("Fixtures/quantised/\(name)")))
    }

    /// `Oracle/quantised_blocks.py`: every bit pattern of weights, scales from denormal numbers to the largest.
    @Test("blocks decode to what the gguf package says, bit for bit", arguments: WeightFormat.gguf)
    func decoding(format: WeightFormat) throws {
        let blocks = try Self.fixture("\(format.testDescription).blocks"), expected = try Self.fixture("\(format.testDescription).float32")
        let values = expected.withUnsafeBytes { bytes in
            (0..<bytes.count / 4).map { Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self))) }
        }
        try #require(values.count == 2048 && format.rowBytes(2048) == blocks.count)
        #expect(bits(format.decode(blocks, 0..<2048)) == bits(values))
        for range in [0..<1, 31..<33, 5..<600, 300..<301, 511..<1024, 2047..<2048, 64..<64] {
            #expect(bits(format.decode(blocks, range)) == bits(Array(values[range])), "\(range)")
        }
    }

    /// Root mean square errors relative to the data's, of llama.cpp's own encoders (0c1e570, no importance matrix) on a million
    /// numbers of each distribution; for the affine formats, which it lacks, Q4_K's with one scale and offset fewer to share, and
    /// a step of the mean range / 255 over the square root of 12.
    static let limits: [(WeightFormat, normal: Double, laplace: Double)] = zip(
        WeightFormat.blocks,
        [(0.00536, 0.00676), (0.0860, 0.1070), (0.0427, 0.0536), (0.0714, 0.0847), (0.0362, 0.0428), (0.0178, 0.0217), (0.0714, 0.0847),
         (0.0047, 0.0056)]
    ).map { ($0, $1.0, $1.1) }

    @Test("encoders lose no more than llama.cpp's", arguments: limits)
    func encoderErrors(limit: (WeightFormat, normal: Double, laplace: Double)) {
        var numbers = Numbers(31)
        let count = 256 * 300
        for (name, x, largest) in [
            ("normal", (0..<count).map { _ in numbers.normal() * 0.02 }, limit.normal),
            ("Laplace", (0..<count).map { _ in numbers.laplace() * 0.02 }, limit.laplace),
        ] {
            let y = limit.0.decode(limit.0.encode(x), 0..<count)
            var error = 0.0, size = 0.0
            for (x, y) in zip(x, y) {
                error += Double(x - y) * Double(x - y)
                size += Double(x) * Double(x)
            }
            // The sample is another one than llama.cpp's: 77 thousand numbers, whose mean squares scatter by 0.5 to 1 %.
            #expect(ck_sqrt(error / size) <= largest * 1.005, "\(name): \(ck_sqrt(error / size))")
        }
    }

    @Test("encoders write the same bytes in every version", arguments: WeightFormat.blocks)
    func sameBytes(format: WeightFormat) {
        var numbers = Numbers(32)
        let x = numbers.normals(256 * 20, 0.02) + (0..<256 * 20).map { _ in numbers.laplace() }
        let expected = format.encode(x)
        for version in KernelVersion.all {
            var bytes = [UInt8](repeating: 0, count: expected.count)
            ck_format_kernels_for(version.isa).pointee.quantize_row(format.kernel, x, x.count, &bytes)
            #expect(bytes == expected, "\(version.name)")
        }
    }

    @Test("numbers a block can hold come back", arguments: [(CK_Q8_0, -127...127), (CK_Q4_0, -8...7), (CK_Q5_0, -16...15), (CK_AFFINE4, 3...18), (CK_AFFINE8, -100...155)])
    func exactNumbers(format: ck_format, range: ClosedRange<Int>) {
        let format = WeightFormat(format, "")
        var numbers = Numbers(5)
        for _ in 0..<50 {
            var x = (0..<32).map { _ in Float(range.lowerBound + Int(numbers.next() % UInt64(range.count))) * 0x1p-7 }
            x[3] = Float(range.lowerBound) * 0x1p-7
            x[20] = Float(range.upperBound) * 0x1p-7
            let y = format.decode(format.encode(x), 0..<32)
            // Affine scales are fitted in float32: a few roundings of the largest number. The others' are powers of two.
            let tolerance: Float = format.kernel == CK_AFFINE4 || format.kernel == CK_AFFINE8 ? 4e-6 : 0
            for (x, y) in zip(x, y) { #expect(abs(x - y) <= tolerance) }
        }
    }

    @Test("zeros, extremes, and what is not a number", arguments: WeightFormat.blocks)
    func extremes(format: WeightFormat) {
        let n = ck_block_length(format.kernel)
        #expect(format.decode(format.encode([Float](repeating: 0, count: n)), 0..<n).allSatisfy { $0 == 0 })
        var numbers = Numbers(8)
        for size: Float in [1e-45, 1e-38, 1e-30, 1e-8, 1e3] {
            let x = numbers.floats(n, size)
            // Scales in half precision are multiples of 2^-24, which scales of 6 bits multiply up to 63 times and weights 15 times or more.
            for (x, y) in zip(x, format.decode(format.encode(x), 0..<n)) { #expect(abs(x - y) <= size * 0.15 + 0x1p-18, "\(size)") }
        }
        for size: Float in [1e8, 1e30, 3e38] { #expect(format.decode(format.encode(numbers.floats(n, size)), 0..<n).allSatisfy { !$0.isNaN }) }
        for bad in [Float.nan, .infinity, -.infinity] {
            var x = numbers.floats(3 * n)
            x[n + 7] = bad
            let y = format.decode(format.encode(x), 0..<3 * n)
            #expect(y[n + 7].isNaN)
            #expect((y[..<n] + y[(2 * n)...]).allSatisfy { $0.isFinite })
        }
    }
}

/// A version of the kernels for rows and units.
private func kernels(_ version: KernelVersion) -> ck_format_kernels { ck_format_kernels_for(version.isa).pointee }

@Suite("Products of weights in rows") struct RowProductTests {
    @Test("rows times a quantised token match Double, and panels bit for bit", arguments: WeightFormat.blocks)
    func rows(format: WeightFormat) {
        var numbers = Numbers(77)
        let unit = ck_block_length(format.kernel)
        for (columns, rowCount, tokens) in [(unit, 1, 1), (unit * 3, 40, 1), (2048, 33, 5), (unit * 9, 16, 14), (4096 + unit, 7, 12)] {
            let bytes = format.rowBytes(columns)
            let w = (0..<rowCount).flatMap { _ in format.encode(numbers.normals(columns, 0.02)) }
            let x = numbers.normals(tokens * columns, 1)
            let token = Int(numbers.next() % UInt64(tokens)), count = rowCount == 1 ? 1 : rowCount - 3
            let chosen = (0..<count).map { _ in Int32(numbers.next() % UInt64(rowCount)) }
            let panelBytes = ck_panel_bytes(format.kernel, columns), panelCount = (rowCount + 15) / 16
            let activations = UnsafeMutableRawPointer.allocate(byteCount: ck_activations_bytes(tokens, columns), alignment: 64)
            let panels = UnsafeMutableRawPointer.allocate(byteCount: panelBytes * panelCount, alignment: 64)
            defer {
                activations.deallocate()
                panels.deallocate()
            }
            ck_panel_kernels_for(CK_ISA_PORTABLE).pointee.quantize_activations(x, columns, columns, tokens, 0, tokens, activations)
            w.withUnsafeBytes { w in
                for p in 0..<panelCount {
                    ck_pack_panel(format.kernel, w.baseAddress! + 16 * p * bytes, bytes, min(16, rowCount - 16 * p), columns, panels + p * panelBytes)
                }
            }
            var first: [Float]?
            for version in KernelVersion.all {
                var y = [Float](repeating: canary, count: count + 1), all = [Float](repeating: canary, count: rowCount), product = all
                kernels(version).dot_rows(format.kernel, w, bytes, chosen, count, columns, activations, token, tokens, &y)
                kernels(version).dot_rows(format.kernel, w, bytes, nil, rowCount, columns, activations, token, tokens, &all)
                ck_panel_kernels_for(version.isa).pointee.panel_matmul(
                    format.kernel, panels, panelBytes, rowCount, columns, activations, token, 1, tokens, &product, rowCount)
                #expect(bits(all) == bits(product), "\(version.name): panels, \(columns) columns")
                #expect(y.removeLast() == canary)
                for (i, row) in chosen.enumerated() {
                    #expect(y[i].bitPattern == all[Int(row)].bitPattern)
                    let start = Int(row) * bytes
                    let weights = format.decode(Array(w[start..<start + bytes]), 0..<columns)
                    var exact = 0.0, magnitude = 0.0
                    for block in 0..<columns / 32 {
                        let d = Double(ck_activation_sums(activations, token, tokens, columns, block).pointee.d)
                        let q = ck_activation_block(activations, token, tokens, columns, block)!
                        var sum = 0.0
                        for j in 0..<32 {
                            exact += Double(weights[32 * block + j]) * Double(q[j]) * d
                            sum += abs(Double(q[j]) * d)
                        }
                        magnitude += sum * Double(weights[32 * block..<32 * block + 32].map { abs($0) }.max()!)
                    }
                    // Per block the scales' product and at most two products and additions are rounded, and the decoded weight itself;
                    // scale times number is up to twice the block's largest weight where its offset is up to once that.
                    let bound = Double(2 * columns / 32 + 4) * rounding * 3 * magnitude
                    #expect(abs(Double(y[i]) - exact) <= bound, "\(version.name), \(columns) columns: \(y[i]), expected \(exact)")
                }
                guard version.isa != CK_ISA_PORTABLE else { continue }
                if let first { #expect(bits(first) == bits(y), "\(version.name), \(columns) columns") } else { first = y }
            }
        }
    }
}

@Suite("Products of weights in units") struct UnitTests {
    static func pack(_ format: WeightFormat, _ w: [UInt8], outputs: Int, units: Int) -> [UInt8] {
        var packed = [UInt8](repeating: 0xAA, count: ck_units_bytes(format.kernel, outputs, units) + 1)
        for first in stride(from: 0, to: outputs, by: 256).reversed() {
            ck_pack_units(format.kernel, w, format.rowBytes(units), outputs, units, first, min(256, outputs - first), &packed)
        }
        #expect(packed.removeLast() == 0xAA)
        return packed
    }

    @Test("packed units hold the weights, and sums of units are exactly the ones defined", arguments: WeightFormat.plain + WeightFormat.blocks)
    func units(format: WeightFormat) {
        var numbers = Numbers(99)
        for (outputs, units) in [(1, 256), (100, 512), (300, 768), (640, 256)] {
            let bytes = format.rowBytes(units)
            let w = (0..<outputs).flatMap { _ in format.encode(numbers.normals(units, 0.05)) }
            let packed = Self.pack(format, w, outputs: outputs, units: units)
            let weights = (0..<outputs).map { format.decode(Array(w[($0 * bytes)..<(($0 + 1) * bytes)]), 0..<units) }
            for o in 0..<outputs {
                var y = [Float](repeating: canary, count: units - 3)
                ck_units_dequantize(format.kernel, packed, outputs, o, 3, units - 3, &y)
                #expect(bits(y) == bits(Array(weights[o][3...])), "output \(o) of \(outputs)")
            }
            let survivors = (0..<units).filter { _ in numbers.next() % 4 == 0 }.map { Int32($0) }
            let a = numbers.normals(survivors.count, 1), start = numbers.normals(outputs, 1)
            for version in KernelVersion.all {
                let fused = version.isa != CK_ISA_PORTABLE && version.isa != CK_ISA_SIMD128
                var y = start + [canary]
                kernels(version).units_accumulate(format.kernel, packed, outputs, survivors, survivors.count, a, 0, outputs, &y)
                #expect(y.removeLast() == canary)
                for o in 0..<outputs {
                    var sum = start[o]
                    for (j, unit) in survivors.enumerated() {
                        let weight = weights[o][Int(unit)]
                        sum = fused ? sum.addingProduct(a[j], weight) : sum + a[j] * weight
                    }
                    #expect(sum.bitPattern == y[o].bitPattern, "\(version.name), output \(o) of \(outputs)")
                }
                // Any split of outputs and of survivors: the same bits.
                var split = start
                let middle = outputs / 3, part = survivors.count / 2
                split.withUnsafeMutableBufferPointer { out in
                    for range in [0..<middle, middle..<outputs] {
                        for some in [0..<part, part..<survivors.count] {
                            survivors.withUnsafeBufferPointer { s in
                                a.withUnsafeBufferPointer { a in
                                    kernels(version).units_accumulate(
                                        format.kernel, packed, outputs, s.baseAddress! + some.lowerBound, some.count, a.baseAddress! + some.lowerBound,
                                        range.lowerBound, range.count, out.baseAddress! + range.lowerBound)
                                }
                            }
                        }
                    }
                }
                #expect(bits(split) == bits(y), "\(version.name), \(outputs) outputs")
            }
        }
    }
}
