internal import CKernels
internal import Checkpoint
internal import Tensors

/// TensorFlow's "SAME" padding: `ceil(size / stride)` outputs; of the zeros needed, the smaller half in front.
///
/// On even sizes a 3x3 with stride 2 pads 0 before and 1 after.
struct SamePadding {
    let outputSize: Int
    /// Zeros in front of the first element.
    let before: Int

    init(size: Int, kernel: Int, stride: Int) {
        outputSize = (size + stride - 1) / stride
        before = max((outputSize - 1) * stride + kernel - size, 0) / 2
    }
}

/// Where the windows of a square kernel lie on a map.
struct ConvolutionWindows {
    let height: Int
    let width: Int
    let kernel: Int
    let stride: Int
    let outputHeight: Int
    let outputWidth: Int
    private let top: Int
    private let left: Int

    init(height: Int, width: Int, kernel: Int, stride: Int) {
        self.height = height
        self.width = width
        self.kernel = kernel
        self.stride = stride
        let vertical = SamePadding(size: height, kernel: kernel, stride: stride)
        let horizontal = SamePadding(size: width, kernel: kernel, stride: stride)
        outputHeight = vertical.outputSize
        outputWidth = horizontal.outputSize
        top = vertical.before
        left = horizontal.before
    }

    var outputCount: Int { outputHeight * outputWidth }

    /// First row and column of the window of output `index`; may be negative.
    @inline(__always)
    func origin(_ index: Int) -> (y: Int, x: Int) {
        ((index / outputWidth) * stride - top, (index % outputWidth) * stride - left)
    }

    /// The part of `0 ..< kernel` that falls inside a line of `size` when the window starts at `origin`.
    @inline(__always)
    func inside(_ origin: Int, _ size: Int) -> Range<Int> {
        let first = max(0, -origin)
        return first..<max(first, min(kernel, size - origin))
    }
}

/// A dense convolution with a square kernel, as a matrix over unrolled windows: `[out, k * k * in]`, channels fastest.
struct DenseConvolution: Sendable {
    let kernel: Int
    let inputs: Int
    let weight: EncoderMatrix

    var outputs: Int { weight.rows }
    /// Floats of one unrolled window.
    var windowCount: Int { weight.columns }

    /// Reads `[out, inputs, k, k]` with odd `k`; `out` and `k` are the tensor's.
    init(_ scope: WeightScope, inputs: Int, _ copies: EncoderCopies) throws(CheckpointError) {
        let shape = try scope.convolutionShape()
        kernel = try scope.oddKernel(shape)
        self.inputs = inputs
        let stored = try scope.tensor(
            shape: [shape[0], inputs, kernel, kernel], reason: "\(inputs) channels come in from the block before")
        weight = EncoderMatrix(stored.channelsLast(outputs: shape[0], inputs: inputs, kernel: kernel), copies)
    }

    /// Unrolls the windows of `outputs` into `[outputs.count, k * k * in]`; zeros where a window leaves the map.
    func unroll(
        _ x: UnsafePointer<Float>, _ windows: ConvolutionWindows, outputs: Range<Int>, into columns: UnsafeMutablePointer<Float>
    ) {
        let line = kernel * inputs
        var row = columns
        for index in outputs {
            let (y0, x0) = windows.origin(index)
            let inside = windows.inside(x0, windows.width)
            for ky in 0..<kernel {
                let y = y0 + ky
                if y < 0 || y >= windows.height || inside.isEmpty {
                    row.update(repeating: 0, count: line)
                } else {
                    if inside.lowerBound > 0 { row.update(repeating: 0, count: inside.lowerBound * inputs) }
                    (row + inside.lowerBound * inputs).update(
                        from: x + (y * windows.width + x0 + inside.lowerBound) * inputs, count: inside.count * inputs)
                    if inside.upperBound < kernel {
                        (row + inside.upperBound * inputs).update(repeating: 0, count: (kernel - inside.upperBound) * inputs)
                    }
                }
                row += line
            }
        }
    }
}

/// A depthwise convolution with a square kernel: one `k × k` filter for each channel, stored tap by tap, `[k * k, C]`.
struct DepthwiseConvolution: Sendable {
    let kernel: Int
    let channels: Int
    private let taps: Vector

    /// Reads `[channels, 1, k, k]` with odd `k`.
    init(_ scope: WeightScope, channels: Int) throws(CheckpointError) {
        let shape = try scope.convolutionShape()
        kernel = try scope.oddKernel(shape)
        self.channels = channels
        let stored = try scope.tensor(
            shape: [channels, 1, kernel, kernel], reason: "depthwise over the \(channels) channels that come in")
        let area = kernel * kernel
        let values = stored.decoded()
        taps = Vector(
            [Float](unsafeUninitializedCapacity: values.count) { buffer, count in
                for c in 0..<channels { for t in 0..<area { buffer[t * channels + c] = values[c * area + t] } }
                count = values.count
            })
    }

    /// The outputs in `outputs`, `[outputs.count, C]`. Taps are summed row by row, left to right.
    func apply(
        _ x: UnsafePointer<Float>, _ windows: ConvolutionWindows, outputs: Range<Int>, into y: UnsafeMutablePointer<Float>
    ) {
        let area = kernel * kernel
        withUnsafeTemporaryAllocation(of: UnsafePointer<Float>?.self, capacity: area) { sources in
            var out = y
            for index in outputs {
                let (y0, x0) = windows.origin(index)
                sources.initialize(repeating: nil)
                for ky in windows.inside(y0, windows.height) {
                    for kx in windows.inside(x0, windows.width) {
                        sources[ky * kernel + kx] = x + ((y0 + ky) * windows.width + x0 + kx) * channels
                    }
                }
                ck_weighted_taps_f32(sources.baseAddress, taps.pointer, area, out, channels)
                out += channels
            }
        }
    }
}

/// RMS norm over the channels of every pixel, optionally followed by GELU. Tensors are called `bn`, but there are no
/// running statistics.
struct ChannelNorm: Sendable {
    /// `RmsNorm2d` of timm 1.0.31; not configurable there.
    static let epsilon: Float = 1e-6

    private let weight: Vector

    init(_ scope: WeightScope, channels: Int) throws(CheckpointError) {
        weight = try scope.vector(count: channels, reason: "one for each of \(channels) channels")
    }

    func apply(to x: UnsafeMutablePointer<Float>, pixels: Int) {
        apply(x, into: x, pixels: pixels)
    }

    func apply(_ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, pixels: Int) {
        let n = weight.count
        for p in 0..<pixels { ck_rms_norm_f32(x + p * n, weight.pointer, Self.epsilon, y + p * n, n) }
    }

    func applyWithGELU(to x: UnsafeMutablePointer<Float>, pixels: Int) {
        let n = weight.count
        for p in 0..<pixels { ck_rms_norm_gelu_f32(x + p * n, weight.pointer, Self.epsilon, x + p * n, n) }
    }

    /// `y = x + norm(z) * scale`; without `scale` times 1, without `x` onto 0. `y` may be `x` or `z`.
    func apply(
        _ z: UnsafePointer<Float>, scale: Vector?, adding x: UnsafePointer<Float>?, into y: UnsafeMutablePointer<Float>, pixels: Int
    ) {
        let n = weight.count
        for p in 0..<pixels {
            ck_rms_norm_add_f32(z + p * n, weight.pointer, Self.epsilon, scale?.pointer, x.map { $0 + p * n }, y + p * n, n)
        }
    }
}

// MARK: Reading

/// More channels than any MobileNet has; what lies above is a broken file.
private let channelLimit = 1 << 20
private let kernelLimit = 31

extension WeightScope {
    /// The shape of a convolution, `[out, in, kernel height, kernel width]`, all positive.
    func convolutionShape() throws(CheckpointError) -> [Int] {
        guard let tensor else {
            throw CheckpointError(
                .missingTensor, "tensor '\(path).weight' is missing, expected a convolution [out, in, k, k]. Is the checkpoint complete?")
        }
        let shape = tensor.shape
        guard shape.count == 4, shape.allSatisfy({ $0 >= 1 && $0 <= channelLimit }) else {
            throw CheckpointError(
                .wrongShape, file: tensor.file,
                "tensor '\(tensor.name)' has shape \(shape), expected a convolution [out, in, k, k] with sizes of 1 to \(channelLimit).")
        }
        return shape
    }

    /// The side of a square kernel of odd size.
    func oddKernel(_ shape: [Int]) throws(CheckpointError) -> Int {
        guard shape[2] == shape[3], shape[2] % 2 == 1, shape[2] <= kernelLimit else {
            throw CheckpointError(
                .wrongShape, file: tensor?.file ?? "",
                "tensor '\(path).weight' has shape \(shape), expected a square kernel of odd size up to \(kernelLimit).")
        }
        return shape[2]
    }

    /// A 1x1 convolution `[out, inputs, 1, 1]` as a matrix that shares the file's bytes; `out` is the tensor's own.
    func pointwise(inputs: Int, _ copies: EncoderCopies) throws(CheckpointError) -> EncoderMatrix {
        let shape = try convolutionShape()
        return try pointwise(outputs: shape[0], inputs: inputs, copies, reason: "\(inputs) channels come in")
    }

    func pointwise(outputs: Int, inputs: Int, _ copies: EncoderCopies, reason: String) throws(CheckpointError) -> EncoderMatrix {
        EncoderMatrix(try tensor(shape: [outputs, inputs, 1, 1], reason: reason).matrix(rows: outputs, columns: inputs), copies)
    }
}

extension StoredTensor {
    /// `[out, in, k, k]` as a matrix `[out, k * k * in]`, in the stored format.
    func channelsLast(outputs: Int, inputs: Int, kernel: Int) -> Matrix {
        let area = kernel * kernel
        // Blocks run through the kernel's places: their numbers are set apart first.
        if format.isQuantized {
            let plain = Matrix(decoded(), rows: outputs, columns: inputs * area)
            let tensor = StoredTensor(name: name, format: .f32, shape: shape, file: file, region: plain.region, offset: plain.offset)
            return tensor.channelsLast(outputs: outputs, inputs: inputs, kernel: kernel)
        }
        let size: Int = format.blockByteCount
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(byteCount, 64), alignment: 64)
        let source: UnsafeRawPointer = region.bytes.baseAddress.unsafelyUnwrapped + offset
        let target = memory.baseAddress.unsafelyUnwrapped
        for o in 0..<outputs {
            for i in 0..<inputs {
                for t in 0..<area {
                    (target + ((o * area + t) * inputs + i) * size).copyMemory(
                        from: source + ((o * inputs + i) * area + t) * size, byteCount: size)
                }
            }
        }
        let copy = ByteRegion(UnsafeRawBufferPointer(memory)) { _ in memory.deallocate() }
        return Matrix(region: copy, offset: 0, rows: outputs, columns: area * inputs, format: format)
    }
}
