public import Checkpoint
public import Tensors

/// What the audio tower makes of one clip.
public struct AudioEncoding: Sendable {
    /// `[mask.count, D]`, row-major; rows that are not real are zeros.
    public let values: [Float]
    /// Per vector: whether it stems from the clip rather than from padding.
    public let mask: [Bool]
}

/// The sound encoder: subsampler and conformer.
///
/// Mel frames every 10 ms become a vector every 160 ms: the subsampler takes four to one, and of the last block's output every
/// fourth frame is kept.
///
/// - Source: `Gemma3nAudioEncoder` in transformers 5.23.0.
public struct AudioTower: Sendable {
    public let configuration: AudioConfiguration
    private let subsampler: AudioSubSampleConvProjection
    private let blocks: [AudioConformerBlock]
    /// The matrices in 8 bits.
    let copies: EncoderCopies

    /// - Parameter scope: `audio_tower`.
    /// - Throws: `missingTensor`, `wrongShape`.
    public init(
        _ scope: WeightScope, _ configuration: AudioConfiguration, precision: EncoderPrecision = .exact
    ) throws(CheckpointError) {
        self.configuration = configuration
        let copies = EncoderCopies(precision)
        self.copies = copies
        subsampler = try AudioSubSampleConvProjection(scope["subsample_conv_projection"], configuration, copies)
        var blocks: [AudioConformerBlock] = []
        for index in 0..<configuration.confNumHiddenLayers {
            blocks.append(try AudioConformerBlock(scope["conformer"][index], configuration, copies))
        }
        self.blocks = blocks
    }

    /// Encodes one clip.
    ///
    /// Without taps, frames that no kept real frame can depend on are not computed; the result is the same to the last bit.
    /// Memory is in proportion to the frames: about 1.1 MB per second of sound in the released checkpoints.
    ///
    /// - Parameters:
    ///   - features: Frames of `input_feat_size` mel bins.
    ///   - taps: Receives `audio.subsample` `[frames, D]`, `audio.conformer.{i}` `[frames, D]` and `audio.output` `[vectors, D]`.
    /// - Precondition: `features.featureCount` is `input_feat_size`.
    public func encode(_ features: AudioFeatures, _ parallelism: Parallelism = .serial, taps: Taps? = nil) -> AudioEncoding {
        encode(features, parallelism, taps: taps) { true } ?? AudioEncoding(values: [], mask: [])
    }

    /// The same; nil if `shouldContinue`, asked before every block, said no.
    func encode(
        _ features: AudioFeatures, _ parallelism: Parallelism, taps: Taps?, shouldContinue: () -> Bool
    ) -> AudioEncoding? {
        let c = configuration
        precondition(
            features.featureCount == c.inputFeatSize, "features of \(features.featureCount) bins for a tower of \(c.inputFeatSize)")
        let size = c.hiddenSize
        let step = c.confReductionFactor
        let total = c.conformerFrameCount(melFrames: features.frameCount)
        let outputs = c.outputCount(melFrames: features.frameCount)
        let mask = (0..<total).map { features.mask[min($0 * c.subsamplingFactor, features.frameCount - 1)] }
        let keptMask = (0..<outputs).map { mask[$0 * step] }

        // Attention may look ahead; everything else of the conformer looks back only.
        var frames = total
        if taps == nil {
            let lastKept = keptMask.lastIndex(of: true)
            frames = lastKept.map { min(total, $0 * step + 1 + c.confAttentionContextRight * blocks.count) } ?? 0
        }
        let activations = AudioActivations(frames: frames, hiddenSize: size)
        let x = activations.hidden.pointer
        features.values.withUnsafeBufferPointer {
            if let base = $0.baseAddress {
                subsampler(base, frames: features.frameCount, count: frames, into: x, activations.memory, parallelism)
            }
        }
        taps?.record("audio.subsample", shape: [frames, size], x)
        var reduced = false
        var isCancelled = false
        mask.withUnsafeBufferPointer { mask in
            guard let mask = mask.baseAddress else { return }
            for (index, block) in blocks.enumerated() {
                if !shouldContinue() {
                    isCancelled = true
                    return
                }
                let isLast = index == blocks.count - 1 && taps == nil
                _ = block(activations, frames: frames, mask: mask, keepingEvery: isLast ? step : 1, parallelism)
                reduced = isLast
                taps?.record("audio.conformer.\(index)", shape: [frames, size], x)
            }
        }
        if isCancelled { return nil }
        var values = [Float](repeating: 0, count: outputs * size)
        values.withUnsafeMutableBufferPointer { values in
            guard let base = values.baseAddress else { return }
            for s in 0..<outputs where keptMask[s] {
                (base + s * size).update(from: x + (reduced ? s : s * step) * size, count: size)
            }
        }
        taps?.record("audio.output", shape: [outputs, size], values)
        return AudioEncoding(values: values, mask: keptMask)
    }
}
