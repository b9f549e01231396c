package import Tensors

/// The types of metadata values, by GGUF's numbers.
public enum GGUFValueType: UInt32, Sendable {
    case uint8 = 0
    case int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

    /// Bytes of a value; nil for strings and arrays, which say it themselves.
    var byteCount: Int? {
        switch self {
        case .uint8, .int8, .bool: 1
        case .uint16, .int16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64: 8
        case .string, .array: nil
        }
    }

    /// How messages call it.
    var name: String {
        switch self {
        case .uint8: "uint8"
        case .int8: "int8"
        case .uint16: "uint16"
        case .int16: "int16"
        case .uint32: "uint32"
        case .int32: "int32"
        case .float32: "float32"
        case .bool: "bool"
        case .string: "string"
        case .array: "array"
        case .uint64: "uint64"
        case .int64: "int64"
        case .float64: "float64"
        }
    }
}

/// A metadata value as it lies in the file, which was checked when the file was opened.
public struct GGUFValue: Sendable {
    public let type: GGUFValueType
    /// The file, and where in it the value's bytes are (behind the length of a string, the element type and count of an array).
    let region: ByteRegion
    let range: Range<Int>
    /// Of an array.
    let elementType: GGUFValueType
    let elementCount: Int

    private var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: region.bytes[range]) }

    /// An integer of any width; nil for other types and beyond `Int`.
    public var integer: Int? { withExtendedLifetime(region) { Self.integer(bytes, type) } }
    /// A number of any type.
    public var double: Double? { withExtendedLifetime(region) { Self.double(bytes, type) } }
    public var bool: Bool? { type == .bool ? withExtendedLifetime(region) { bytes[0] != 0 } : nil }
    /// Text; bytes that are no UTF-8 are replaced.
    public var string: String? { type == .string ? withExtendedLifetime(region) { String(decoding: bytes, as: UTF8.self) } : nil }
    /// The bytes of a text, sharing those of the file.
    package var stringRegion: ByteRegion? {
        guard type == .string else { return nil }
        let owner = region
        return ByteRegion(bytes) { _ in withExtendedLifetime(owner) {} }
    }
    public var isArray: Bool { type == .array }

    /// Elements of an array, else nil.
    public var count: Int? { isArray ? elementCount : nil }
    /// Type of an array's elements, else nil.
    public var arrayType: GGUFValueType? { isArray ? elementType : nil }

    /// The elements of an array of integers.
    public var integers: [Int]? {
        elements { (bytes, type) in Self.integer(bytes, type) }
    }

    /// The elements of an array of numbers.
    public var doubles: [Double]? {
        elements { (bytes, type) in Self.double(bytes, type) }
    }

    /// The elements of an array of booleans.
    public var bools: [Bool]? {
        elements { (bytes, type) in type == .bool ? bytes[0] != 0 : nil }
    }

    /// The elements of an array of strings.
    public var strings: [String]? {
        var result: [String] = []
        guard forEachString({ result.append(String(decoding: $0, as: UTF8.self)) }) else { return nil }
        return result
    }

    /// Calls `body` with the bytes of every string of an array in order; false if it is no array of strings.
    package func forEachString<E: Error>(_ body: (UnsafeBufferPointer<UInt8>) throws(E) -> Void) throws(E) -> Bool {
        guard type == .array, elementType == .string else { return false }
        defer { withExtendedLifetime(region) {} }
        guard let base = region.bytes.baseAddress else { return true }
        var position = range.lowerBound
        for _ in 0..<elementCount {
            let length = Int(truncatingIfNeeded: UInt64(littleEndian: base.loadUnaligned(fromByteOffset: position, as: UInt64.self)))
            let start = (base + position + 8).assumingMemoryBound(to: UInt8.self)
            try body(UnsafeBufferPointer(start: start, count: length))
            position += 8 + length
        }
        return true
    }

    /// Elements of a fixed size, if `read` takes all of them.
    private func elements<Element>(_ read: (UnsafeRawBufferPointer, GGUFValueType) -> Element?) -> [Element]? {
        guard type == .array, let size = elementType.byteCount else { return nil }
        defer { withExtendedLifetime(region) {} }
        var result: [Element] = []
        result.reserveCapacity(elementCount)
        for index in 0..<elementCount {
            let start = range.lowerBound + index * size
            guard let element = read(UnsafeRawBufferPointer(rebasing: region.bytes[start..<start + size]), elementType) else { return nil }
            result.append(element)
        }
        return result
    }

    private static func integer(_ bytes: UnsafeRawBufferPointer, _ type: GGUFValueType) -> Int? {
        switch type {
        case .uint8: Int(bytes[0])
        case .int8: Int(Int8(bitPattern: bytes[0]))
        case .uint16: Int(UInt16(littleEndian: bytes.loadUnaligned(as: UInt16.self)))
        case .int16: Int(Int16(littleEndian: bytes.loadUnaligned(as: Int16.self)))
        case .uint32: Int(exactly: UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self)))
        case .int32: Int(Int32(littleEndian: bytes.loadUnaligned(as: Int32.self)))
        case .uint64: Int(exactly: UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)))
        case .int64: Int(exactly: Int64(littleEndian: bytes.loadUnaligned(as: Int64.self)))
        case .float32, .float64, .bool, .string, .array: nil
        }
    }

    private static func double(_ bytes: UnsafeRawBufferPointer, _ type: GGUFValueType) -> Double? {
        switch type {
        case .float32: Double(Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self))))
        case .float64: Double(bitPattern: UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)))
        default: integer(bytes, type).map { Double($0) }
        }
    }

    /// What the value is, in a few words, for messages.
    package var summary: String {
        if let integer { return "\(integer)" }
        if let double { return "\(double)" }
        if let bool { return bool ? "true" : "false" }
        if let string { return "\"\(string.count > 40 ? String(string.prefix(40)) + "…" : string)\"" }
        return "a list of \(elementCount) (\(elementType.name))"
    }
}
