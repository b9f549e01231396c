public import Tensors

/// A safetensors file: 8 bytes of header length (little-endian), a JSON header, the tensors' bytes.
///
/// Nothing is copied: tensors share the bytes of the file. Everything the header claims is checked when the file is opened.
/// Source of the format: https://github.com/huggingface/safetensors (README, "Format").
public struct SafeTensorsFile: Sendable {
    /// The name errors carry.
    public let name: String
    /// Tensors in a format the model computes with, in the order of the header.
    public let tensors: [StoredTensor]
    /// Tensors of other element types, such as ids and images in test fixtures.
    public let others: [OtherTensor]
    /// The `__metadata__` of the header.
    public let metadata: [String: String]

    /// More than this is no header (the reference library's limit too).
    private static let maximumHeader: UInt64 = 100_000_000

    /// - Parameters:
    ///   - bytes: The whole file.
    ///   - name: The name errors carry.
    /// - Throws: `malformedHeader` if the file is truncated or the header contradicts itself or the file's size, `malformedJSON`
    ///   if the header is no JSON, `unsupportedFormat` for element types this version does not know. Errors name the tensor.
    public init(bytes region: ByteRegion, name: String) throws(CheckpointError) {
        self.name = name
        let bytes = region.bytes
        guard bytes.count >= 8 else {
            throw CheckpointError(
                .malformedHeader, file: name,
                "the file has \(bytes.count) bytes, a safetensors file at least 8. Was it copied completely?")
        }
        var headerLength: UInt64 = 0
        for i in 0..<8 { headerLength |= UInt64(bytes[i]) << (8 * UInt64(i)) }
        guard headerLength <= Self.maximumHeader, headerLength <= UInt64(bytes.count - 8) else {
            throw CheckpointError(
                .malformedHeader, file: name,
                "the first 8 bytes announce a header of \(headerLength) bytes, the file has \(bytes.count). Is it a safetensors file, and complete?")
        }
        let dataStart = 8 + Int(headerLength)
        let reader = HeaderReader(file: name, region: region, dataStart: dataStart)

        var scanner = JSONScanner(UnsafeRawBufferPointer(rebasing: bytes[8..<dataStart]), file: name)
        guard scanner.peek() == 0x7B else {
            throw CheckpointError(.malformedHeader, file: name, "the header is no JSON object. Is it a safetensors file?")
        }
        var tensors: [StoredTensor] = []
        var others: [OtherTensor] = []
        var metadata: [String: String] = [:]
        var seen: Set<String> = []
        var extents: [HeaderReader.Extent] = []
        try scanner.forEachMember { (scanner: inout JSONScanner, key: JSONScanner.Text) throws(CheckpointError) in
            let key = String(decoding: key, as: UTF8.self)
            let value = try scanner.value(depth: 1)
            guard seen.insert(key).inserted else {
                throw CheckpointError(.malformedHeader, file: name, "the header names tensor '\(key)' twice.")
            }
            if key == "__metadata__" {
                metadata = try reader.metadata(value)
            } else {
                let extent = try reader.tensor(key, value, into: &tensors, or: &others)
                if extent.begin < extent.end { extents.append(extent) }
            }
        }
        try scanner.expectEnd()

        extents.sort { $0.begin < $1.begin }
        for i in 1..<max(extents.count, 1) where extents[i].begin < extents[i - 1].end {
            throw CheckpointError(
                .malformedHeader, file: name,
                "tensors '\(extents[i - 1].name)' and '\(extents[i].name)' overlap in the file.")
        }
        self.tensors = tensors
        self.others = others
        self.metadata = metadata
    }

    /// The tensor of that name, if it is in `tensors`. Searches in order.
    public subscript(_ name: String) -> StoredTensor? { tensors.first { $0.name == name } }
}

/// A tensor whose elements the model does not compute with: integers, booleans, float64.
public struct OtherTensor: Sendable {
    public let name: String
    /// The header's name of the element type: `I64`, `U8`, …
    public let format: String
    public let shape: [Int]
    /// The name of the file it lies in.
    let file: String
    let region: ByteRegion
    /// Where it lies in the file.
    package let range: Range<Int>

    /// Element types that can be read, and the bytes of one element.
    static func byteCount(ofFormat name: String) -> Int? {
        switch name {
        case "I64", "U64", "F64": 8
        case "I32", "U32": 4
        case "I16", "U16": 2
        case "I8", "U8", "BOOL": 1
        default: nil
        }
    }

    init(name: String, format: String, shape: [Int], file: String, region: ByteRegion, range: Range<Int>) {
        self.name = name
        self.format = format
        self.shape = shape
        self.file = file
        self.region = region
        self.range = range
    }

    public var elementCount: Int { shape.reduce(1, *) }

    /// The bytes where they lie; valid as long as the file is held.
    package var contents: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: region.bytes[range]) }

    /// The bytes as they lie in the file (little-endian).
    public var bytes: [UInt8] { [UInt8](region.bytes[range]) }

    /// The elements of an integer or boolean tensor; nil for `F64` and for values beyond `Int`.
    public var integers: [Int]? {
        guard format != "F64", let size = Self.byteCount(ofFormat: format) else { return nil }
        let signed = format.utf8.first == 0x49
        var values: [Int] = []
        values.reserveCapacity(elementCount)
        for i in 0..<elementCount {
            let word = word(at: i, size: size)
            if signed {
                let shift = UInt64(64 - 8 * size)
                guard let value = Int(exactly: Int64(bitPattern: word << shift) >> Int64(shift)) else { return nil }
                values.append(value)
            } else {
                guard let value = Int(exactly: word) else { return nil }
                values.append(value)
            }
        }
        return values
    }

    /// The elements of an `F64` tensor, else nil.
    public var doubles: [Double]? {
        guard format == "F64" else { return nil }
        return (0..<elementCount).map { Double(bitPattern: word(at: $0, size: 8)) }
    }

    private func word(at index: Int, size: Int) -> UInt64 {
        var word: UInt64 = 0
        for i in 0..<size { word |= UInt64(region.bytes[range.lowerBound + index * size + i]) << (8 * UInt64(i)) }
        return word
    }
}

/// Checks what a header says of one tensor.
private struct HeaderReader {
    struct Extent {
        let name: String
        let begin: Int
        let end: Int
    }

    let file: String
    let region: ByteRegion
    let dataStart: Int

    func malformed(_ message: String) -> CheckpointError { CheckpointError(.malformedHeader, file: file, message) }

    func metadata(_ value: JSONValue) throws(CheckpointError) -> [String: String] {
        guard let object = value.object else { throw malformed("__metadata__ is \(value.kind), expected an object of strings.") }
        var metadata: [String: String] = [:]
        for member in object.members {
            guard let text = member.value.string else {
                throw malformed("__metadata__ '\(member.key)' is \(member.value.kind), expected a string.")
            }
            metadata[member.key] = text
        }
        return metadata
    }

    /// Appends the tensor to the list it belongs to and gives the bytes it takes.
    func tensor(
        _ name: String, _ value: JSONValue, into tensors: inout [StoredTensor], or others: inout [OtherTensor]
    ) throws(CheckpointError) -> Extent {
        guard let type = value["dtype"]?.string, let dimensions = value["shape"]?.array, let offsets = value["data_offsets"]?.array else {
            throw malformed("tensor '\(name)' lacks dtype (a string), shape or data_offsets (arrays) in the header.")
        }
        var shape: [Int] = []
        for dimension in dimensions {
            guard let size = dimension.int, size >= 0 else { throw malformed("tensor '\(name)' has a shape that is no list of sizes.") }
            shape.append(size)
        }
        let stored = Self.storage(type)
        guard stored != nil || OtherTensor.byteCount(ofFormat: type) != nil else {
            throw CheckpointError(
                .unsupportedFormat, file: file,
                "tensor '\(name)' has element type '\(type)'; this version reads F32, F16, BF16 and those of checkpoints packed by gemma3n convert. Convert the checkpoint to one of them.")
        }
        guard let size = stored.map({ Self.byteCount($0.format, $0.layout, shape) }) ?? Self.byteCount(type, shape) else {
            let fits = Self.product(shape + [8]) != nil
            throw malformed("tensor '\(name)' has shape \(shape), \(fits ? "whose rows are no whole blocks of \(type)" : "larger than any file").")
        }
        guard offsets.count == 2, let begin = offsets[0].int, let end = offsets[1].int, begin >= 0, begin <= end else {
            throw malformed("tensor '\(name)' has data_offsets that are not a begin and an end.")
        }
        let available = region.count - dataStart
        guard end <= available else {
            throw malformed(
                "tensor '\(name)' ends at byte \(end) of the tensor data, the file holds \(available). Was it copied completely?")
        }
        guard end - begin == size else {
            throw malformed("tensor '\(name)' has \(end - begin) bytes, expected \(size) for shape \(shape) of \(type).")
        }
        let range = (dataStart + begin)..<(dataStart + end)
        if let stored {
            tensors.append(
                StoredTensor(
                    name: name, format: stored.format, layout: stored.layout, shape: shape, file: file, region: region,
                    offset: range.lowerBound))
        } else {
            others.append(OtherTensor(name: name, format: type, shape: shape, file: file, region: region, range: range))
        }
        return Extent(name: name, begin: begin, end: end)
    }

    /// The format and layout an element type stands for: `F32`, `Q4_0`, `Q4_0.panels`, …
    private static func storage(_ type: String) -> (format: ElementFormat, layout: MatrixLayout)? {
        let parts = type.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard let first = parts.first, parts.count <= 2, let format = ElementFormat(name: String(Substring(first))) else { return nil }
        if parts.count == 1 { return (format, .rows) }
        let name = String(Substring(parts[1]))
        guard let layout = MatrixLayout.allCases.first(where: { $0.name == name }), layout != .rows, layout != .groups else { return nil }
        return (format, layout)
    }

    /// Bytes of a tensor of the model's formats; nil if there can be no such tensor.
    private static func byteCount(_ format: ElementFormat, _ layout: MatrixLayout, _ shape: [Int]) -> Int? {
        guard format.isQuantized || layout != .rows else { return product(shape + [format.blockByteCount]) }
        guard let columns = shape.last, layout == .rows || shape.count == 2, let rows = product(shape.dropLast()) else { return nil }
        return layout.byteCount(format, rows: rows, columns: columns)
    }

    private static func byteCount(_ type: String, _ shape: [Int]) -> Int? {
        OtherTensor.byteCount(ofFormat: type).flatMap { product(shape + [$0]) }
    }

    private static func product(_ factors: some Sequence<Int>) -> Int? {
        var result = 1
        for factor in factors {
            let (product, overflow) = result.multipliedReportingOverflow(by: factor)
            if overflow { return nil }
            result = product
        }
        return result
    }
}
