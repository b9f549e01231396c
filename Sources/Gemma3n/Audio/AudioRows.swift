internal import CKernels
internal import Tensors

/// Rows of activations `[frames, D]` in the audio tower, and what is done to each of them.
enum AudioRows {
    /// `y = rms(clamp(x, ±clip); weight)` for every row; `y` may be `x`.
    static func normalize(
        _ x: UnsafePointer<Float>, frames: Int, clip: Float, weight: Vector, epsilon: Float, into y: UnsafeMutablePointer<Float>
    ) {
        let size = weight.count
        for t in 0..<frames {
            clamp(x + t * size, clip, into: y + t * size, count: size)
            ck_rms_norm_f32(y + t * size, weight.pointer, epsilon, y + t * size, size)
        }
    }

    /// `y = min(max(x, -clip), clip)`; not-a-number stays.
    @inline(__always)
    static func clamp(_ x: UnsafePointer<Float>, _ clip: Float, into y: UnsafeMutablePointer<Float>, count: Int) {
        for i in 0..<count {
            let value = x[i]
            y[i] = value > clip ? clip : (value < -clip ? -clip : value)
        }
    }
}

/// Memory of one run of the tower; `D` hidden size.
struct AudioActivations: ~Copyable {
    let memory = EncoderMemory()
    let hidden: FloatBuffer  // [T, D]
    let mixed: FloatBuffer  // [T, D]
    let queries: FloatBuffer  // [T, D]
    let keys: FloatBuffer  // [T, D]
    let values: FloatBuffer  // [T, D]

    init(frames: Int, hiddenSize: Int) {
        hidden = FloatBuffer(count: frames * hiddenSize)
        mixed = FloatBuffer(count: frames * hiddenSize)
        queries = FloatBuffer(count: frames * hiddenSize)
        keys = FloatBuffer(count: frames * hiddenSize)
        values = FloatBuffer(count: frames * hiddenSize)
    }
}
