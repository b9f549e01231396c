public import Checkpoint
public import Tensors

/// Everything between a picture and its soft tokens: preprocessing, tower, embedder.
public struct VisionEncoder: Sendable {
    public let processor: ImageProcessor
    public let tower: VisionTower
    public let embedder: MultimodalEmbedder

    /// Soft tokens of a picture: `vision_soft_tokens_per_image`, 256 in the released checkpoints.
    public var softTokenCount: Int { tower.softTokenCount }

    /// - Parameters:
    ///   - scope: What `vision_tower` and `embed_vision` lie below.
    ///   - softTokenCount: `vision_soft_tokens_per_image` of the top level.
    ///   - textHiddenSize: `hidden_size` of `text_config`.
    ///   - precision: How the tower's products are computed.
    /// - Throws: `missingTensor`, `wrongShape`; `unsupportedValue`.
    public init(
        _ scope: WeightScope, _ vision: VisionConfiguration, images: ImageProcessorConfiguration, softTokenCount: Int, textHiddenSize: Int,
        precision: EncoderPrecision = .exact
    ) throws(CheckpointError) {
        processor = ImageProcessor(images)
        tower = try VisionTower(scope["vision_tower"]["timm_model"], vision, softTokenCount: softTokenCount, precision: precision)
        embedder = try MultimodalEmbedder(
            scope["embed_vision"], vocabOffset: vision.vocabOffset, vocabSize: vision.vocabSize, featureCount: vision.hiddenSize,
            hiddenSize: textHiddenSize, epsilon: vision.rmsNormEps)
    }

    /// Soft tokens of pictures, `[softTokenCount, H]` each.
    ///
    /// - Parameter taps: Receives what the tower records of every picture, `pixel_values` `[N, 3, height, width]` and
    ///   `image_soft_tokens` `[N, softTokenCount, H]`.
    /// - Parameter shouldContinue: Asked many times a picture.
    /// - Throws: What `ImageProcessor` throws; `cancelled` if `shouldContinue` said no.
    public func softTokens(
        for images: [RGBImage], _ parallelism: Parallelism = .serial, taps: Taps? = nil, shouldContinue: () -> Bool = { true }
    ) throws(ImageError) -> [[Float]] {
        var result: [[Float]] = []
        var pixels: [Float] = []
        var size = (height: 0, width: 0)
        for image in images {
            let values = try processor(image)
            if taps != nil {
                pixels += values.values
                size = (values.height, values.width)
            }
            guard let features = tower.encode(values, parallelism, taps: taps, shouldContinue: shouldContinue) else {
                throw ImageError(.cancelled, "The picture was not encoded to its end.")
            }
            result.append(embedder.soft(features, parallelism))
        }
        if let taps, !images.isEmpty, pixels.count == images.count * 3 * size.height * size.width {
            taps.record("pixel_values", shape: [images.count, 3, size.height, size.width], pixels)
            taps.record("image_soft_tokens", shape: [images.count, softTokenCount, embedder.hiddenSize], result.flatMap { $0 })
        }
        return result
    }
}
