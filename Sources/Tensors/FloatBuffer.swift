/// A fixed block of float32 on the heap, aligned to 64 bytes: activations and caches.
///
/// Unique owner, freed when it goes out of scope. Allocated once per session; lent as spans to users and as a pointer to our kernels.
public struct FloatBuffer: ~Copyable {
    package let pointer: UnsafeMutablePointer<Float>
    public let count: Int

    /// `count` zeros.
    public init(count: Int) {
        precondition(count >= 0, "a buffer cannot hold \(count) elements")
        self.count = count
        let raw = UnsafeMutableRawPointer.allocate(byteCount: max(count, 1) * 4, alignment: 64)
        pointer = raw.bindMemory(to: Float.self, capacity: max(count, 1))
        pointer.initialize(repeating: 0, count: max(count, 1))
    }

    deinit { UnsafeMutableRawPointer(pointer).deallocate() }

    public subscript(index: Int) -> Float {
        get {
            precondition(index >= 0 && index < count, "index out of range")
            return pointer[index]
        }
        set {
            precondition(index >= 0 && index < count, "index out of range")
            pointer[index] = newValue
        }
    }

    package func array(_ range: Range<Int>) -> [Float] {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "range out of bounds")
        return [Float](UnsafeBufferPointer(start: pointer + range.lowerBound, count: range.count))
    }
}

// Owns plain memory; moved, never shared.
extension FloatBuffer: @unchecked Sendable {}
