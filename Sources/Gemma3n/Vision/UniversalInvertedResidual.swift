internal import CKernels
internal import Checkpoint
internal import Tensors

/// Universal inverted bottleneck:
///
///     z = dw_start(x)              if present; norm, no activation
///     z = gelu(norm(pw_exp(z)))
///     z = gelu(norm(dw_mid(z)))    if present
///     y = norm(pw_proj(z)) * layer_scale  (+ x if the stride is 1 and the widths match)
///
/// The stride sits in `dw_mid` if there is one, otherwise in `dw_start`.
///
/// - Source: MobileNetV4, arXiv:2404.10518; `UniversalInvertedResidual` in timm 1.0.31.
struct UniversalInvertedResidual: Sendable {
    let stride: Int
    let inputs: Int
    let outputs: Int
    private let start: (convolution: DepthwiseConvolution, norm: ChannelNorm)?
    private let expansion: EncoderMatrix  // [mid, in]
    private let expansionNorm: ChannelNorm
    private let middle: (convolution: DepthwiseConvolution, norm: ChannelNorm)?
    private let projection: EncoderMatrix  // [out, mid]
    private let projectionNorm: ChannelNorm
    private let layerScale: Vector?  // [out]; absent in the fusion adapter
    private let skips: Bool

    /// - Parameter isAdapter: The feed-forward part of the fusion adapter: no skip, no layer scale.
    init(_ scope: WeightScope, inputs: Int, stride: Int, _ copies: EncoderCopies, isAdapter: Bool = false) throws(CheckpointError) {
        self.stride = stride
        self.inputs = inputs
        if scope["dw_start"]["conv"].tensor != nil {
            start = (
                try DepthwiseConvolution(scope["dw_start"]["conv"], channels: inputs),
                try ChannelNorm(scope["dw_start"]["bn"], channels: inputs)
            )
        } else {
            start = nil
        }
        expansion = try scope["pw_exp"]["conv"].pointwise(inputs: inputs, copies)
        let width = expansion.rows
        expansionNorm = try ChannelNorm(scope["pw_exp"]["bn"], channels: width)
        if scope["dw_mid"]["conv"].tensor != nil {
            middle = (
                try DepthwiseConvolution(scope["dw_mid"]["conv"], channels: width),
                try ChannelNorm(scope["dw_mid"]["bn"], channels: width)
            )
        } else {
            middle = nil
        }
        projection = try scope["pw_proj"]["conv"].pointwise(inputs: width, copies)
        outputs = projection.rows
        projectionNorm = try ChannelNorm(scope["pw_proj"]["bn"], channels: outputs)
        layerScale = isAdapter ? nil : try scope["layer_scale"]["gamma"].vector(count: outputs)
        skips = !isAdapter && stride == 1 && inputs == outputs
        guard stride == 1 || start != nil || middle != nil else {
            throw CheckpointError(
                .unsupportedValue,
                "'\(scope.path)' is the first block of its stage and halves the resolution, but has neither dw_start nor dw_mid to do it.")
        }
    }

    func callAsFunction(_ x: FeatureMap, _ memory: EncoderMemory, _ parallelism: Parallelism) -> FeatureMap {
        let expansion = expansion.ready(memory, parallelism)
        let projection = projection.ready(memory, parallelism)
        guard let middle else {
            let startStride = stride
            let height = (x.height + startStride - 1) / startStride
            let width = (x.width + startStride - 1) / startStride
            // Without a depthwise step a pixel depends on itself alone, and may be replaced where it lies.
            let y = start == nil && skips ? x : FeatureMap(height: height, width: width, channels: outputs, memory)
            memory.forEachTile(
                height * width, scratchPerPixel: inputs + expansion.rows + outputs, [expansion, projection], parallelism
            ) { pixels, scratch, work in
                let hidden = scratch + pixels.count * inputs
                expand(x, expansion, stride: startStride, pixels, scratch: scratch, into: hidden, work)
                project(hidden, x, projection, pixels, scratch: hidden + pixels.count * expansion.rows, into: y, work)
            }
            return y
        }
        let hidden = FeatureMap(height: x.height, width: x.width, channels: expansion.rows, memory)
        memory.forEachTile(x.pixelCount, scratchPerPixel: inputs + expansion.rows, [expansion], parallelism) { pixels, scratch, work in
            expand(x, expansion, stride: 1, pixels, scratch: scratch, into: hidden.pixel(pixels.lowerBound), work)
        }
        let windows = ConvolutionWindows(height: x.height, width: x.width, kernel: middle.convolution.kernel, stride: stride)
        let y = FeatureMap(height: windows.outputHeight, width: windows.outputWidth, channels: outputs, memory)
        memory.forEachTile(windows.outputCount, scratchPerPixel: expansion.rows + outputs, [projection], parallelism) { pixels, scratch, work in
            middle.convolution.apply(hidden.values, windows, outputs: pixels, into: scratch)
            middle.norm.applyWithGELU(to: scratch, pixels: pixels.count)
            project(scratch, x, projection, pixels, scratch: scratch + pixels.count * expansion.rows, into: y, work)
        }
        return y
    }

    /// `gelu(norm(pw_exp(dw_start(x))))` for `pixels` of the output grid.
    private func expand(
        _ x: FeatureMap, _ expansion: ReadyMatrix, stride: Int, _ pixels: Range<Int>, scratch: UnsafeMutablePointer<Float>,
        into hidden: UnsafeMutablePointer<Float>, _ work: UnsafeMutablePointer<Float>
    ) {
        if let start {
            let windows = ConvolutionWindows(height: x.height, width: x.width, kernel: start.convolution.kernel, stride: stride)
            start.convolution.apply(x.values, windows, outputs: pixels, into: scratch)
            start.norm.apply(to: scratch, pixels: pixels.count)
            expansion.multiply(scratch, tokens: pixels.count, into: hidden, scratch: work)
        } else {
            expansion.multiply(x.pixel(pixels.lowerBound), tokens: pixels.count, into: hidden, scratch: work)
        }
        expansionNorm.applyWithGELU(to: hidden, pixels: pixels.count)
    }

    /// `norm(pw_proj(hidden)) * layer_scale (+ x)` for `pixels`, written to `y`, which may be `x`.
    private func project(
        _ hidden: UnsafePointer<Float>, _ x: FeatureMap, _ projection: ReadyMatrix, _ pixels: Range<Int>,
        scratch: UnsafeMutablePointer<Float>, into y: FeatureMap, _ work: UnsafeMutablePointer<Float>
    ) {
        projection.multiply(hidden, tokens: pixels.count, into: scratch, scratch: work)
        projectionNorm.apply(
            scratch, scale: layerScale, adding: skips ? x.pixel(pixels.lowerBound) : nil, into: y.pixel(pixels.lowerBound), pixels: pixels.count)
    }
}
