internal import CKernels
internal import Checkpoint
internal import Tensors

/// How far stored numbers moved.
public struct ConversionError: Sendable, Equatable {
    public var elements = 0
    /// Sums over the elements, in double precision and in a fixed order.
    public var squaredError = 0.0
    public var squares = 0.0
    public var maximum: Float = 0
    public var bytesBefore = 0
    public var bytesAfter = 0
    public var tensors = 0
    /// Formats in the output, with their tensors.
    public var formats: [String: Int] = [:]

    /// Root mean square of the error over that of the numbers.
    public var relative: Double { squares > 0 ? (squaredError / squares).squareRoot() : 0 }

    mutating func add(_ other: ConversionError) {
        elements += other.elements
        squaredError += other.squaredError
        squares += other.squares
        maximum = max(maximum, other.maximum)
        bytesBefore += other.bytesBefore
        bytesAfter += other.bytesAfter
        tensors += other.tensors
        formats.merge(other.formats) { $0 + $1 }
    }
}

/// Converts tensors block of rows by block of rows: memory is bounded by the block, whatever the tensor's size.
///
/// A row's bytes depend on that row only, so threads and blocks change no bit.
struct TensorConverter {
    let parallelism: Parallelism
    /// Called after every block with the source bytes read since the last call; throws to stop.
    let progress: (_ bytesRead: Int) throws -> Void

    /// Output bytes of a block.
    private static let blockBytes = 16 << 20

    /// Writes the bytes of a planned tensor to `output` and says how far its numbers moved.
    ///
    /// - Throws: `FileError` from writing, `CheckpointError` for numbers that are not finite, what `progress` throws.
    func convert(_ tensor: PlannedTensor, into output: inout AtomicFile) throws -> ConversionError {
        var total = ConversionError()
        total.elements = tensor.sources.reduce(0) { $0 + $1.elementCount }
        total.bytesBefore = tensor.sources.reduce(0) { $0 + $1.byteCount }
        total.bytesAfter = tensor.byteCount
        total.tensors = 1
        total.formats = [tensor.format.name: 1]
        if tensor.rows == 0 || tensor.columns == 0 { return total }
        let rowBytes = tensor.format.byteCount(of: tensor.columns)
        let source = RowSource(tensor)
        let format = ck_format(UInt32(tensor.format.rawValue))

        if tensor.layout == .units {
            // A unit takes a number of every row: the whole matrix is needed.
            let rows = UnsafeMutableRawBufferPointer.allocate(byteCount: tensor.rows * rowBytes, alignment: 64)
            defer { rows.deallocate() }
            guard let base = rows.baseAddress else { return total }
            try convertRows(0..<tensor.rows, source, tensor, rowBytes: rowBytes, into: base, &total)
            let units = UnsafeMutableRawBufferPointer.allocate(byteCount: tensor.byteCount, alignment: 64)
            defer { units.deallocate() }
            units.initializeMemory(as: UInt8.self, repeating: 0)
            guard let out = units.baseAddress else { return total }
            parallelism.forEachRange(tensor.rows, by: 128) { range in
                ck_pack_units(format, base, rowBytes, tensor.rows, tensor.columns, range.lowerBound, range.count, out)
            }
            try output.write(UnsafeRawBufferPointer(units))
            return total
        }

        let panelBytes = tensor.layout == .panels ? ck_panel_bytes(format, tensor.columns) : 0
        let groupBytes = tensor.layout == .panels ? panelBytes : 16 * rowBytes
        let groups = max(1, Self.blockBytes / max(1, max(groupBytes, 16 * tensor.columns * 4)))
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: groups * groupBytes, alignment: 64)
        defer { block.deallocate() }
        let staging = UnsafeMutableRawBufferPointer.allocate(byteCount: tensor.layout == .panels ? groups * 16 * rowBytes : 64, alignment: 64)
        defer { staging.deallocate() }
        guard let out = block.baseAddress, let staged = staging.baseAddress else { return total }
        var first = 0
        while first < tensor.rows {
            let range = first..<min(tensor.rows, first + groups * 16)
            if tensor.layout == .panels {
                try convertRows(range, source, tensor, rowBytes: rowBytes, into: staged, &total)
                let panels = (range.count + 15) / 16
                parallelism.forEach(panels) { panel in
                    ck_pack_panel(
                        format, staged + panel * 16 * rowBytes, rowBytes, min(16, range.count - panel * 16), tensor.columns, out + panel * panelBytes)
                }
                try output.write(UnsafeRawBufferPointer(start: out, count: panels * panelBytes))
            } else {
                try convertRows(range, source, tensor, rowBytes: rowBytes, into: out, &total)
                try output.write(UnsafeRawBufferPointer(start: out, count: range.count * rowBytes))
            }
            first = range.upperBound
        }
        return total
    }

    /// Rows in the output's format, one behind the other.
    private func convertRows(
        _ range: Range<Int>, _ source: RowSource, _ tensor: PlannedTensor, rowBytes: Int, into out: UnsafeMutableRawPointer,
        _ total: inout ConversionError
    ) throws {
        let columns = tensor.columns
        let errors = UnsafeMutablePointer<RowError>.allocate(capacity: range.count)
        errors.initialize(repeating: RowError(), count: range.count)
        defer { errors.deallocate() }
        let step = max(1, min(64, (1 << 16) / max(1, columns)))
        parallelism.forEachRange(range.count, by: step) { rows in
            let x = UnsafeMutablePointer<Float>.allocate(capacity: 2 * columns)
            defer { x.deallocate() }
            for index in rows {
                let target = out + index * rowBytes
                let row = range.lowerBound + index
                if !source.copy(row, as: tensor.format, to: target) {
                    source.decode(row, into: x)
                    encodeRow(x, columns, tensor.format, into: target)
                    if row < tensor.sourceRows { errors[index] = RowError(x, target, tensor.format, columns, decoded: x + columns) }
                }
            }
        }
        for index in 0..<range.count {
            let error = errors[index]
            guard error.squares.isFinite else {
                let place = source.place(range.lowerBound + index)
                throw CheckpointError(
                    .unsupportedValue, file: place.file,
                    "tensor '\(place.name)' holds numbers that are infinite or no numbers (row \(place.row)); they cannot be converted. Is the file damaged?")
            }
            guard error.squaredError.isFinite else {
                let place = source.place(range.lowerBound + index)
                throw CheckpointError(
                    .unsupportedValue, file: place.file,
                    "tensor '\(place.name)' holds numbers too large for \(tensor.format.name) (row \(place.row)). Keep it in another format: --keep \(tensor.kind.rawValue)=bf16.")
            }
            total.squaredError += error.squaredError
            total.squares += error.squares
            total.maximum = max(total.maximum, error.maximum)
        }
        try progress(source.release(range))
    }
}

/// What one row lost.
private struct RowError {
    var squaredError = 0.0
    var squares = 0.0
    var maximum: Float = 0

    init() {}

    /// - Parameter decoded: Room for `count` numbers.
    init(_ x: UnsafePointer<Float>, _ encoded: UnsafeRawPointer, _ format: ElementFormat, _ count: Int, decoded y: UnsafeMutablePointer<Float>) {
        decodeElements(encoded, format: format, into: y, count: count)
        var (error, sum, largest) = (0.0, 0.0, Float(0))
        for i in 0..<count {
            let difference = x[i] - y[i]
            error += Double(difference) * Double(difference)
            sum += Double(x[i]) * Double(x[i])
            largest = max(largest, abs(difference))
        }
        squaredError = error
        squares = sum
        maximum = largest
    }
}

/// The rows of a planned tensor, wherever they lie.
private struct RowSource {
    let tensor: PlannedTensor
    let columns: Int
    private let matrices: [Matrix]

    init(_ tensor: PlannedTensor) {
        self.tensor = tensor
        columns = tensor.columns
        matrices = tensor.sources.map { $0.matrix(rows: $0.elementCount / tensor.columns, columns: tensor.columns) }
    }

    /// The source that holds a row, and the row in it; nil for a row that is filled.
    private func find(_ row: Int) -> (source: Int, row: Int)? {
        var row = row
        for (index, matrix) in matrices.enumerated() {
            if row < matrix.rows { return (index, row) }
            row -= matrix.rows
        }
        return nil
    }

    /// Copies a row that is stored in `format` already, in whatever layout; false if it is not.
    func copy(_ row: Int, as format: ElementFormat, to target: UnsafeMutableRawPointer) -> Bool {
        guard let (source, row) = find(row), matrices[source].format == format else { return false }
        matrices[source].copyRows(row..<row + 1, into: target)
        return true
    }

    func decode(_ row: Int, into x: UnsafeMutablePointer<Float>) {
        guard let (source, row) = find(row) else {
            x.update(repeating: tensor.fill, count: columns)
            return
        }
        matrices[source].decodeRow(row, into: x)
    }

    func place(_ row: Int) -> (name: String, file: String, row: Int) {
        guard let (source, row) = find(row) else { return (tensor.name, "", row) }
        return (tensor.sources[source].name, tensor.sources[source].file, row)
    }

    /// Lets the system have the pages of rows that were read (or others', of a layout that spreads them), and says how many bytes they were.
    func release(_ range: Range<Int>) -> Int {
        var first = 0
        var total = 0
        for matrix in matrices {
            let part = max(first, range.lowerBound)..<max(max(first, range.lowerBound), min(first + matrix.rows, range.upperBound))
            if !part.isEmpty {
                for place in matrix.places {
                    func byte(_ row: Int) -> Int { place.bytes.lowerBound + place.bytes.count * (row - first) / matrix.rows }
                    let bytes = byte(part.lowerBound)..<byte(part.upperBound)
                    place.region.advise(.unused, bytes)
                    total += bytes.count
                }
            }
            first += matrix.rows
        }
        return total
    }
}

/// Encodes a row. Numbers beyond half precision become infinite, so that they are noticed; the kernel would take the largest it has.
private func encodeRow(_ x: UnsafePointer<Float>, _ count: Int, _ format: ElementFormat, into out: UnsafeMutableRawPointer) {
    guard format == .f16 else { return ck_quantize_row(ck_format(UInt32(format.rawValue)), x, count, out) }
    for i in 0..<count { out.storeBytes(of: float16(x[i]).littleEndian, toByteOffset: 2 * i, as: UInt16.self) }
}

/// The nearest float16, ties to even; infinity beyond its range.
private func float16(_ x: Float) -> UInt16 {
    let bits = x.bitPattern
    let sign = UInt16(truncatingIfNeeded: bits >> 16) & 0x8000
    let magnitude = bits & 0x7FFF_FFFF
    if magnitude > 0x7F80_0000 { return sign | 0x7E00 }
    if magnitude >= 0x4780_0000 { return sign | 0x7C00 }  // 65536 and more
    if magnitude < 0x3880_0000 {
        // Below the smallest normal number, 2^-14: count units of 2^-24.
        let scaled = Float(bitPattern: magnitude) * 16_777_216
        return sign | UInt16(scaled.rounded(.toNearestOrEven))
    }
    let rounded = magnitude &+ 0xFFF &+ (magnitude >> 13 & 1)
    return sign | UInt16(truncatingIfNeeded: (rounded &- 0x3800_0000) >> 13)
}
