internal import CKernels
internal import Checkpoint
internal import Tensors

/// Multi-query attention over all pixels of a map: `heads` query heads share one key and one value head.
///
///     n = norm(x)
///     q = Wq n;  k = Wk down(n);  v = Wv down(n)         down: depthwise stride 2 and a norm, where present
///     y = x + layer_scale * Wo concat_h(softmax(q_h k^T / sqrt(d)) v)
///
/// - Source: MobileNetV4, arXiv:2404.10518; `MobileAttention` and `MultiQueryAttention2d` in timm 1.0.31.
struct MobileAttention: Sendable {
    let channels: Int
    let headCount: Int
    /// Size of a head, `d`.
    let headDim: Int
    private let norm: ChannelNorm
    private let query: EncoderMatrix  // [heads * d, C]
    private let key: SharedHead  // [d, C]
    private let value: SharedHead  // [d, C]
    private let output: EncoderMatrix  // [C, heads * d]
    private let layerScale: Vector  // [C]

    /// The one key or value head, with the step that halves the resolution before it.
    private struct SharedHead: Sendable {
        let down: (convolution: DepthwiseConvolution, norm: ChannelNorm)?
        let projection: EncoderMatrix

        init(_ scope: WeightScope, channels: Int, _ copies: EncoderCopies) throws(CheckpointError) {
            if scope["down_conv"].tensor != nil {
                down = (
                    try DepthwiseConvolution(scope["down_conv"], channels: channels),
                    try ChannelNorm(scope["norm"], channels: channels)
                )
            } else {
                down = nil
            }
            projection = try scope["proj"].pointwise(inputs: channels, copies)
        }

        /// `[pixels, d]` from a normed map.
        func callAsFunction(_ x: FeatureMap, _ memory: EncoderMemory, _ parallelism: Parallelism) -> FeatureMap {
            let projection = projection.ready(memory, parallelism)
            guard let down else {
                let y = FeatureMap(height: x.height, width: x.width, channels: projection.rows, memory)
                memory.forEachTile(x.pixelCount, scratchPerPixel: 0, [projection], parallelism) { pixels, _, work in
                    projection.multiply(x.pixel(pixels.lowerBound), tokens: pixels.count, into: y.pixel(pixels.lowerBound), scratch: work)
                }
                return y
            }
            let windows = ConvolutionWindows(height: x.height, width: x.width, kernel: down.convolution.kernel, stride: 2)
            let y = FeatureMap(height: windows.outputHeight, width: windows.outputWidth, channels: projection.rows, memory)
            memory.forEachTile(windows.outputCount, scratchPerPixel: x.channels, [projection], parallelism) { pixels, scratch, work in
                down.convolution.apply(x.values, windows, outputs: pixels, into: scratch)
                down.norm.apply(to: scratch, pixels: pixels.count)
                projection.multiply(scratch, tokens: pixels.count, into: y.pixel(pixels.lowerBound), scratch: work)
            }
            return y
        }
    }

    init(_ scope: WeightScope, channels: Int, _ copies: EncoderCopies) throws(CheckpointError) {
        self.channels = channels
        let attention = scope["attn"]
        norm = try ChannelNorm(scope["norm"], channels: channels)
        key = try SharedHead(attention["key"], channels: channels, copies)
        value = try SharedHead(attention["value"], channels: channels, copies)
        query = try attention["query"]["proj"].pointwise(inputs: channels, copies)
        headDim = key.projection.rows
        guard query.rows % headDim == 0 else {
            throw CheckpointError(
                .wrongShape,
                "'\(attention.path)': query.proj has \(query.rows) outputs, which is no multiple of the head size \(headDim) of key.proj.")
        }
        guard value.projection.rows == headDim, (key.down == nil) == (value.down == nil),
            key.down?.convolution.kernel == value.down?.convolution.kernel
        else {
            throw CheckpointError(
                .wrongShape, "'\(attention.path)': key and value differ in head size (\(headDim) and \(value.projection.rows)) or in their down_conv.")
        }
        headCount = query.rows / headDim
        output = try attention["output"]["proj"].pointwise(
            outputs: channels, inputs: query.rows, copies, reason: "\(headCount) heads of \(headDim) back to \(channels) channels")
        layerScale = try scope["layer_scale"]["gamma"].vector(count: channels)
    }

    /// Changes `x` in place.
    func apply(to x: FeatureMap, _ memory: EncoderMemory, _ parallelism: Parallelism) {
        let normed = FeatureMap(height: x.height, width: x.width, channels: channels, memory)
        memory.forEachTile(x.pixelCount, scratchPerPixel: 0, [], parallelism) { pixels, _, _ in
            norm.apply(x.pixel(pixels.lowerBound), into: normed.pixel(pixels.lowerBound), pixels: pixels.count)
        }
        let keys = key(normed, memory, parallelism)  // [M, d]
        let values = value(normed, memory, parallelism)
        let keyCount = keys.pixelCount
        // [d, M] beside [M, d]: both products of attention then find their vectors side by side.
        let turned = FeatureMap(height: 1, width: headDim, channels: keyCount, memory)
        let scale = Float(1 / ck_sqrt(Double(headDim)))
        for j in 0..<keyCount { for d in 0..<headDim { turned.values[d * keyCount + j] = keys.values[j * headDim + d] * scale } }

        let query = query.ready(memory, parallelism)
        let output = output.ready(memory, parallelism)
        let width = query.rows
        let block = Self.queriesPerBlock
        let perPixel = 2 * width + channels
        let tile = EncoderMemory.tileSize(x.pixelCount, parallelism.threadCount)
        memory.forEachTile(
            x.pixelCount, scratchPerPixel: perPixel + (block * keyCount + tile - 1) / tile, [query, output],
            // Attention's own products are float32 whatever the matrices are.
            least: Int(CK_GEMM_SCRATCH), parallelism
        ) { pixels, scratch, work in
            let n = pixels.count
            let queries = scratch  // [n, heads * d]
            let mixed = queries + n * width  // [n, heads * d]
            let out = mixed + n * width  // [n, C]
            let scores = out + n * channels  // [block, M]
            query.multiply(normed.pixel(pixels.lowerBound), tokens: n, into: queries, scratch: work)
            for first in stride(from: 0, to: n, by: block) {
                let count = min(block, n - first)
                for h in 0..<headCount {
                    let place = first * width + h * headDim
                    ck_gemm_transposed_f32(turned.values, keyCount, keyCount, headDim, queries + place, width, count, 0, scores, keyCount, work)
                    // The head's queries are done with: the first of each keeps the sum until the division.
                    for p in 0..<count {
                        let row = scores + p * keyCount
                        queries[place + p * width] = ck_exp_sum_f32(row, ck_max_f32(row, keyCount), keyCount)
                    }
                    ck_gemm_transposed_f32(values.values, headDim, headDim, keyCount, scores, keyCount, count, 0, mixed + place, width, work)
                    for p in 0..<count {
                        let row = mixed + place + p * width
                        ck_scale_f32(1 / queries[place + p * width], row, row, headDim)
                    }
                }
            }
            output.multiply(mixed, tokens: n, into: out, scratch: work)
            for p in 0..<n {
                ck_multiply_add_f32(layerScale.pointer, out + p * channels, x.pixel(pixels.lowerBound + p), channels)
            }
        }
    }

    /// Queries whose scores for one head, `[block, M]`, stay in the second-level cache.
    private static let queriesPerBlock = 48
}
