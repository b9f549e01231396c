public import Tensors
internal import CKernels
internal import Tokenization

/// A conversation with a model: what was fed so far, and the logits of what comes next.
///
/// Synchronous and single-threaded to its caller; hosts run it on a thread of their own. Feeding continues after what is
/// there, so no prompt is processed twice.
public final class Conversation {
    public let model: Gemma3nModel
    public let decoder: TextDecoder
    private let parallelism: Parallelism

    /// Every token fed so far.
    public private(set) var tokens: [Int32] = []
    /// The last token of an answer, chosen but not yet fed; the next feed starts with it.
    public private(set) var pending: [Int32] = []
    /// Logits after the last token fed; empty before the first.
    private var logits: FloatBuffer
    private var hasLogits = false

    /// - Parameters:
    ///   - contextLength: Tokens at most; memory grows as they come.
    ///   - chunk: Tokens handled together during prefill.
    ///   - keyValues: How keys and values are kept; nil as `TextModel.defaultKVFormat` says.
    public init(
        _ model: Gemma3nModel, contextLength: Int, chunk: Int = 128, keyValues: KVFormat? = nil, parallelism: Parallelism = .serial
    ) {
        self.model = model
        self.parallelism = parallelism
        decoder = TextDecoder(model.text, contextLength: contextLength, chunk: chunk, keyValues: keyValues, parallelism: parallelism)
        logits = FloatBuffer(count: model.configuration.text.vocabSize)
    }

    /// Forgets everything.
    public func reset() {
        decoder.reset()
        tokens = []
        pending = []
        hasLogits = false
    }

    /// Goes back to the first `count` tokens, if the caches still allow it; what was pending is dropped.
    ///
    /// - Returns: False, and nothing changes, if they do not.
    public func rewind(to count: Int) -> Bool {
        guard count >= 0, count <= tokens.count, decoder.rewind(to: count) else { return false }
        tokens.removeLast(tokens.count - count)
        pending = []
        hasLogits = false
        return true
    }

    /// The part of the model that runs.
    public var slice: ModelSlice { decoder.model.slice }

    /// Goes on with another part of the model; costs some microseconds. What was fed stays as it was made, and so do logits
    /// that are there already: see `TextDecoder.use`.
    ///
    /// - Throws: What `TextModel.sliced` throws; nothing changes then.
    public func use(_ slice: ModelSlice) throws(SliceError) {
        if slice == self.slice { return }
        decoder.use(try model.text.sliced(slice))
    }

    /// Feeds a prompt after what is pending and what is there, pictures and sounds included.
    ///
    /// - Parameters:
    ///   - softTokens: Already encoded media of this prompt; nil encodes them now.
    ///   - progress: Called before every chunk with the tokens fed and their total; false cancels.
    /// - Throws: `emptyPrompt`, `contextFull`, `unknownToken`, `mediaMismatch`, `missingModality`, `cancelled`. Only when
    ///   cancelled has anything been fed.
    public func feed(
        _ prompt: EncodedPrompt, softTokens: SoftTokens? = nil, taps: Taps? = nil, wanted: LogitsRequest = .last,
        progress: (_ fed: Int, _ total: Int) -> Bool = { _, _ in true },
        onLogits: (_ index: Int, _ logits: UnsafeMutableBufferPointer<Float>) -> Void = { _, _ in }
    ) throws(GenerationError) {
        let all = pending + prompt.tokens
        guard !all.isEmpty else {
            throw GenerationError(.emptyPrompt, "The prompt holds no tokens; give at least one.")
        }
        guard decoder.position + all.count <= decoder.contextLength else {
            throw GenerationError(
                .contextFull,
                "The conversation needs \(decoder.position + all.count) tokens of context, but this session holds \(decoder.contextLength). Shorten the prompt, start anew, or open the session with a longer context.")
        }
        let plan = try model.embeddingPlan(all, prompt)
        let soft: SoftTokens
        if let softTokens { soft = softTokens } else { soft = try model.encodeMedia(prompt, taps: taps, parallelism) }
        let c = model.configuration
        let d = c.text.hiddenSize
        guard soft.images.count == prompt.images.count * c.visionSoftTokensPerImage * d,
            soft.clips.count == prompt.clips.count * c.audioSoftTokensPerClip * d
        else {
            throw GenerationError(
                .mediaMismatch,
                "The soft tokens given are not those of this prompt's \(prompt.images.count) pictures and \(prompt.clips.count) sounds. Encode the media of the same prompt.")
        }
        let last = all.count - 1
        hasLogits = false
        let fed = try decoder.prefill(
            all, wanted: wanted,
            embedding: { index, e in
                guard let source = plan[index] else { return false }
                switch source {
                case .image(let row): soft.images.withUnsafeBufferPointer { e.update(from: $0.baseAddress.unsafelyUnwrapped + row * d, count: d) }
                case .audio(let row): soft.clips.withUnsafeBufferPointer { e.update(from: $0.baseAddress.unsafelyUnwrapped + row * d, count: d) }
                case .hard(let vector): vector.withUnsafeBufferPointer { e.update(from: $0.baseAddress.unsafelyUnwrapped, count: d) }
                }
                return true
            },
            taps: taps, shouldContinue: { progress($0, all.count) }
        ) { index, row in
            onLogits(index, row)
            if index == last, let base = row.baseAddress {
                logits.pointer.update(from: base, count: row.count)
                hasLogits = true
            }
        }
        tokens += all[..<fed]
        pending = []
        if fed < all.count { throw GenerationError(.cancelled, "The prompt was cancelled after \(fed) of \(all.count) tokens.") }
    }

    /// The logits after the last token fed, `V` values; nil before the first feed.
    public var nextLogits: [Float]? { hasLogits ? logits.array(0..<logits.count) : nil }

    /// Generates an answer to what was fed.
    ///
    /// - Parameter onToken: Called for every token as it comes; false ends the answer (`.cancelled`).
    /// - Throws: `invalidOption`; `emptyPrompt` if nothing was fed; `notANumber` if the weights give no logits.
    public func generate(
        _ options: GenerationOptions, onToken: (GeneratedToken) -> Bool = { _ in true }
    ) throws(GenerationError) -> GenerationResult {
        guard hasLogits else {
            throw GenerationError(.emptyPrompt, "There is nothing to answer yet; feed a prompt first.")
        }
        guard options.maxTokens >= 0 else {
            throw GenerationError(.invalidOption, "max_tokens is \(options.maxTokens), expected 0 or more.")
        }
        if let top = options.topLogProbabilities, top < 0 || top > 1000 {
            throw GenerationError(.invalidOption, "top_logprobs is \(top), expected 0 to 1000.")
        }
        var sampler = try Sampler(options.sampling, prompt: tokens)
        let stops = Set(options.stopTokens)
        var result = GenerationResult()
        var stream = TextStream(model.tokenizer, stopStrings: options.stopStrings)
        result.finishReason = .length

        while result.tokens.count < options.maxTokens {
            let row = UnsafeMutableBufferPointer(start: logits.pointer, count: logits.count)
            maskUnsayable(row)
            let unadjusted = options.topLogProbabilities == nil ? nil : logits.array(0..<logits.count)
            let token = sampler.sample(row)
            if !(row[Int(token)] > -.infinity) {
                throw GenerationError(
                    .notANumber, "The model's logits are not numbers: its weights are damaged, or hold values float32 cannot carry through. Check the download.")
            }
            if stops.contains(token) {
                result.finishReason = .stop
                result.stopToken = token
                break
            }
            result.tokens.append(token)
            pending = [token]
            let text = stream.push(token)
            result.text += text
            let probabilities = unadjusted.map { values -> (chosen: TokenLogProbability, top: [TokenLogProbability]) in
                var values = values
                return values.withUnsafeMutableBufferPointer {
                    Sampler.logProbabilities($0, chosen: token, top: options.topLogProbabilities ?? 0)
                }
            }
            let goOn = onToken(
                GeneratedToken(
                    token: token, text: text, logProbability: probabilities?.chosen, topLogProbabilities: probabilities?.top ?? []))
            if stream.isStopped {
                result.finishReason = .stop
                break
            }
            if !goOn {
                result.finishReason = .cancelled
                break
            }
            if result.tokens.count == options.maxTokens { break }
            if decoder.position == decoder.contextLength {
                result.finishReason = .contextFull
                break
            }
            try feed(EncodedPrompt(tokens: []))
        }
        result.text += stream.finish()
        return result
    }

    /// Soft tokens, and the marks of media's ends, are never an answer: their rows of the tied head are copies of padding.
    private func maskUnsayable(_ row: UnsafeMutableBufferPointer<Float>) {
        let c = model.configuration
        guard c.layout == .multimodal else { return }
        for id in c.text.vocabSizePerLayerInput..<max(c.text.vocabSizePerLayerInput, min(row.count, c.text.vocabSize)) { row[id] = -.infinity }
    }
}

/// Text of tokens as they come: whole characters only, and never part of a stop string.
struct TextStream {
    private var decoder: StreamingDecoder
    private var matcher: StopMatcher

    init(_ tokenizer: Tokenizer, stopStrings: [String]) {
        decoder = StreamingDecoder(tokenizer)
        matcher = StopMatcher(stopStrings)
    }

    var isStopped: Bool { matcher.isStopped }

    mutating func push(_ token: Int32) -> String {
        String(decoding: matcher.push(Array(decoder.push(token).utf8)), as: UTF8.self)
    }

    mutating func finish() -> String {
        let rest = matcher.push(Array(decoder.finish().utf8))
        return String(decoding: rest + matcher.finish(), as: UTF8.self)
    }
}
