internal import CKernels
internal import Checkpoint
internal import Tensors

/// Fuses the last two stages (MSFA): the coarser is brought to the finer's resolution by nearest neighbour, channels are
/// joined finer stage first, a feed-forward block follows, then average pooling to the output resolution and a norm.
///
/// - Source: `MobileNetV5MultiScaleFusionAdapter` in timm 1.0.31.
struct MultiScaleFusionAdapter: Sendable {
    let outputs: Int
    /// Side of the square output, in pixels.
    let resolution: Int
    private let feedForward: UniversalInvertedResidual
    private let norm: ChannelNorm

    init(_ scope: WeightScope, inputs: Int, outputs: Int, resolution: Int, _ copies: EncoderCopies) throws(CheckpointError) {
        self.resolution = resolution
        feedForward = try UniversalInvertedResidual(scope["ffn"], inputs: inputs, stride: 1, copies, isAdapter: true)
        guard feedForward.outputs == outputs else {
            throw CheckpointError(
                .wrongShape,
                "tensor '\(scope.path).ffn.pw_proj.conv.weight' has \(feedForward.outputs) outputs, expected \(outputs) (hidden_size of vision_config).")
        }
        self.outputs = outputs
        norm = try ChannelNorm(scope["norm"], channels: outputs)
    }

    /// `[resolution, resolution, outputs]` from the stages' outputs, finest first.
    func callAsFunction(_ stages: [FeatureMap], _ memory: EncoderMemory, _ parallelism: Parallelism) -> FeatureMap {
        let joined = join(stages, memory, parallelism)
        let mixed = feedForward(joined, memory, parallelism)
        let y: FeatureMap
        if mixed.height == resolution, mixed.width == resolution {
            y = mixed
        } else if mixed.height % resolution == 0, mixed.width % resolution == 0 {
            y = averagePool(mixed, memory, parallelism)
        } else {
            y = resizeBilinear(mixed, memory, parallelism)
        }
        parallelism.forEachRange(y.pixelCount, by: 16) { pixels in
            norm.apply(to: y.pixel(pixels.lowerBound), pixels: pixels.count)
        }
        return y
    }

    private func join(_ stages: [FeatureMap], _ memory: EncoderMemory, _ parallelism: Parallelism) -> FeatureMap {
        let height = stages[0].height
        let width = stages[0].width
        let joined = FeatureMap(height: height, width: width, channels: stages.reduce(0) { $0 + $1.channels }, memory)
        var first = 0
        for stage in stages {
            let offset = first
            parallelism.forEachRange(height, by: 8) { rows in
                for y in rows {
                    let sourceY = Self.nearest(y, from: stage.height, to: height)
                    for x in 0..<width {
                        let sourceX = Self.nearest(x, from: stage.width, to: width)
                        (joined.pixel(y * width + x) + offset).update(
                            from: stage.pixel(sourceY * stage.width + sourceX), count: stage.channels)
                    }
                }
            }
            first += stage.channels
        }
        return joined
    }

    /// The source of element `index` when a line of `size` becomes one of `target`: in float32, as the reference computes it.
    private static func nearest(_ index: Int, from size: Int, to target: Int) -> Int {
        if size == target { return index }
        return min(Int(Float(index) * (Float(size) / Float(target))), size - 1)
    }

    private func averagePool(_ x: FeatureMap, _ memory: EncoderMemory, _ parallelism: Parallelism) -> FeatureMap {
        let y = FeatureMap(height: resolution, width: resolution, channels: outputs, memory)
        let stepY = x.height / resolution
        let stepX = x.width / resolution
        let area = Float(stepY * stepX)
        parallelism.forEach(y.pixelCount) { index in
            let out = y.pixel(index)
            out.update(repeating: 0, count: outputs)
            for dy in 0..<stepY {
                for dx in 0..<stepX {
                    let row = (index / resolution) * stepY + dy
                    let column = (index % resolution) * stepX + dx
                    ck_add_f32(x.pixel(row * x.width + column), out, outputs)
                }
            }
            for c in 0..<outputs { out[c] /= area }
        }
        return y
    }

    /// Without antialiasing, pixel centres at halves.
    private func resizeBilinear(_ x: FeatureMap, _ memory: EncoderMemory, _ parallelism: Parallelism) -> FeatureMap {
        let y = FeatureMap(height: resolution, width: resolution, channels: outputs, memory)
        parallelism.forEach(y.pixelCount) { index in
            let (top, bottom, down) = Self.linear(index / resolution, from: x.height, to: resolution)
            let (left, right, across) = Self.linear(index % resolution, from: x.width, to: resolution)
            let a = x.pixel(top * x.width + left)
            let b = x.pixel(top * x.width + right)
            let c = x.pixel(bottom * x.width + left)
            let d = x.pixel(bottom * x.width + right)
            let out = y.pixel(index)
            for i in 0..<outputs {
                let upper = (1 - across) * a[i] + across * b[i]
                let lower = (1 - across) * c[i] + across * d[i]
                out[i] = (1 - down) * upper + down * lower
            }
        }
        return y
    }

    private static func linear(_ index: Int, from size: Int, to target: Int) -> (Int, Int, Float) {
        let position = max((Float(index) + 0.5) * (Float(size) / Float(target)) - 0.5, 0)
        let first = min(Int(position), size - 1)
        return (first, min(first + 1, size - 1), min(max(position - Float(first), 0), 1))
    }
}
