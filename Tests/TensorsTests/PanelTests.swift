import CKernels
import Testing

/// Random rows of a block format, decoded by its definition with nothing but arithmetic in Swift.
struct BlockRows {
    let format: ck_format
    let columns: Int
    let rows: Int
    let rowBytes: Int
    var bytes: [UInt8] = []
    /// Per row and block of 32 columns: the whole numbers, and what they are multiplied with.
    var blocks: [[Block]] = []

    struct Block {
        var q = [Int](repeating: 0, count: 32)
        /// value = a * q + b; with halves, a * scale0 or scale1 * q.
        var a: Float = 0, b: Float = 0
        var scale0 = 0, scale1 = 0
    }

    static let formats: [ck_format] = [CK_Q8_0, CK_Q4_0, CK_Q5_0, CK_Q4_K, CK_Q5_K, CK_Q6_K, CK_AFFINE4, CK_AFFINE8]
    static let shifted: Set<UInt32> = [CK_Q4_K.rawValue, CK_Q5_K.rawValue, CK_AFFINE4.rawValue, CK_AFFINE8.rawValue]
    static func isSuper(_ format: ck_format) -> Bool { format == CK_Q4_K || format == CK_Q5_K || format == CK_Q6_K }
    var isShifted: Bool { BlockRows.shifted.contains(format.rawValue) }
    var isHalved: Bool { format == CK_Q6_K }

    init(_ format: ck_format, rows: Int, columns: Int, seed: UInt64) {
        let unit: Int, blocksPerUnit: Int
        switch format {
        case CK_Q8_0: (unit, blocksPerUnit) = (34, 1)
        case CK_Q4_0: (unit, blocksPerUnit) = (18, 1)
        case CK_Q5_0: (unit, blocksPerUnit) = (22, 1)
        case CK_Q4_K: (unit, blocksPerUnit) = (144, 8)
        case CK_Q5_K: (unit, blocksPerUnit) = (176, 8)
        case CK_Q6_K: (unit, blocksPerUnit) = (210, 8)
        case CK_AFFINE4: (unit, blocksPerUnit) = (24, 1)
        default: (unit, blocksPerUnit) = (40, 1)
        }
        self.format = format
        self.columns = columns
        self.rows = rows
        rowBytes = columns / 32 / blocksPerUnit * unit
        var numbers = Numbers(seed)
        func append(_ half: Float, to bytes: inout [UInt8]) -> Float {
            let value = Float16(half)
            bytes += [UInt8(value.bitPattern & 255), UInt8(value.bitPattern >> 8)]
            return Float(value)
        }
        func append32(_ value: Float, to bytes: inout [UInt8]) {
            for shift in stride(from: 0, to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> UInt32(shift))) }
        }
        for _ in 0..<rows {
            var row: [Block] = []
            for _ in 0..<(columns / 32 / blocksPerUnit) {
                var parts = [Block](repeating: Block(), count: blocksPerUnit)
                let random = { (count: Int, numbers: inout Numbers) in (0..<count).map { _ in UInt8(truncatingIfNeeded: numbers.next() >> 20) } }
                switch format {
                case CK_Q8_0:
                    parts[0].a = append(numbers.float(0.1), to: &bytes)
                    let data = random(32, &numbers)
                    parts[0].q = data.map { Int(Int8(bitPattern: $0)) }
                    bytes += data
                case CK_Q4_0, CK_Q5_0:
                    parts[0].a = append(numbers.float(0.1), to: &bytes)
                    let high = format == CK_Q5_0 ? random(4, &numbers) : [], low = random(16, &numbers)
                    for i in 0..<32 {
                        let nibble = Int(i < 16 ? low[i] & 15 : low[i - 16] >> 4)
                        parts[0].q[i] = format == CK_Q4_0 ? nibble - 8 : nibble + Int((high[i / 8] >> UInt8(i % 8)) & 1) * 16 - 16
                    }
                    bytes += high + low
                case CK_Q4_K, CK_Q5_K:
                    let d = append(numbers.float(0.01), to: &bytes), dmin = append(numbers.float(0.01), to: &bytes)
                    let s = random(12, &numbers), high = format == CK_Q5_K ? random(32, &numbers) : [], low = random(128, &numbers)
                    for j in 0..<8 {
                        let scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | (s[j - 4] >> 6) << 4
                        let minimum = j < 4 ? s[j + 4] & 63 : (s[j + 4] >> 4) | (s[j] >> 6) << 4
                        parts[j].a = d * Float(scale)
                        parts[j].b = -(dmin * Float(minimum))
                        for i in 0..<32 {
                            parts[j].q[i] = Int((low[j / 2 * 32 + i] >> UInt8(j % 2 * 4)) & 15)
                            if format == CK_Q5_K { parts[j].q[i] += Int((high[i] >> UInt8(j)) & 1) * 16 }
                        }
                    }
                    bytes += s + high + low
                case CK_Q6_K:
                    let low = random(128, &numbers), high = random(64, &numbers), s = random(16, &numbers)
                    bytes += low + high + s
                    let d = append(numbers.float(0.001), to: &bytes)
                    for j in 0..<8 {
                        parts[j].a = d
                        parts[j].scale0 = Int(Int8(bitPattern: s[2 * j]))
                        parts[j].scale1 = Int(Int8(bitPattern: s[2 * j + 1]))
                        for i in 0..<32 {
                            let nibble = (low[j / 4 * 64 + j % 2 * 32 + i] >> UInt8(j % 4 / 2 * 4)) & 15
                            parts[j].q[i] = Int(nibble | ((high[j / 4 * 32 + i] >> UInt8(j % 4 * 2)) & 3) << 4) - 32
                        }
                    }
                default:
                    (parts[0].a, parts[0].b) = (numbers.float(0.1), numbers.float(0.5))
                    append32(parts[0].a, to: &bytes)
                    append32(parts[0].b, to: &bytes)
                    let data = random(format == CK_AFFINE4 ? 16 : 32, &numbers)
                    for i in 0..<32 {
                        parts[0].q[i] = Int(format == CK_AFFINE8 ? data[i] : i < 16 ? data[i] & 15 : data[i - 16] >> 4)
                    }
                    bytes += data
                }
                row += parts
            }
            blocks.append(row)
        }
    }

    /// An element as the format defines it, rounding like the format's reference decoders.
    func value(_ row: Int, _ column: Int) -> Float {
        let block = blocks[row][column / 32], q = Float(block.q[column % 32])
        if isHalved { return block.a * Float(column % 32 < 16 ? block.scale0 : block.scale1) * q }
        return isShifted ? block.a * q + block.b : block.a * q
    }

    /// The whole matrix in panels, on a boundary of 64 bytes. The caller frees it.
    func panels() -> UnsafeMutableRawBufferPointer {
        let stride = ck_panel_bytes(format, columns)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: (rows + 15) / 16 * stride, alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0xA5)
        bytes.withUnsafeBytes { bytes in
            for (index, row) in Swift.stride(from: 0, to: rows, by: 16).enumerated() {
                ck_pack_panel(format, bytes.baseAddress! + row * rowBytes, rowBytes, min(16, rows - row), columns, memory.baseAddress! + index * stride)
            }
        }
        return memory
    }
}

/// Activations quantised by the definition.
struct QuantizedRow {
    var q: [[Int]] = []
    var d: [Float] = []

    init(_ x: ArraySlice<Float>) {
        for start in stride(from: x.startIndex, to: x.endIndex, by: 32) {
            let block = x[start..<(start + 32)]
            let scale = block.map { abs($0) }.max()! / 127
            let reciprocal = 1 / scale
            d.append(reciprocal.isFinite ? scale : 0)
            q.append(block.map { reciprocal.isFinite ? Int(($0 * reciprocal).rounded(.toNearestOrEven)) : 0 })
        }
    }
}

@Suite("Panels") struct PanelTests {
    static func columns(_ format: ck_format) -> [Int] { BlockRows.isSuper(format) ? [256, 512, 2560] : [32, 64, 96, 544, 2080] }

    @Test("a packed element is the format's", arguments: BlockRows.formats)
    func dequantize(format: ck_format) {
        for columns in PanelTests.columns(format) {
            let rows = 21
            let w = BlockRows(format, rows: rows, columns: columns, seed: 21)
            let memory = w.panels()
            defer { memory.deallocate() }
            #expect(ck_panel_record_bytes(format) % 64 == 0)
            for row in 0..<32 {
                let panel = memory.baseAddress! + row / 16 * ck_panel_bytes(format, columns)
                for (first, n) in [(0, columns), (0, 1), (31, 2), (columns - 1, 1), (7, columns - 7), (3, 0)] where first + n <= columns {
                    var y = [Float](repeating: canary, count: n + 1)
                    ck_panel_dequantize(format, panel, row % 16, first, n, &y)
                    let expected = (first..<(first + n)).map { row < rows ? w.value(row, $0) : 0 }
                    #expect(y == expected + [canary], "row \(row), \(n) columns from \(first) of \(columns)")
                }
            }
        }
        #expect(ck_panel_bytes(format, 0) == 0)
        #expect(ck_panel_bytes(CK_F32, 64) == 0)
    }

    static func table(_ version: KernelVersion) -> ck_panel_kernels { ck_panel_kernels_for(version.isa).pointee }
    /// Whether this version computes with fused multiply-adds: every one but plain C, which some instruction sets fall back to.
    static func isFused(_ version: KernelVersion) -> Bool { ck_panel_kernels_for(version.isa) != ck_panel_kernels_for(CK_ISA_PORTABLE) }

    /// Quantised rows in memory of their own, called in two parts.
    static func quantize(_ version: KernelVersion, _ x: [Float], k: Int, stride: Int, tokens: Int) -> UnsafeMutableRawBufferPointer {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: ck_activations_bytes(tokens, k) + 64, alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0x5A)
        let part = tokens / 3
        table(version).quantize_activations(x, stride, k, tokens, part, tokens - part, memory.baseAddress!)
        table(version).quantize_activations(x, stride, k, tokens, 0, part, memory.baseAddress!)
        return memory
    }

    @Test("activations are rounded to 8 bits by blocks", arguments: KernelVersion.all)
    func activations(version: KernelVersion) {
        var numbers = Numbers(22)
        for (tokens, k) in [(1, 32), (1, 96), (5, 64), (12, 96), (13, 160), (29, 32), (3, 0)] {
            let stride = k + 3
            var x = numbers.floats(tokens * stride, 3)
            if k > 0 {
                // Ties, zeros, tiny and huge values.
                for i in 0..<32 { x[i] = i == 5 ? -127 : Float(i) - 15.5 }
                if tokens > 2 {
                    for i in 0..<32 { x[stride + i] = 0 }
                    for i in 0..<32 { x[2 * stride + i] = Float(i) * 0x1p-149 }
                    if k > 32 { for i in 32..<64 { x[2 * stride + i] = Float(i) * 1e-36; x[stride + i] = Float(i - 48) * 5e36 } }
                }
            }
            let memory = PanelTests.quantize(version, x, k: k, stride: stride, tokens: tokens)
            defer { memory.deallocate() }
            for t in 0..<tokens {
                let expected = QuantizedRow(x[(t * stride)..<(t * stride + k)])
                for block in 0..<(k / 32) {
                    let q = ck_activation_block(memory.baseAddress!, t, tokens, k, block)!
                    let sums = ck_activation_sums(memory.baseAddress!, t, tokens, k, block)!.pointee
                    #expect((0..<32).map { Int(q[$0]) } == expected.q[block])
                    #expect(sums.d.bitPattern == expected.d[block].bitPattern)
                    let sum = expected.q[block].reduce(0, +), half = expected.q[block][..<16].reduce(0, +)
                    #expect(sums.sum == Float(sum) && sums.minus_8_sums == -8 * Int32(sum) && sums.minus_8_sums_0 == -8 * Int32(half))
                }
            }
            #expect(memory[ck_activations_bytes(tokens, k)...].allSatisfy { $0 == 0x5A })
        }
        // What is not finite makes its block NaN.
        for special in [Float.nan, .infinity, -.infinity] {
            var x = numbers.floats(64)
            x[40] = special
            let memory = PanelTests.quantize(version, x, k: 64, stride: 64, tokens: 1)
            defer { memory.deallocate() }
            let w = BlockRows(CK_Q4_0, rows: 16, columns: 64, seed: 1), panels = w.panels()
            defer { panels.deallocate() }
            var y = [Float](repeating: 0, count: 16)
            PanelTests.table(version).panel_matmul(CK_Q4_0, panels.baseAddress!, ck_panel_bytes(CK_Q4_0, 64), 16, 64, memory.baseAddress!, 0, 1, 1, &y, 16)
            #expect(y.allSatisfy { $0.isNaN })
        }
    }

    /// The product by its definition, with fused multiply-adds; and in Double with the sum of magnitudes.
    static func definition(_ w: BlockRows, _ row: Int, _ x: QuantizedRow, blocks: Int) -> (fused: Float, exact: Double, magnitude: Double) {
        var acc: Float = 0, exact = 0.0, magnitude = 0.0
        for b in 0..<blocks {
            let block = w.blocks[row][b], q = x.q[b], d = x.d[b]
            func dot(_ range: Range<Int>) -> Int { range.reduce(0) { $0 + block.q[$1] * q[$1] } }
            let sum = w.isHalved ? block.scale0 * dot(0..<16) + block.scale1 * dot(16..<32) : dot(0..<32)
            acc = acc.addingProduct(Float(sum), block.a * d)
            exact += Double(sum) * Double(block.a) * Double(d)
            magnitude += abs(Double(sum) * Double(block.a) * Double(d))
            if w.isShifted {
                let total = q.reduce(0, +)
                acc = acc.addingProduct(Float(total), block.b * d)
                exact += Double(total) * Double(block.b) * Double(d)
                magnitude += abs(Double(total) * Double(block.b) * Double(d))
            }
        }
        return (acc, exact, magnitude)
    }

    /// Rows that end inside a panel, fewer columns than were packed, every number of tokens, the middle of the tokens: always the same
    /// bits for a row and a token.
    @Test("products match the definition", arguments: KernelVersion.all, BlockRows.formats)
    func products(version: KernelVersion, format: ck_format) {
        let table = PanelTests.table(version)
        for columns in PanelTests.columns(format) {
            let rows = 69, tokens = 41, xStride = columns + 5
            let w = BlockRows(format, rows: rows, columns: columns, seed: 23)
            let panels = w.panels()
            defer { panels.deallocate() }
            var numbers = Numbers(24)
            var x = numbers.floats(tokens * xStride, 2)
            for i in 0..<columns { x[3 * xStride + i] = i % 2 == 0 ? 2 : -2 }   // the largest sums
            for i in 0..<columns { x[4 * xStride + i] = -2 }
            let quantized = (0..<tokens).map { QuantizedRow(x[($0 * xStride)..<($0 * xStride + columns)]) }
            let step = BlockRows.isSuper(format) ? 256 : 32
            for k in Set([columns, columns / 2 / step * step]).sorted() {
                // A prefix of the columns is quantised by itself: the same blocks.
                let activations = PanelTests.quantize(version, x, k: k, stride: xStride, tokens: tokens)
                defer { activations.deallocate() }
                var reference = [Float](repeating: 0, count: tokens * rows)
                table.panel_matmul(format, panels.baseAddress!, ck_panel_bytes(format, columns), rows, k, activations.baseAddress!, 0, tokens, tokens, &reference, rows)
                for t in 0..<tokens {
                    for row in 0..<rows {
                        let expected = PanelTests.definition(w, row, quantized[t], blocks: k / 32), found = reference[t * rows + row]
                        // Each of the k / 32 (or twice as many) additions rounds once, a factor once or twice and, in plain C, its product once
                        // more, relative to the sum of magnitudes.
                        let bound = rounding * Double(k / 32 * 2 + 4) * expected.magnitude
                        #expect(abs(Double(found) - expected.exact) <= bound, "row \(row), token \(t), \(k) columns")
                        if PanelTests.isFused(version) { #expect(found.bitPattern == expected.fused.bitPattern, "row \(row), token \(t), \(k) columns") }
                    }
                }
                let bits = reference.map(\.bitPattern)
                for count in 1...40 {
                    for first in Set([0, count % 13, tokens - count]).sorted() where first + count <= tokens {
                        for (firstRow, n) in count % 8 == 1 ? [(0, rows), (16, 3), (32, 33), (48, 16), (0, 0)] : [(0, rows)] {
                            let stride = n + count % 3
                            var y = [Float](repeating: canary, count: count * stride + 1)
                            table.panel_matmul(
                                format, panels.baseAddress! + firstRow / 16 * ck_panel_bytes(format, columns), ck_panel_bytes(format, columns), n, k,
                                activations.baseAddress!, first, count, tokens, &y, stride)
                            for t in 0..<count {
                                let place = (first + t) * rows + firstRow
                                #expect(y[(t * stride)..<(t * stride + n)].map(\.bitPattern) == Array(bits[place..<(place + n)]), "\(count) tokens from \(first), token \(t)")
                                #expect(y[(t * stride + n)..<((t + 1) * stride)].allSatisfy { $0 == canary })
                            }
                        }
                    }
                }
            }
        }
    }

    /// More rows, tokens and columns than any block of the products for many tokens: the bits of one token at a time.
    @Test("many tokens have the bits of each alone", arguments: KernelVersion.all, BlockRows.formats)
    func manyTokens(version: KernelVersion, format: ck_format) {
        let table = PanelTests.table(version)
        let columns = BlockRows.isSuper(format) ? 1280 : 1056, rows = 149, tokens = 215
        let w = BlockRows(format, rows: rows, columns: columns, seed: 25)
        let panels = w.panels(), stride = ck_panel_bytes(format, columns)
        defer { panels.deallocate() }
        var numbers = Numbers(26)
        let x = numbers.floats(tokens * columns, 2)
        let activations = PanelTests.quantize(version, x, k: columns, stride: columns, tokens: tokens)
        defer { activations.deallocate() }
        var alone = [Float](repeating: 0, count: tokens * rows)
        alone.withUnsafeMutableBufferPointer { alone in
            for t in 0..<tokens {
                table.panel_matmul(format, panels.baseAddress!, stride, rows, columns, activations.baseAddress!, t, 1, tokens, alone.baseAddress! + t * rows, rows)
            }
        }
        for (first, count) in [(0, tokens), (7, 193), (2, 65), (100, 100), (11, 1)] {
            var y = [Float](repeating: canary, count: count * (rows + 2))
            table.panel_matmul(format, panels.baseAddress!, stride, rows, columns, activations.baseAddress!, first, count, tokens, &y, rows + 2)
            for t in 0..<count {
                let same = (0..<rows).allSatisfy { y[t * (rows + 2) + $0].bitPattern == alone[(first + t) * rows + $0].bitPattern }
                #expect(same, "token \(first + t) of \(count)")
                #expect(y[t * (rows + 2) + rows] == canary && y[t * (rows + 2) + rows + 1] == canary)
            }
        }
    }

    @Test("the arithmetic limit counts operations", arguments: KernelVersion.all)
    func limit(version: KernelVersion) {
        var one = 0.0, two = 0.0
        _ = PanelTests.table(version).measure_int8(1000, &one)
        _ = PanelTests.table(version).measure_int8(2000, &two)
        #expect(one > 0 && two == 2 * one)
    }
}
