internal import Tensors

/// The metadata of a GGUF file to be written, keys in the order in which they are set.
///
/// - Source: ggml's `docs/gguf.md`, version 3.
public struct GGUFMetadata: Sendable {
    /// The key-value pairs as they lie in the file.
    package private(set) var bytes: [UInt8] = []
    public private(set) var keys: [String] = []

    public init() {}

    /// Everything that another file says, its values as they lie there.
    ///
    /// - Parameter except: Keys to leave out.
    public init(copying file: GGUFFile, except: Set<String> = []) {
        for key in file.keys where !except.contains(key) {
            guard let value = file[key] else { continue }
            begin(key, value.type.rawValue)
            value.append(to: &bytes)
        }
    }

    public var count: Int { keys.count }

    // Types of values by GGUF's numbers.
    private static let uint32: UInt32 = 4
    private static let int32: UInt32 = 5
    private static let float32: UInt32 = 6
    private static let bool: UInt32 = 7
    private static let string: UInt32 = 8
    private static let array: UInt32 = 9

    /// - Precondition: no key twice; readers refuse such files.
    private mutating func begin(_ key: String, _ type: UInt32) {
        precondition(!keys.contains(key), "the metadata key '\(key)' is set twice")
        keys.append(key)
        bytes.append(string: key)
        bytes.append(littleEndian: type)
    }

    private mutating func beginArray(_ key: String, _ type: UInt32, _ count: Int) {
        begin(key, Self.array)
        bytes.append(littleEndian: type)
        bytes.append(littleEndian: UInt64(count))
    }

    public mutating func set(_ key: String, string value: String) {
        begin(key, Self.string)
        bytes.append(string: value)
    }

    /// - Precondition: `0 <= value < 2^32`.
    public mutating func set(_ key: String, uint32 value: Int) {
        begin(key, Self.uint32)
        bytes.append(littleEndian: UInt32(value))
    }

    public mutating func set(_ key: String, int32 value: Int32) {
        begin(key, Self.int32)
        bytes.append(littleEndian: UInt32(bitPattern: value))
    }

    public mutating func set(_ key: String, float32 value: Float) {
        begin(key, Self.float32)
        bytes.append(littleEndian: value.bitPattern)
    }

    public mutating func set(_ key: String, bool value: Bool) {
        begin(key, Self.bool)
        bytes.append(value ? 1 : 0)
    }

    public mutating func set(_ key: String, int32s values: [Int32]) {
        beginArray(key, Self.int32, values.count)
        for value in values { bytes.append(littleEndian: UInt32(bitPattern: value)) }
    }

    public mutating func set(_ key: String, float32s values: [Float]) {
        beginArray(key, Self.float32, values.count)
        for value in values { bytes.append(littleEndian: value.bitPattern) }
    }

    public mutating func set(_ key: String, bools values: [Bool]) {
        beginArray(key, Self.bool, values.count)
        for value in values { bytes.append(value ? 1 : 0) }
    }

    /// Texts as bytes: pieces of a vocabulary need not be valid UTF-8.
    public mutating func set(_ key: String, strings values: [[UInt8]]) {
        beginArray(key, Self.string, values.count)
        for value in values {
            bytes.append(littleEndian: UInt64(value.count))
            bytes += value
        }
    }

    /// Keys under which our files carry the JSON files of the checkpoint, by file name.
    public static let embeddedFiles: [(file: String, key: String)] = [
        ("config.json", "gemma3n.huggingface.config"), ("generation_config.json", "gemma3n.huggingface.generation_config"),
        ("preprocessor_config.json", "gemma3n.huggingface.preprocessor_config"),
        ("processor_config.json", "gemma3n.huggingface.processor_config"),
    ]
}

/// Lays out a GGUF file of version 3: a head with metadata and the table of tensors, then the tensors' bytes.
///
/// Whoever writes the file writes `head`, then the bytes of every tensor in order, each filled up with zeros to the offset of the next
/// (`paddedByteCount`). Nothing of a tensor need be in memory when the layout is made.
///
///     let layout = GGUFLayout(metadata: metadata, tensors: tensors)
///     write(layout.head)
///     for tensor in layout.tensors { write(bytes of tensor); write(zeros: tensor.paddedByteCount - tensor.byteCount) }
public struct GGUFLayout: Sendable {
    public struct Tensor: Sendable {
        public let name: String
        /// Rows first, as everywhere in this package; GGUF writes dimensions the other way round.
        public let shape: [Int]
        /// GGUF's number of the element type.
        public let type: UInt32
        public let byteCount: Int

        /// - Precondition: At most 4 dimensions; `byteCount` is what `shape` and `type` need.
        public init(name: String, shape: [Int], type: UInt32, byteCount: Int) {
            precondition(shape.count <= 4 && byteCount >= 0, "tensor '\(name)' has shape \(shape)")
            self.name = name
            self.shape = shape
            self.type = type
            self.byteCount = byteCount
        }

        /// Bytes up to where the next tensor begins.
        public var paddedByteCount: Int { (byteCount + GGUFLayout.alignment - 1) / GGUFLayout.alignment * GGUFLayout.alignment }
    }

    /// Tensors begin at multiples of this, counted from the end of the head, which is one too.
    public static let alignment = 32

    public let head: [UInt8]
    public let tensors: [Tensor]

    public init(metadata: GGUFMetadata, tensors: [Tensor]) {
        var head: [UInt8] = Array("GGUF".utf8)
        head.append(littleEndian: UInt32(3))
        head.append(littleEndian: UInt64(tensors.count))
        head.append(littleEndian: UInt64(metadata.count))
        head += metadata.bytes
        var offset: UInt64 = 0
        for tensor in tensors {
            head.append(string: tensor.name)
            head.append(littleEndian: UInt32(tensor.shape.count))
            for dimension in tensor.shape.reversed() { head.append(littleEndian: UInt64(dimension)) }
            head.append(littleEndian: tensor.type)
            head.append(littleEndian: offset)
            offset += UInt64(tensor.paddedByteCount)
        }
        while head.count % Self.alignment != 0 { head.append(0) }
        self.head = head
        self.tensors = tensors
    }

    /// The size of the whole file.
    public var byteCount: Int { tensors.reduce(head.count) { $0 + $1.paddedByteCount } }
}

extension GGUFValue {
    /// Appends the value as it lies in a file, behind its type.
    fileprivate func append(to bytes: inout [UInt8]) {
        switch type {
        case .string: bytes.append(littleEndian: UInt64(range.count))
        case .array:
            bytes.append(littleEndian: elementType.rawValue)
            bytes.append(littleEndian: UInt64(elementCount))
        default: break
        }
        withExtendedLifetime(region) { bytes.append(contentsOf: region.bytes[range]) }
    }
}

extension [UInt8] {
    fileprivate mutating func append(littleEndian value: some FixedWidthInteger) {
        for shift in stride(from: 0, to: value.bitWidth, by: 8) { append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    fileprivate mutating func append(string text: String) {
        append(littleEndian: UInt64(text.utf8.count))
        append(contentsOf: text.utf8)
    }
}
