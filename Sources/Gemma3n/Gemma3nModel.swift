internal import CKernels
public import Checkpoint
public import Tensors
public import Tokenization

/// A checkpoint opened: weights, configuration and tokenizer. Immutable; any number of conversations share one.
///
/// The core opens no files: it is given a function from file names to bytes. Weights stay where those bytes lie.
public final class Gemma3nModel: Sendable {
    public let configuration: Gemma3nConfiguration
    public let generationConfiguration: GenerationConfiguration
    public let tokenizer: Tokenizer
    public let text: TextModel
    /// The picture side; nil if the checkpoint has none or it was not asked for.
    public let vision: VisionEncoder?
    /// The sound side; nil if the checkpoint has none or it was not asked for.
    public let audio: AudioEncoder?
    /// What was found odd but harmless, one sentence each.
    public let warnings: [String]
    /// Every stored tensor, for inspection.
    public let tensors: [StoredTensor]
    /// Tensors the model computes with (known unused ones and those of modalities left unread are not among them).
    public let usedTensors: Set<String>

    /// What the model takes in as it was opened.
    public var modalities: Modalities {
        var result: Modalities = []
        if vision != nil { result.insert(.image) }
        if audio != nil { result.insert(.audio) }
        return result
    }

    /// Opens a checkpoint in the Hugging Face layout, or a packed one.
    ///
    /// - Parameters:
    ///   - modalities: What to read besides text; parts left out cost no memory.
    ///   - prepare: How quantised weights are brought into the kernels' order.
    ///   - encoders: How pictures and sound are encoded; without it, in 8 bits where the text model's weights are quantised (its own
    ///     rounding then outweighs the encoders'), exactly elsewhere.
    ///   - open: The bytes of a file of the checkpoint by name, nil if there is none.
    /// - Throws: What `open` throws, and every error of configuration, tokenizer and weights, naming key, tensor and file.
    public convenience init(
        modalities: Modalities = .all, prepare: WeightPreparation = WeightPreparation(), encoders: EncoderPrecision? = nil,
        open: (_ name: String) throws(CheckpointError) -> ByteRegion?
    ) throws(CheckpointError) {
        try self.init(ModelSource(open: open), modalities: modalities, prepare: prepare, encoders: encoders)
    }

    /// Opens a checkpoint, in whatever container it lies.
    ///
    /// - Parameters:
    ///   - modalities: What to read besides text; parts left out cost no memory.
    ///   - prepare: How quantised weights are brought into the kernels' order.
    ///   - encoders: How pictures and sound are encoded; without it, in 8 bits where the text model's weights are quantised (its own
    ///     rounding then outweighs the encoders'), exactly elsewhere.
    /// - Throws: Every error of the weights, naming tensor and file.
    public init(
        _ source: ModelSource, modalities: Modalities = .all, prepare: WeightPreparation = WeightPreparation(), encoders: EncoderPrecision? = nil
    ) throws(CheckpointError) {
        let c = source.configuration
        configuration = c
        generationConfiguration = source.generationConfiguration
        tokenizer = source.tokenizer
        warnings = source.warnings

        let store = source.weights
        let root = store.root
        let base = root["model"]
        switch c.layout {
        case .multimodal: text = try TextModel(base["language_model"], head: root["lm_head"], c.text, prepare)
        case .textOnly: text = try TextModel(base, head: root["lm_head"], c.text, prepare)
        }

        let precision = encoders ?? (text.isQuantized ? .fast : .exact)
        if modalities.contains(.image), let vision = c.vision, base["vision_tower"].exists {
            self.vision = try VisionEncoder(
                base, vision, images: ImageProcessorConfiguration(settings: source.part("image_processor")), softTokenCount: c.visionSoftTokensPerImage, textHiddenSize: c.text.hiddenSize, precision: precision)
            try source.checkSoftTokens("image_seq_length", "vision_soft_tokens_per_image", c.visionSoftTokensPerImage)
        } else {
            self.vision = nil
        }
        if modalities.contains(.audio), let audio = c.audio, base["audio_tower"].exists {
            let features = source.part("feature_extractor")
            self.audio = try AudioEncoder(
                base, audio, features: features.map { (json, file) throws(CheckpointError) in try AudioFeatureConfiguration(json, file: file) } ?? AudioFeatureConfiguration(),
                softTokenCount: c.audioSoftTokensPerClip, textVocabSize: c.text.vocabSize, textHiddenSize: c.text.hiddenSize,
                precision: precision)
            try source.checkSoftTokens("audio_seq_length", "audio_soft_tokens_per_image", c.audioSoftTokensPerClip)
        } else {
            self.audio = nil
        }

        let firstShared = c.text.firstSharedLayer
        let (hasVision, hasAudio) = (vision != nil, audio != nil)
        try store.checkNoLeftovers { name in
            Self.isKnownUnused(name, firstSharedLayer: firstShared, hasVision: hasVision, hasAudio: hasAudio)
        }
        tensors = store.tensors.values.sorted { $0.name < $1.name }
        usedTensors = store.used
    }

    /// Tensors that lie in checkpoints though nothing computes with them: K/V projections and norms of KV-sharing layers,
    /// a tied head stored twice, AltUp's output scale when it is off, and the parts of modalities that were not asked for.
    static func isKnownUnused(_ name: String, firstSharedLayer: Int, hasVision: Bool, hasAudio: Bool) -> Bool {
        if name == "lm_head.weight" { return true }
        // Stored even if altup_correct_scale is false, and then not used.
        if name.utf8.reversed().starts(with: ".altup.correct_output_scale".utf8.reversed()) { return true }
        let parts = name.split(separator: ".")
        if !hasVision, parts.contains("vision_tower") || parts.contains("embed_vision") { return true }
        if !hasAudio, parts.contains("audio_tower") || parts.contains("embed_audio") { return true }
        if let at = parts.firstIndex(of: "layers"), at + 3 < parts.count, parts[at + 2] == "self_attn", let layer = Int(parts[at + 1]) {
            return layer >= firstSharedLayer && ["k_proj", "v_proj", "k_norm", "v_norm"].contains(parts[at + 3])
        }
        return false
    }
}

// MARK: Memory

extension Gemma3nModel {
    /// Gives up the memory of the encoders' weights, copies in 8 bits and what can be read again from a mapped file: for a while without
    /// pictures and sounds. They come back when they are used next; nothing changes but the time that takes.
    ///
    /// - Parameter which: The encoders of pictures, of sound, or both.
    public func releaseEncoders(_ which: Modalities = .all) {
        if which.contains(.image) { vision?.tower.copies.release() }
        if which.contains(.audio) { audio?.tower.copies.release() }
        for tensor in tensors {
            let parts = tensor.name.split(separator: ".")
            if which.contains(.image) && (parts.contains("vision_tower") || parts.contains("embed_vision"))
                || which.contains(.audio) && (parts.contains("audio_tower") || parts.contains("embed_audio"))
            {
                tensor.advise(.unused)
            }
        }
    }

    /// Bytes of the encoders' copies in 8 bits that are in memory now.
    package var encoderCopyBytes: Int { (vision?.tower.copies.byteCount ?? 0) + (audio?.tower.copies.byteCount ?? 0) }
}

// MARK: Prompts

extension Gemma3nModel {
    /// Where the embedding of a token comes from when it is not a row of the table.
    enum EmbeddingSource {
        /// Row of the images' or clips' soft tokens.
        case image(row: Int)
        case audio(row: Int)
        case hard([Float])
    }

    /// For every token of a modality: where its embedding comes from. As in the reference, a soft token in a prompt without
    /// media of its kind is an ordinary token of its modality.
    ///
    /// - Throws: `mediaMismatch` if soft tokens and media do not match in number, `missingModality` if a token needs an
    ///   encoder that is not there.
    func embeddingPlan(_ tokens: [Int32], _ prompt: EncodedPrompt) throws(GenerationError) -> [Int: EmbeddingSource] {
        let c = configuration
        guard c.layout == .multimodal else {
            if !prompt.images.isEmpty || !prompt.clips.isEmpty { throw Self.missing(.image, "this text-only checkpoint has no encoders") }
            return [:]
        }
        var plan: [Int: EmbeddingSource] = [:]
        var (images, clips) = (0, 0)
        for (index, token) in tokens.enumerated() {
            if token == c.imageTokenID, !prompt.images.isEmpty {
                plan[index] = .image(row: images)
                images += 1
            } else if token == c.audioTokenID, !prompt.clips.isEmpty {
                plan[index] = .audio(row: clips)
                clips += 1
            } else if let c = c.vision, Self.owns(token, c.vocabOffset, c.vocabSize) {
                guard let vision else { throw Self.missing(.image, "token \(token) belongs to pictures") }
                plan[index] = .hard(vision.embedder.hard(Int(token)))
            } else if let c = c.audio, Self.owns(token, c.vocabOffset, c.vocabSize) {
                guard let audio else { throw Self.missing(.audio, "token \(token) belongs to sound") }
                plan[index] = .hard(audio.embedder.hard(Int(token)))
            }
        }
        try check("image", images, prompt.images.count, c.visionSoftTokensPerImage)
        try check("audio clip", clips, prompt.clips.count, c.audioSoftTokensPerClip)
        return plan
    }

    private static func owns(_ token: Int32, _ offset: Int, _ count: Int) -> Bool { Int(token) >= offset && Int(token) - offset < count }

    private func check(_ what: String, _ softTokens: Int, _ media: Int, _ perItem: Int) throws(GenerationError) {
        if softTokens != media * perItem {
            throw GenerationError(
                .mediaMismatch,
                "The prompt holds \(softTokens) \(what) soft tokens, but \(media) \(what)\(media == 1 ? "" : "s") at \(perItem) each make \(media * perItem). Each \(what) needs its placeholder in the text.")
        }
    }

    static func missing(_ modality: Modalities, _ found: String) -> GenerationError {
        let (part, name) = modality == .image ? ("vision", "image") : ("audio", "audio")
        return GenerationError(
            .missingModality,
            "The prompt needs the \(part) encoder (\(found)), but the model was opened without it. Open it with --modalities including \(name), from a checkpoint that has it.")
    }

    /// Runs the encoders on a prompt's media. All clips of one prompt are padded to the longest, as the reference's processor does.
    ///
    /// - Parameters:
    ///   - clipLength: Samples that clips are padded to at least: of the longest one, where others of the same prompt are encoded elsewhere.
    ///   - releasesEncoders: Whether each encoder's memory is given up when its media are done.
    ///   - shouldContinue: Asked many times a picture and clip.
    /// - Throws: `missingModality`, `invalidMedia`; `cancelled` if `shouldContinue` said no.
    public func encodeMedia(
        _ prompt: EncodedPrompt, taps: Taps? = nil, _ parallelism: Parallelism = .serial, clipLength: Int = 0,
        releasesEncoders: Bool = false, shouldContinue: () -> Bool = { true }
    ) throws(GenerationError) -> SoftTokens {
        var soft = SoftTokens()
        if !prompt.images.isEmpty {
            guard let vision else { throw Self.missing(.image, "it holds a picture") }
            defer { if releasesEncoders { releaseEncoders(.image) } }
            do throws(ImageError) {
                soft.images = try vision.softTokens(for: prompt.images, parallelism, taps: taps, shouldContinue: shouldContinue).flatMap { $0 }
            } catch {
                throw GenerationError(error.code == .cancelled ? .cancelled : .invalidMedia, error.message)
            }
        }
        if !prompt.clips.isEmpty {
            guard let audio else { throw Self.missing(.audio, "it holds sound") }
            defer { if releasesEncoders { releaseEncoders(.audio) } }
            do throws(AudioError) {
                soft.clips = try audio.softTokens(for: prompt.clips, parallelism, taps: taps, length: clipLength, shouldContinue: shouldContinue).flatMap { $0 }
            } catch {
                throw GenerationError(error.code == .cancelled ? .cancelled : .invalidMedia, error.message)
            }
        }
        return soft
    }
}
