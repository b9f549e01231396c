internal import CKernels

/// A small weight (norms, biases, scales), decoded to float32 when it is loaded.
public final class Vector {
    package let pointer: UnsafeMutablePointer<Float>
    public let count: Int

    public init(_ values: [Float]) {
        count = values.count
        pointer = .allocate(capacity: max(values.count, 1))
        values.withUnsafeBufferPointer { if let base = $0.baseAddress { pointer.initialize(from: base, count: $0.count) } }
    }

    /// Decodes `count` elements stored as `format`.
    package init(decoding bytes: UnsafeRawPointer, format: ElementFormat, count: Int) {
        self.count = count
        pointer = .allocate(capacity: max(count, 1))
        pointer.initialize(repeating: 0, count: max(count, 1))
        decodeElements(bytes, format: format, into: pointer, count: count)
    }

    deinit { pointer.deallocate() }

    public var values: [Float] { [Float](UnsafeBufferPointer(start: pointer, count: count)) }
    public subscript(index: Int) -> Float {
        precondition(index >= 0 && index < count, "index out of range")
        return pointer[index]
    }
}

// Written once in init.
extension Vector: @unchecked Sendable {}

/// Decodes `count` elements of a stored tensor to float32: of a row, in the block formats. `bytes` may be unaligned.
package func decodeElements(_ bytes: UnsafeRawPointer, format: ElementFormat, into y: UnsafeMutablePointer<Float>, count: Int) {
    switch format {
    case .f32: UnsafeMutableRawPointer(y).copyMemory(from: bytes, byteCount: count * 4)
    case .f16: ck_f16_to_f32(bytes.assumingMemoryBound(to: UInt16.self), y, count)
    case .bf16: ck_bf16_to_f32(bytes.assumingMemoryBound(to: UInt16.self), y, count)
    default: ck_dequantize(format.kernel, bytes, 0, count, y)
    }
}
