internal import CKernels

/// A weight matrix `[rows, columns]`: a small value over shared immutable bytes.
///
/// `y = W x` maps `columns` inputs to `rows` outputs. Views (`rows(_:)`, `columns(_:)`) share the bytes.
///
/// A product with a plain matrix (`f32`, `f16`, `bf16`) is computed in float32; one with a quantised matrix in integers, its inputs
/// quantised to 8 bits in blocks of 32 (`ckernels_panels.h` defines the sums). In layout `units` inputs stay float32 and an output
/// is the sum of its inputs' contributions in ascending order.
public struct Matrix: Sendable {
    public let rows: Int
    public let columns: Int
    public let format: ElementFormat
    public let layout: MatrixLayout
    /// Bytes from one row, or one panel of 16 rows, to the next.
    package let stride: Int
    package let region: ByteRegion
    package let offset: Int
    /// Of a matrix in layout `groups`.
    private let groups: AffineGroups?
    package var base: UnsafeRawPointer { region.bytes.baseAddress.unsafelyUnwrapped + offset }

    /// - Precondition: `region` holds such a matrix from `offset` on, and `columns` are a multiple of the format's block length.
    public init(region: ByteRegion, offset: Int, rows: Int, columns: Int, format: ElementFormat, layout: MatrixLayout = .rows) {
        self.init(region: region, offset: offset, rows: rows, columns: columns, format: format, layout: layout, groups: nil)
    }

    /// - Parameter groups: Where scales and biases lie if the layout is `groups`; nil for all others.
    package init(
        region: ByteRegion, offset: Int, rows: Int, columns: Int, format: ElementFormat, layout: MatrixLayout, groups: AffineGroups?
    ) {
        precondition((layout == .groups) == (groups != nil), "scales of groups go with groups")
        guard let size = layout.byteCount(format, rows: rows, columns: columns) else {
            preconditionFailure("no matrix \(rows) x \(columns) of \(format.name) in \(layout.name)")
        }
        precondition(offset >= 0 && offset + size <= region.count, "matrix lies outside its bytes")
        let stride =
            switch layout {
            case .rows: format.byteCount(of: columns)
            case .panels: ck_panel_bytes(format.kernel, columns)
            case .units: size
            case .groups: rows == 0 ? 0 : size / rows
            }
        self.init(region: region, at: offset, rows: rows, columns: columns, stride: stride, format: format, layout: layout, groups: groups)
    }

    /// A float32 matrix of its own memory.
    public init(_ values: [Float], rows: Int, columns: Int) {
        precondition(values.count == rows * columns, "\(values.count) values for a \(rows) x \(columns) matrix")
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(values.count * 4, 64), alignment: 64)
        values.withUnsafeBytes { memory.copyMemory(from: $0) }
        let region = ByteRegion(UnsafeRawBufferPointer(memory)) { _ in memory.deallocate() }
        self.init(region: region, offset: 0, rows: rows, columns: columns, format: .f32)
    }

    private init(
        region: ByteRegion, at offset: Int, rows: Int, columns: Int, stride: Int, format: ElementFormat, layout: MatrixLayout,
        groups: AffineGroups?
    ) {
        self.region = region
        self.offset = offset
        self.rows = rows
        self.columns = columns
        self.stride = stride
        self.format = format
        self.layout = layout
        self.groups = groups
    }

    /// The rows in `range`, sharing the bytes. Panels can be cut at multiples of 16, `units` not at all, `groups` behind.
    public func rows(_ range: Range<Int>) -> Matrix {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows \(range) of \(rows)")
        precondition(canBeCut(atRow: range.lowerBound), "row \(range.lowerBound) does not begin a panel")
        let first = layout == .panels ? range.lowerBound / 16 : range.lowerBound
        return Matrix(
            region: region, at: offset + first * stride, rows: range.count, columns: columns, stride: stride, format: format, layout: layout,
            groups: groups)
    }

    /// Whether a view may begin with row `row`.
    public func canBeCut(atRow row: Int) -> Bool {
        switch layout {
        case .rows: true
        case .panels: row % 16 == 0
        case .units, .groups: row == 0
        }
    }

    /// The columns in `range`, sharing the bytes. Block formats are cut at multiples of the block length; `units` only at the end,
    /// `groups` not at all.
    public func columns(_ range: Range<Int>) -> Matrix {
        precondition(range.lowerBound >= 0 && range.upperBound <= columns, "columns \(range) of \(columns)")
        let block = layout == .panels ? ck_panel_record_columns(format.kernel) : format.blockLength
        precondition(layout != .units || range.lowerBound == 0, "units are cut at the end only")
        precondition(layout != .groups || range == 0..<columns, "groups are not cut by columns")
        precondition(range.lowerBound % block == 0 && range.count % format.blockLength == 0, "columns \(range) cut a block of \(block)")
        let first =
            layout == .panels
            ? range.lowerBound / block * ck_panel_record_bytes(format.kernel) : format.byteCount(of: range.lowerBound)
        return Matrix(
            region: region, at: offset + first, rows: rows, columns: range.count, stride: stride, format: format, layout: layout, groups: groups)
    }

    /// Whether the first `count` columns are a matrix of their own.
    public func canBeCut(atColumn count: Int) -> Bool { count % format.blockLength == 0 && (layout != .groups || count == columns) }

    /// Bytes of the weights: what one product reads.
    public var byteCount: Int {
        (layout.byteCount(format, rows: rows, columns: columns) ?? 0) + 2 * (groups?.byteCount(rows: rows, columns: columns) ?? 0)
    }

    /// Says how its bytes will be used, wherever they lie.
    package func advise(_ advice: MemoryAdvice) {
        for place in places { place.region.advise(advice, place.bytes) }
    }

    /// Everywhere its bytes lie.
    package var places: [(region: ByteRegion, bytes: Range<Int>)] {
        let size = layout.byteCount(format, rows: rows, columns: columns) ?? 0
        return [(region, offset..<offset + size)] + (groups?.places(rows: rows, columns: columns) ?? [])
    }

    /// Bytes of `count` neighbouring columns of one row.
    package func byteCount(ofColumns count: Int) -> Int { rows > 0 && columns > 0 ? byteCount / rows * count / columns : 0 }

    /// Bytes of `count` columns that need not be neighbours, in layout `units` with their share of what neighbours have in common.
    package func byteCount(ofUnits count: Int) -> Int { columns > 0 ? byteCount * count / columns : 0 }

    /// Decodes `range` of row `index` to float32: its values into `y`.
    package func decodeRow(_ index: Int, columns range: Range<Int>, into y: UnsafeMutablePointer<Float>) {
        precondition(index >= 0 && index < rows, "row \(index) of \(rows)")
        precondition(range.lowerBound >= 0 && range.upperBound <= columns, "columns \(range) of \(columns)")
        switch layout {
        case .rows:
            if format.isQuantized {
                ck_dequantize(format.kernel, base + index * stride, range.lowerBound, range.count, y)
            } else {
                decodeElements(base + index * stride + format.byteCount(of: range.lowerBound), format: format, into: y, count: range.count)
            }
        case .panels: ck_panel_dequantize(format.kernel, base + index / 16 * stride, index % 16, range.lowerBound, range.count, y)
        case .units: ck_units_dequantize(format.kernel, base, rows, index, range.lowerBound, range.count, y)
        case .groups: decodeGroups(row: index, columns: range, into: y)
        }
    }

    /// Decodes row `index` to float32: `columns` values into `y`.
    package func decodeRow(_ index: Int, into y: UnsafeMutablePointer<Float>) { decodeRow(index, columns: 0..<columns, into: y) }

    /// The whole matrix as float32, row by row.
    public func decoded() -> [Float] {
        [Float](unsafeUninitializedCapacity: rows * columns) { buffer, count in
            if let y = buffer.baseAddress { for r in 0..<rows { decodeRow(r, into: y + r * columns) } }
            count = rows * columns
        }
    }
}

// MARK: Layouts

extension Matrix {
    /// Copies the rows in `range` to `out` as layout `rows` has them: the exact inverse of packing.
    package func copyRows(_ range: Range<Int>, into out: UnsafeMutableRawPointer) {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows \(range) of \(rows)")
        let rowBytes = format.byteCount(of: columns)
        if layout == .units {
            ck_unpack_units(format.kernel, base, rows, columns, range.lowerBound, range.count, out, rowBytes)
            return
        }
        for row in range {
            let target = out + (row - range.lowerBound) * rowBytes
            switch layout {
            case .rows, .units: target.copyMemory(from: base + row * stride, byteCount: rowBytes)
            case .panels: ck_unpack_panel(format.kernel, base + row / 16 * stride, row % 16, columns, target)
            case .groups: groups?.blocks(format, row: row, of: columns, 0..<columns, numbers: base + row * stride, into: target)
            }
        }
    }

    private func decodeGroups(row: Int, columns range: Range<Int>, into y: UnsafeMutablePointer<Float>) {
        if range.isEmpty { return }
        let blocks = range.lowerBound / 32 * 32..<(range.upperBound + 31) / 32 * 32
        withUnsafeTemporaryAllocation(byteCount: format.byteCount(of: blocks.count), alignment: 16) { memory in
            guard let memory = memory.baseAddress else { return }
            groups?.blocks(format, row: row, of: columns, blocks, numbers: base + row * stride, into: memory)
            ck_dequantize(format.kernel, memory, range.lowerBound - blocks.lowerBound, range.count, y)
        }
    }

    /// The matrix itself, or one of float32 with the same numbers if it is quantised: for small ones that are used seldom.
    package var plain: Matrix { format.isQuantized ? Matrix(decoded(), rows: rows, columns: columns) : self }
}
