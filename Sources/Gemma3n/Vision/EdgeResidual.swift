internal import CKernels
internal import Checkpoint
internal import Tensors

/// Edge residual block ("fused inverted bottleneck"):
///
///     y = bn2(conv_pwl(gelu(bn1(conv_exp(x)))))  (+ x if the stride is 1 and the widths match)
///
/// - Source: `EdgeResidual` in timm 1.0.31.
struct EdgeResidual: Sendable {
    let stride: Int
    let inputs: Int
    let outputs: Int
    private let expansion: DenseConvolution  // [mid, in, k, k]
    private let expansionNorm: ChannelNorm
    private let projection: EncoderMatrix  // [out, mid]
    private let projectionNorm: ChannelNorm

    init(_ scope: WeightScope, inputs: Int, stride: Int, _ copies: EncoderCopies) throws(CheckpointError) {
        self.stride = stride
        self.inputs = inputs
        expansion = try DenseConvolution(scope["conv_exp"], inputs: inputs, copies)
        expansionNorm = try ChannelNorm(scope["bn1"], channels: expansion.outputs)
        projection = try scope["conv_pwl"].pointwise(inputs: expansion.outputs, copies)
        outputs = projection.rows
        projectionNorm = try ChannelNorm(scope["bn2"], channels: outputs)
    }

    func callAsFunction(_ x: FeatureMap, _ memory: EncoderMemory, _ parallelism: Parallelism) -> FeatureMap {
        let windows = ConvolutionWindows(height: x.height, width: x.width, kernel: expansion.kernel, stride: stride)
        let y = FeatureMap(height: windows.outputHeight, width: windows.outputWidth, channels: outputs, memory)
        let middle = expansion.outputs
        let unrolled = expansion.windowCount
        let skips = stride == 1 && inputs == outputs
        let expand = expansion.weight.ready(memory, parallelism)
        let project = projection.ready(memory, parallelism)
        memory.forEachTile(
            windows.outputCount, scratchPerPixel: unrolled + middle, [expand, project], parallelism
        ) { pixels, columns, work in
            let hidden = columns + pixels.count * unrolled
            let out = y.pixel(pixels.lowerBound)
            expansion.unroll(x.values, windows, outputs: pixels, into: columns)
            expand.multiply(columns, tokens: pixels.count, into: hidden, scratch: work)
            expansionNorm.applyWithGELU(to: hidden, pixels: pixels.count)
            project.multiply(hidden, tokens: pixels.count, into: out, scratch: work)
            projectionNorm.apply(out, scale: nil, adding: skips ? x.pixel(pixels.lowerBound) : nil, into: out, pixels: pixels.count)
        }
        return y
    }
}
