public import Checkpoint
public import Tensors

/// Everything between a clip and its soft tokens: mel features, tower, embedder, padding.
///
///     let windows = encoder.splitter.split(clip)                        // each an audio item of its own in the prompt
///     let soft = try encoder.softTokens(for: windows, parallelism)      // one [softTokenCount, H] each
///
/// A clip always becomes `softTokenCount` vectors, whatever its length: those that no sound reaches hold the embedding of the
/// vocabulary's last id, which the language model sees.
public struct AudioEncoder: Sendable {
    /// Soft tokens of a clip: `audio_soft_tokens_per_image`, 188 in the released checkpoints.
    public let softTokenCount: Int
    public let extractor: MelFeatureExtractor
    public let tower: AudioTower
    public let embedder: MultimodalEmbedder
    /// Cuts clips so that every window fits `softTokenCount`: 30 s in the released checkpoints.
    public let splitter: AudioSplitter
    /// What fills the places no sound reaches, `[H]`.
    private let padding: [Float]

    /// - Parameters:
    ///   - scope: What `audio_tower` and `embed_audio` lie below.
    ///   - softTokenCount: `audio_soft_tokens_per_image` of the top level.
    ///   - textVocabSize: `vocab_size` of `text_config`; its last id is the padding.
    ///   - textHiddenSize: `hidden_size` of `text_config`.
    ///   - precision: How the tower's products are computed.
    /// - Throws: `missingTensor`, `wrongShape`; `unsupportedValue` if the parts of the configuration do not fit each other.
    public init(
        _ scope: WeightScope, _ audio: AudioConfiguration, features: AudioFeatureConfiguration, softTokenCount: Int, textVocabSize: Int,
        textHiddenSize: Int, precision: EncoderPrecision = .exact
    ) throws(CheckpointError) {
        guard features.featureSize == audio.inputFeatSize else {
            throw CheckpointError(
                .unsupportedValue,
                "the feature extractor's feature_size is \(features.featureSize), but audio_config.input_feat_size is \(audio.inputFeatSize). Is preprocessor_config.json from the same checkpoint?")
        }
        guard let longest = Self.maxSampleCount(audio, features, softTokenCount: softTokenCount) else {
            throw CheckpointError(
                .unsupportedValue, file: "config.json",
                "audio_soft_tokens_per_image is \(softTokenCount), which is too few for the shortest clip.")
        }
        embedder = try MultimodalEmbedder(
            scope["embed_audio"], vocabOffset: audio.vocabOffset, vocabSize: audio.vocabSize, featureCount: audio.hiddenSize,
            hiddenSize: textHiddenSize, epsilon: audio.rmsNormEps)
        guard embedder.ids.contains(textVocabSize - 1) else {
            throw CheckpointError(
                .unsupportedValue, file: "config.json",
                "the last id of text_config.vocab_size \(textVocabSize) pads audio, but the ids of audio_config are \(embedder.ids.lowerBound) to \(embedder.ids.upperBound - 1).")
        }
        self.softTokenCount = softTokenCount
        extractor = MelFeatureExtractor(features)
        tower = try AudioTower(scope["audio_tower"], audio, precision: precision)
        splitter = AudioSplitter(maxSampleCount: longest)
        padding = embedder.hard(textVocabSize - 1)
    }

    /// The most samples whose vectors fit `softTokenCount`, and that the processor does not cut; nil if there are none.
    private static func maxSampleCount(
        _ audio: AudioConfiguration, _ features: AudioFeatureConfiguration, softTokenCount: Int
    ) -> Int? {
        let fits = { (samples: Int) in audio.outputCount(melFrames: features.frameCount(samples: samples)) <= softTokenCount }
        let multiple = AudioFeatureConfiguration.paddingMultiple
        // Vectors grow with samples: find the last multiple that fits.
        var low = 0
        var high = AudioFeatureConfiguration.maxSampleCount / multiple
        while low < high {
            let middle = (low + high + 1) / 2
            if fits(middle * multiple) { low = middle } else { high = middle - 1 }
        }
        return softTokenCount > 0 && features.frameCount(samples: low * multiple) > 0 ? low * multiple : nil
    }

    /// Soft tokens of all clips of a prompt, `[softTokenCount, H]` each.
    ///
    /// The clips are padded together, as the reference's processor does: padding can be seen in the last soft token of a clip, so
    /// clips of one prompt belong into one call.
    ///
    /// - Parameter taps: Receives `input_features` `[N, frames, bins]`, `audio.subsample`, `audio.conformer.{i}`, `audio.output`
    ///   `[N, frames, D]` and `audio_soft_tokens` `[N, softTokenCount, H]`.
    /// - Parameter length: Samples that the clips are padded to at least: where a longer one of the same prompt is encoded elsewhere.
    /// - Parameter shouldContinue: Asked many times a clip.
    /// - Throws: `emptyClip`, `badSample`, `clipTooShort`; `cancelled` if `shouldContinue` said no; `clipTooLong` for a clip longer than `splitter.maxSampleCount`.
    public func softTokens(
        for clips: [AudioClip], _ parallelism: Parallelism = .serial, taps: Taps? = nil, length: Int = 0, shouldContinue: () -> Bool = { true }
    ) throws(AudioError) -> [[Float]] {
        for (index, clip) in clips.enumerated() where clip.samples.count > splitter.maxSampleCount {
            throw AudioError(
                .clipTooLong,
                "audio clip \(index + 1) has \(clip.samples.count) samples; \(softTokenCount) soft tokens hold at most \(splitter.maxSampleCount). Split it into windows.")
        }
        let features = try extractor.features(of: clips, parallelism, length: min(length, splitter.maxSampleCount))
        var batch: [Taps] = []
        var result: [[Float]] = []
        for feature in features {
            let own = taps == nil ? nil : Taps()
            own?.record("input_features", shape: [feature.frameCount, feature.featureCount], feature.values)
            guard let encoding = tower.encode(feature, parallelism, taps: own, shouldContinue: shouldContinue) else {
                throw AudioError(.cancelled, "The sound was not encoded to its end.")
            }
            let soft = softTokens(encoding, parallelism)
            own?.record("audio_soft_tokens", shape: [softTokenCount, embedder.hiddenSize], soft)
            if let own { batch.append(own) }
            result.append(soft)
        }
        taps?.record(stacking: batch)
        return result
    }

    private func softTokens(_ encoding: AudioEncoding, _ parallelism: Parallelism) -> [Float] {
        let width = embedder.featureCount
        let size = embedder.hiddenSize
        let real = encoding.mask.indices.filter { encoding.mask[$0] }
        var inputs: [Float] = []
        inputs.reserveCapacity(real.count * width)
        for s in real { inputs.append(contentsOf: encoding.values[s * width..<(s + 1) * width]) }
        let outputs = embedder.soft(inputs, parallelism)
        var result: [Float] = []
        result.reserveCapacity(softTokenCount * size)
        var next = 0
        for s in 0..<softTokenCount {
            if s < encoding.mask.count && encoding.mask[s] {
                result.append(contentsOf: outputs[next * size..<(next + 1) * size])
                next += 1
            } else {
                result.append(contentsOf: padding)
            }
        }
        return result
    }
}

extension Taps {
    /// Records what runs with the same names and shapes recorded, with the run as a new first dimension.
    fileprivate func record(stacking runs: [Taps]) {
        guard let first = runs.first else { return }
        for (index, entry) in first.entries.enumerated() {
            var values: [Float] = []
            for run in runs { values.append(contentsOf: run.entries[index].values) }
            record(entry.name, shape: [runs.count] + entry.shape, values)
        }
    }
}
