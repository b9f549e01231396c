internal import CKernels

/// The inputs of matrix products: rows of float32, and their copy in 8 bits for quantised matrices, made once however many matrices
/// they meet.
///
/// Allocated once for the largest input; not thread safe: one product after the other.
package final class LinearInput {
    private(set) var x: UnsafePointer<Float>
    package private(set) var tokens = 0
    private(set) var columns = 0
    private(set) var stride = 0
    private var isQuantized = false
    private var memory: UnsafeMutableRawPointer
    private var capacity = 0
    private let placeholder: UnsafeMutablePointer<Float>

    /// Tokens quantised by one task.
    private static let grain = 8

    package init() {
        placeholder = .allocate(capacity: 1)
        placeholder.initialize(to: 0)
        x = UnsafePointer(placeholder)
        memory = .allocate(byteCount: 64, alignment: 64)
    }

    deinit {
        memory.deallocate()
        placeholder.deallocate()
    }

    /// Bytes held.
    package var byteCount: Int { capacity }

    /// Room for `tokens` rows of `columns`, so that no product allocates.
    package func reserve(tokens: Int, columns: Int) { reserve(ck_activations_bytes(tokens, (columns + 31) / 32 * 32)) }

    private func reserve(_ bytes: Int) {
        if bytes <= capacity { return }
        memory.deallocate()
        memory = .allocate(byteCount: bytes, alignment: 64)
        capacity = bytes
    }

    /// The next inputs: `[tokens, columns]`, rows `stride` apart. They must stay as they are until the next call.
    package func set(_ x: UnsafePointer<Float>, tokens: Int, columns: Int, stride: Int? = nil) {
        self.x = x
        self.tokens = tokens
        self.columns = columns
        self.stride = stride ?? columns
        isQuantized = false
    }

    /// Makes the copy in 8 bits, for products with single rows.
    package func quantize(_ parallelism: Parallelism) { _ = quantized(parallelism) }

    /// The inputs in 8 bits, if they were made.
    var quantizedRows: UnsafeRawPointer? { isQuantized ? UnsafeRawPointer(memory) : nil }

    /// The inputs in 8 bits, as kernels read them.
    func quantized(_ parallelism: Parallelism) -> UnsafeRawPointer {
        if !isQuantized {
            reserve(ck_activations_bytes(tokens, columns))
            let (x, tokens, columns, stride, memory) = (x, tokens, columns, stride, memory)
            if tokens < 2 * Self.grain {
                ck_quantize_activations(x, stride, columns, tokens, 0, tokens, memory)
            } else {
                parallelism.forEachRange(tokens, by: Self.grain) { range in
                    ck_quantize_activations(x, stride, columns, tokens, range.lowerBound, range.count, memory)
                }
            }
            isQuantized = true
        }
        return UnsafeRawPointer(memory)
    }
}
