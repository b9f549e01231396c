public import Tensors

/// A GGUF file of version 2 or 3: metadata, a table of tensors, the tensors' bytes.
///
/// Nothing is copied: metadata and tensors share the bytes of the file. Everything the header claims is checked when the file is
/// opened, so that reading values and tensors later cannot go wrong.
/// - Source: ggml's `docs/gguf.md`; llama.cpp's `gguf.cpp`.
public struct GGUFFile: Sendable {
    /// The name errors carry.
    public let name: String
    public let version: Int
    /// Keys in the file's order.
    public let keys: [String]
    /// In the file's order. Shapes are the logical ones, `[rows, columns]`: GGUF writes them the other way round.
    public let tensors: [StoredTensor]
    private let values: [String: GGUFValue]
    private let indices: [String: Int]

    /// Whether a file begins as GGUF files do.
    public static func isGGUF(_ bytes: UnsafeRawBufferPointer) -> Bool { bytes.count >= 4 && bytes.prefix(4).elementsEqual("GGUF".utf8) }

    /// - Parameters:
    ///   - region: The whole file.
    ///   - name: The name errors carry.
    /// - Throws: `malformedHeader` if the file is truncated or contradicts itself, `unsupportedFormat` for versions, byte orders and
    ///   tensor types this version does not read.
    public init(bytes region: ByteRegion, name: String) throws(CheckpointError) {
        var reader = GGUFReader(region, file: name)
        self.name = name
        version = try reader.version()
        let tensorCount = try reader.count("tensors", atLeast: 24)
        let keyCount = try reader.count("metadata keys", atLeast: 13)

        var keys: [String] = []
        keys.reserveCapacity(keyCount)
        var values: [String: GGUFValue] = [:]
        for _ in 0..<keyCount {
            let key = try reader.string("a metadata key")
            let value = try reader.value(key)
            guard values.updateValue(value, forKey: key) == nil else { throw reader.malformed("the key '\(key)' appears twice.") }
            keys.append(key)
        }
        self.keys = keys
        self.values = values

        var alignment = 32
        if let value = values["general.alignment"] {
            guard let number = value.integer, number > 0, number <= 1 << 30, number & (number - 1) == 0 else {
                throw reader.malformed("general.alignment is \(value.summary), expected a power of two.")
            }
            alignment = number
        }

        var headers: [GGUFReader.TensorHeader] = []
        headers.reserveCapacity(tensorCount)
        for _ in 0..<tensorCount { headers.append(try reader.tensorHeader(alignment: alignment)) }
        var indices: [String: Int] = [:]
        for (index, header) in headers.enumerated() {
            guard indices.updateValue(index, forKey: header.name) == nil else {
                throw reader.malformed("the header names tensor '\(header.name)' twice.")
            }
        }
        self.indices = indices
        tensors = try reader.tensors(headers, alignment: alignment)
    }

    /// The value of a metadata key, nil if the file has none.
    public subscript(_ key: String) -> GGUFValue? { values[key] }

    /// The tensor of that name, nil if the file has none.
    public func tensor(_ name: String) -> StoredTensor? { indices[name].map { tensors[$0] } }
}

/// Reads and checks the header of a GGUF file from front to back.
private struct GGUFReader {
    struct TensorHeader {
        let name: String
        let format: ElementFormat
        /// Logical order: slowest dimension first.
        let shape: [Int]
        /// In the tensor data.
        let offset: Int
        let byteCount: Int
    }

    /// ggml's limit.
    private static let maximumDimensions = 4
    /// Of arrays in arrays; nobody writes any.
    private static let maximumDepth = 4

    private let region: ByteRegion
    private let bytes: UnsafeRawBufferPointer
    private let file: String
    private var position = 0

    init(_ region: ByteRegion, file: String) {
        self.region = region
        bytes = region.bytes
        self.file = file
    }

    func malformed(_ message: String) -> CheckpointError { CheckpointError(.malformedHeader, file: file, message) }

    private func unsupported(_ message: String) -> CheckpointError { CheckpointError(.unsupportedFormat, file: file, message) }

    private var left: Int { bytes.count - position }

    private func truncated(_ what: String) -> CheckpointError {
        malformed("the file ends at byte \(bytes.count), inside \(what). Was it copied completely?")
    }

    private mutating func uint32(_ what: String) throws(CheckpointError) -> UInt32 {
        guard left >= 4 else { throw truncated(what) }
        defer { position += 4 }
        return UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
    }

    private mutating func uint64(_ what: String) throws(CheckpointError) -> UInt64 {
        guard left >= 8 else { throw truncated(what) }
        defer { position += 8 }
        return UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
    }

    // MARK: Head

    mutating func version() throws(CheckpointError) -> Int {
        guard GGUFFile.isGGUF(bytes) else { throw malformed("the file does not begin with 'GGUF'. Is it a GGUF file?") }
        position = 4
        let version = try uint32("the version")
        switch version {
        case 2, 3: return Int(version)
        case 1:
            throw unsupported("the file is GGUF of version 1, of August 2023; this version reads 2 and 3. Convert the checkpoint again.")
        case _ where version.byteSwapped >= 1 && version.byteSwapped <= 0xFFFF:
            throw unsupported("the file is GGUF for big-endian machines; this version reads little-endian files. Convert the checkpoint again.")
        default: throw unsupported("the file is GGUF of version \(version); this version reads 2 and 3.")
        }
    }

    /// A count of things that take at least `size` bytes each.
    mutating func count(_ what: String, atLeast size: Int) throws(CheckpointError) -> Int {
        let count = try uint64("the number of \(what)")
        guard count <= UInt64(left / size) else {
            throw malformed("the header announces \(count) \(what), more than a file of \(bytes.count) bytes can hold. Is it complete?")
        }
        return Int(count)
    }

    /// The bytes of a string.
    private mutating func text(_ what: String) throws(CheckpointError) -> Range<Int> {
        let length = try uint64(what)
        guard length <= UInt64(left) else {
            throw malformed("\(what) at byte \(position - 8) has \(length) bytes, the file only \(left) more. Was it copied completely?")
        }
        defer { position += Int(length) }
        return position..<position + Int(length)
    }

    mutating func string(_ what: String) throws(CheckpointError) -> String {
        let range = try text(what)
        let name = UnsafeRawBufferPointer(rebasing: bytes[range])
        guard !name.isEmpty, isValidUTF8(name.assumingMemoryBound(to: UInt8.self)) else {
            throw malformed("\(what) at byte \(range.lowerBound) is \(name.isEmpty ? "empty" : "no UTF-8"), expected a name.")
        }
        return String(decoding: name, as: UTF8.self)
    }

    // MARK: Metadata

    mutating func value(_ key: String) throws(CheckpointError) -> GGUFValue {
        let type = try valueType("'\(key)'")
        return try value(type, "'\(key)'", depth: 0)
    }

    private mutating func valueType(_ what: String) throws(CheckpointError) -> GGUFValueType {
        let number = try uint32(what)
        guard let type = GGUFValueType(rawValue: number) else {
            throw malformed("\(what) has a value of type \(number); GGUF has types 0 to 12.")
        }
        return type
    }

    private mutating func value(_ type: GGUFValueType, _ what: String, depth: Int) throws(CheckpointError) -> GGUFValue {
        switch type {
        case .string:
            return GGUFValue(type: .string, region: region, range: try text(what), elementType: .string, elementCount: 0)
        case .array:
            guard depth < Self.maximumDepth else { throw malformed("\(what) holds lists in lists, more than \(Self.maximumDepth) deep.") }
            let elementType = try valueType(what)
            let count = try self.count("elements of \(what)", atLeast: elementType.byteCount ?? (elementType == .string ? 8 : 12))
            let start = position
            if let size = elementType.byteCount {
                position += count * size
            } else {
                for _ in 0..<count {
                    if elementType == .string {
                        _ = try text(what)
                    } else {
                        _ = try value(.array, what, depth: depth + 1)
                    }
                }
            }
            return GGUFValue(type: .array, region: region, range: start..<position, elementType: elementType, elementCount: count)
        default:
            let size = type.byteCount ?? 0
            guard left >= size else { throw truncated(what) }
            defer { position += size }
            return GGUFValue(type: type, region: region, range: position..<position + size, elementType: type, elementCount: 0)
        }
    }

    // MARK: Tensors

    mutating func tensorHeader(alignment: Int) throws(CheckpointError) -> TensorHeader {
        let name = try string("a tensor's name")
        let what = "tensor '\(name)'"
        let dimensionCount = try uint32(what)
        guard dimensionCount <= UInt32(Self.maximumDimensions) else {
            throw malformed("\(what) has \(dimensionCount) dimensions; GGUF knows up to \(Self.maximumDimensions).")
        }
        var shape: [Int] = []
        for _ in 0..<dimensionCount {
            let size = try uint64(what)
            guard size <= UInt64(Int32.max) else { throw malformed("\(what) has a dimension of \(size), more than any tensor's.") }
            shape.insert(Int(size), at: 0)
        }
        let number = try uint32(what)
        guard let format = GGUFTensorType(rawValue: number)?.format else {
            let known = GGUFTensorType.allCases.map { $0.name }.joined(separator: ", ")
            throw unsupported(
                "\(what) is stored as \(GGUFTensorType.name(ofNumber: number)); this version reads \(known). Use a file of one of these types.")
        }
        let rowLength = shape.last ?? 1
        guard rowLength % format.blockLength == 0 else {
            throw malformed("\(what) has shape \(shape), but \(format.name) stores rows in blocks of \(format.blockLength).")
        }
        var size = format.blockByteCount
        for factor in shape.dropLast() + [rowLength / format.blockLength] {
            let (product, overflow) = size.multipliedReportingOverflow(by: factor)
            guard !overflow else { throw malformed("\(what) has shape \(shape), larger than any file.") }
            size = product
        }
        let offset = try uint64(what)
        guard offset % UInt64(alignment) == 0 else {
            throw malformed("\(what) begins at byte \(offset) of the tensor data, expected a multiple of \(alignment) (general.alignment).")
        }
        guard offset <= UInt64(Int.max) else { throw malformed("\(what) begins at byte \(offset) of the tensor data, beyond any file.") }
        return TensorHeader(name: name, format: format, shape: shape, offset: Int(offset), byteCount: size)
    }

    func tensors(_ headers: [TensorHeader], alignment: Int) throws(CheckpointError) -> [StoredTensor] {
        // A file without tensors may end with its header.
        let start = min((position + alignment - 1) / alignment * alignment, bytes.count)
        let available = bytes.count - start
        for header in headers {
            let (end, overflow) = header.offset.addingReportingOverflow(header.byteCount)
            guard !overflow, end <= available else {
                throw malformed(
                    "tensor '\(header.name)' takes \(header.byteCount) bytes from byte \(header.offset) of the tensor data on, the file holds \(available). Was it copied completely?")
            }
        }
        let order = headers.filter { $0.byteCount > 0 }.sorted { $0.offset < $1.offset }
        for i in 1..<max(order.count, 1) where order[i].offset < order[i - 1].offset + order[i - 1].byteCount {
            throw malformed("tensors '\(order[i - 1].name)' and '\(order[i].name)' overlap in the file.")
        }
        return headers.map { header in
            StoredTensor(
                name: header.name, format: header.format, shape: header.shape, file: file, region: region, offset: start + header.offset)
        }
    }
}
