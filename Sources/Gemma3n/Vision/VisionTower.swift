internal import CKernels
public import Checkpoint
public import Tensors

/// The picture encoder: MobileNetV5 with the multi-scale fusion adapter.
///
/// The geometry (stages, kinds of blocks, widths, kernels, heads) is read from the tensors' names and shapes. The stem and
/// the first block of every stage halve the resolution. A 768 × 768 picture passes maps of 384, 192, 96, 48 and 24 pixels
/// a side and leaves as 16 × 16 features of 2048.
///
/// - Source: `mobilenetv5_300m_enc` in timm 1.0.31.
public struct VisionTower: Sendable {
    /// Features per picture: a square number.
    public let softTokenCount: Int
    /// Size of a feature, `D`.
    public let hiddenSize: Int

    private let stem: DenseConvolution  // [C, 3, k, k]
    private let stemBias: Vector?  // [C]; files converted before July 2025 have none
    private let stemNorm: ChannelNorm
    /// The matrices in 8 bits.
    let copies: EncoderCopies
    private let stages: [[Block]]
    private let adapter: MultiScaleFusionAdapter

    /// A block, by the tensors it has.
    private enum Block: Sendable {
        case edge(EdgeResidual)
        case inverted(UniversalInvertedResidual)
        case attention(MobileAttention)

        /// Nil if there is no block at this place.
        init?(_ scope: WeightScope, inputs: Int, isFirst: Bool, _ copies: EncoderCopies) throws(CheckpointError) {
            if scope["conv_exp"].tensor != nil {
                self = .edge(try EdgeResidual(scope, inputs: inputs, stride: isFirst ? 2 : 1, copies))
            } else if scope["attn"]["query"]["proj"].tensor != nil {
                guard !isFirst else {
                    throw CheckpointError(
                        .unsupportedValue, "'\(scope.path)' is the first block of its stage and an attention block; the first must halve the resolution.")
                }
                self = .attention(try MobileAttention(scope, channels: inputs, copies))
            } else if scope["pw_exp"]["conv"].tensor != nil {
                self = .inverted(try UniversalInvertedResidual(scope, inputs: inputs, stride: isFirst ? 2 : 1, copies))
            } else if scope.exists {
                throw CheckpointError(
                    .missingTensor,
                    "'\(scope.path)' has neither conv_exp, attn.query.proj nor pw_exp, one of which every block has. Is the checkpoint complete?")
            } else {
                return nil
            }
        }

        var outputs: Int {
            switch self {
            case .edge(let block): block.outputs
            case .inverted(let block): block.outputs
            case .attention(let block): block.channels
            }
        }

        /// May change `x` and return it.
        func callAsFunction(_ x: FeatureMap, _ memory: EncoderMemory, _ parallelism: Parallelism) -> FeatureMap {
            switch self {
            case .edge(let block): return block(x, memory, parallelism)
            case .inverted(let block): return block(x, memory, parallelism)
            case .attention(let block):
                block.apply(to: x, memory, parallelism)
                return x
            }
        }
    }

    /// - Parameters:
    ///   - scope: `vision_tower.timm_model`.
    ///   - configuration: Its `hiddenSize` is the width the fusion adapter must have.
    ///   - softTokenCount: `vision_soft_tokens_per_image` of the model's configuration; a square number.
    /// - Throws: `missingTensor`, `wrongShape`, `unsupportedValue`.
    public init(
        _ scope: WeightScope, _ configuration: VisionConfiguration, softTokenCount: Int, precision: EncoderPrecision = .exact
    ) throws(CheckpointError) {
        let hiddenSize = configuration.hiddenSize
        var side = 1
        while side * side < softTokenCount, side < 1 << 12 { side += 1 }
        guard softTokenCount > 0, side * side == softTokenCount else {
            throw CheckpointError(
                .unsupportedValue, file: "config.json",
                "vision_soft_tokens_per_image is \(softTokenCount), expected a square number (the encoder's output is a square of pixels).")
        }
        self.softTokenCount = softTokenCount
        self.hiddenSize = hiddenSize

        let copies = EncoderCopies(precision)
        self.copies = copies
        stem = try DenseConvolution(scope["conv_stem"]["conv"], inputs: 3, EncoderCopies(.exact))
        let bias = scope["conv_stem"]["conv"]["bias"]
        stemBias = bias.tensor == nil ? nil : try bias.vector(count: stem.outputs)
        stemNorm = try ChannelNorm(scope["conv_stem"]["bn"], channels: stem.outputs)

        var width = stem.outputs
        var stages: [[Block]] = []
        while true {
            let stageScope = scope["blocks"][stages.count]
            var blocks: [Block] = []
            while let block = try Block(stageScope[blocks.count], inputs: width, isFirst: blocks.isEmpty, copies) {
                width = block.outputs
                blocks.append(block)
            }
            if blocks.isEmpty { break }
            stages.append(blocks)
        }
        guard stages.count >= 2 else {
            throw CheckpointError(
                .missingTensor, "'\(scope.path).blocks' has \(stages.count) stages, expected at least 2 (the fusion adapter takes the last two). Is the checkpoint complete?")
        }
        let fused = stages.suffix(2).reduce(0) { $0 + ($1.last?.outputs ?? 0) }
        self.stages = stages
        adapter = try MultiScaleFusionAdapter(scope["msfa"], inputs: fused, outputs: hiddenSize, resolution: side, copies)
    }

    /// The features of one picture, ready for `MultimodalEmbedder.soft`: `[softTokenCount, D]`, row-major over the picture.
    ///
    /// - Parameters:
    ///   - pixels: As `ImageProcessor` makes them. Any size of at least one pixel works; the reference uses one size.
    ///   - taps: Records `vision.stem`, `vision.blocks.<stage>.<block>` and `vision.msfa`, channels first.
    /// - Complexity: 436 G multiply-adds for the released encoder and 768 × 768 pixels. The bits of the result do not
    ///   depend on the number of threads.
    public func encode(_ pixels: PixelValues, _ parallelism: Parallelism = .serial, taps: Taps? = nil) -> [Float] {
        encode(pixels, parallelism, taps: taps) { true } ?? []
    }

    /// The same; nil if `shouldContinue`, asked before every block, said no.
    func encode(
        _ pixels: PixelValues, _ parallelism: Parallelism, taps: Taps?, shouldContinue: () -> Bool
    ) -> [Float]? {
        let memory = EncoderMemory()
        var x = applyStem(pixels, memory, parallelism)
        x.record("vision.stem", taps)
        var fused: [FeatureMap] = []
        for (s, blocks) in stages.enumerated() {
            for (b, block) in blocks.enumerated() {
                if !shouldContinue() { return nil }
                x = block(x, memory, parallelism)
                x.record("vision.blocks.\(s).\(b)", taps)
            }
            // No copy: the next stage starts with a block that halves the resolution and leaves its input alone.
            if s >= stages.count - 2 { fused.append(x) }
        }
        let features = adapter(fused, memory, parallelism)
        features.record("vision.msfa", taps)
        let count = softTokenCount * hiddenSize
        let scale = Float(ck_sqrt(Double(hiddenSize)))
        return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
            if let y = buffer.baseAddress { ck_scale_f32(scale, features.values, y, count) }
            initialized = count
        }
    }

    private func applyStem(_ pixels: PixelValues, _ memory: EncoderMemory, _ parallelism: Parallelism) -> FeatureMap {
        let x = FeatureMap(height: pixels.height, width: pixels.width, channels: 3, memory)
        let count = pixels.height * pixels.width
        pixels.values.withUnsafeBufferPointer { planes in
            for c in 0..<3 { for p in 0..<count { x.values[p * 3 + c] = planes[c * count + p] } }
        }
        let windows = ConvolutionWindows(height: x.height, width: x.width, kernel: stem.kernel, stride: 2)
        let y = FeatureMap(height: windows.outputHeight, width: windows.outputWidth, channels: stem.outputs, memory)
        let weight = stem.weight.ready(memory, parallelism)
        memory.forEachTile(windows.outputCount, scratchPerPixel: stem.windowCount, [weight], parallelism) { pixels, scratch, work in
            let out = y.pixel(pixels.lowerBound)
            stem.unroll(x.values, windows, outputs: pixels, into: scratch)
            weight.multiply(scratch, tokens: pixels.count, into: out, scratch: work)
            if let stemBias {
                for p in 0..<pixels.count { ck_add_f32(stemBias.pointer, out + p * stem.outputs, stem.outputs) }
            }
            stemNorm.applyWithGELU(to: out, pixels: pixels.count)
        }
        return y
    }
}
