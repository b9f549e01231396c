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
    /// Logits after the last token fed are row `logitsRow`; those after tokens that are guessed stand behind it.
    private var logits: FloatBuffer
    private var logitsRow = 0
    private var hasLogits = false
    /// What was learnt of the use of speculation, and what it was learnt of.
    private var controller: (key: Speculator.Key, SpeculationController)?
    /// Which part of the model made keys and values, and from which token on; ascending.
    private var makers: [Maker] = []

    /// From a token on, keys and values were made by this part of the model.
    public struct Maker: Sendable, Equatable {
        public var start: Int
        public var slice: ModelSlice

        public init(start: Int, slice: ModelSlice) { (self.start, self.slice) = (start, slice) }
    }

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
        noteMaker()
    }

    /// A copy that goes on by itself; keys and values are shared as long as neither changes them.
    public init(copying other: Conversation) {
        model = other.model
        parallelism = other.parallelism
        decoder = TextDecoder(copying: other.decoder, other.parallelism)
        tokens = other.tokens
        pending = other.pending
        makers = other.makers
        controller = other.controller
        hasLogits = other.hasLogits
        logits = FloatBuffer(count: other.model.configuration.text.vocabSize)
        if hasLogits { logits.pointer.update(from: other.row(other.logitsRow).baseAddress.unsafelyUnwrapped, count: logits.count) }
    }

    /// Forgets everything.
    public func reset() {
        decoder.reset()
        tokens = []
        pending = []
        hasLogits = false
        noteMaker()
    }

    /// Goes back to the first `count` tokens, if the caches still allow it; what was pending is dropped.
    ///
    /// - Returns: False, and nothing changes, if they do not.
    public func rewind(to count: Int) -> Bool {
        guard count >= 0, count <= tokens.count, decoder.rewind(to: count) else { return false }
        tokens.removeLast(tokens.count - count)
        pending = []
        hasLogits = false
        noteMaker()
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
        noteMaker()
    }

    /// Tokens at the beginning whose keys and values are those that the part which runs now would have made, bit for bit.
    public var exactTokenCount: Int {
        makers.first { !slice.makesSameKeyValues(as: $0.slice, in: model.configuration.text) }?.start ?? tokens.count
    }

    /// From here on it is the part that runs now.
    private func noteMaker() {
        while let last = makers.last, last.start >= tokens.count { makers.removeLast() }
        if let last = makers.last, slice.makesSameKeyValues(as: last.slice, in: model.configuration.text) { return }
        makers.append(Maker(start: tokens.count, slice: slice))
    }

    // MARK: Storing

    /// What was fed and chosen, beside keys and values.
    public struct Stored: Sendable, Equatable {
        public var tokens: [Int32]
        public var pending: [Int32]
        public var makers: [Maker]
        /// The part of the model that runs.
        public var slice: ModelSlice

        public init(tokens: [Int32], pending: [Int32], makers: [Maker], slice: ModelSlice) {
            (self.tokens, self.pending, self.makers, self.slice) = (tokens, pending, makers, slice)
        }
    }

    public var stored: Stored { Stored(tokens: tokens, pending: pending, makers: makers, slice: slice) }

    /// Takes what was stored of a conversation in the place of everything that is here. It goes on with the same bits; logits come with the
    /// next feed.
    ///
    /// - Parameter contents: The bytes of keys and values of every layer.
    /// - Throws: `damagedState`; nothing changes then.
    public func restore(_ stored: Stored, _ keyValues: StoredKeyValues, from contents: [UnsafeRawBufferPointer]) throws(GenerationError) {
        let starts = stored.makers.map { $0.start }
        guard stored.tokens.count == keyValues.position, stored.tokens.isEmpty || starts.first == 0, starts == starts.sorted(),
            starts.allSatisfy({ $0 >= 0 && $0 <= stored.tokens.count }), stored.pending.count <= decoder.contextLength
        else {
            throw GenerationError(.damagedState, "The \(stored.tokens.count) tokens stored are not those of \(keyValues.position) keys and values.")
        }
        do throws(GenerationError) { try model.text.check(stored.tokens + stored.pending) } catch {
            throw GenerationError(.damagedState, error.message)
        }
        let running: TextModel
        do throws(SliceError) {
            for maker in stored.makers { try maker.slice.validate(model.text.configuration) }
            running = try model.text.sliced(stored.slice)
        } catch {
            throw GenerationError(.damagedState, error.message)
        }
        try decoder.sequence.restore(keyValues, from: contents)
        decoder.use(running)
        (tokens, pending, makers) = (stored.tokens, stored.pending, stored.makers)
        hasLogits = false
        noteMaker()
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
        let embeddings = try PromptEmbeddings(model, all, prompt) { () throws(GenerationError) in
            if let softTokens { softTokens } else { try model.encodeMedia(prompt, taps: taps, parallelism) }
        }
        let last = all.count - 1
        hasLogits = false
        let fed = try decoder.prefill(
            all, wanted: wanted,
            embedding: { embeddings.write($0, into: $1) },
            taps: taps, shouldContinue: { progress($0, all.count) }
        ) { index, row in
            onLogits(index, row)
            if index == last, let base = row.baseAddress {
                logits.pointer.update(from: base, count: row.count)
                logitsRow = 0
                hasLogits = true
            }
        }
        tokens += all[..<fed]
        pending = []
        if fed < all.count { throw GenerationError(.cancelled, "The prompt was cancelled after \(fed) of \(all.count) tokens.") }
    }

    /// The logits after the last token fed, `V` values; nil before the first feed.
    public var nextLogits: [Float]? { hasLogits ? Array(row(logitsRow)) : nil }

    /// Generates an answer to what was fed.
    ///
    /// - Parameters:
    ///   - hooks: What the host lends.
    ///   - onToken: Called for every token as it comes; false ends the answer (`.cancelled`).
    /// - Throws: `invalidOption`; `emptyPrompt` if nothing was fed; `notANumber` if the weights give no logits; `deadEnd` if no token
    ///   continues a constrained answer.
    public func generate(
        _ options: GenerationOptions, hooks: GenerationHooks = GenerationHooks(), onToken: (GeneratedToken) -> Bool = { _ in true }
    ) throws(GenerationError) -> GenerationResult {
        guard hasLogits else {
            throw GenerationError(.emptyPrompt, "There is nothing to answer yet; feed a prompt first.")
        }
        var answer = try Answer(options, model, prompt: tokens, hooks.matcher)
        var speculator = try makeSpeculator(options.speculation, hooks.clock)
        defer { if speculator.isOn { controller = (speculator.key, speculator.controller) } }
        var reason: FinishReason?
        turns: while true {
            var isFirst = true
            let turn = try answer.turn(row(logitsRow), room: decoder.contextLength - decoder.position) { token in
                if isFirst { pending.removeAll(keepingCapacity: true) }
                isFirst = false
                pending.append(token.token)
                return onToken(token)
            }
            switch turn {
            case .ended(let why):
                reason = why
                break turns
            case .feed(isDetermined: true):
                // All at once, and the logits of the last.
                speculator.settle()
                try feed(EncodedPrompt(tokens: []))
            case .feed(isDetermined: false): try advance(pending[0], answer, &speculator)
            }
            answer.wasFed()
        }
        speculator.settle()
        return answer.finished(reason, speculator.isOn ? speculator.statistics : nil)
    }

    /// Computes the logits after the chosen token, which is all that is pending.
    func feedPending(_ token: Int32) throws(GenerationError) {
        hasLogits = false
        try decoder.decode(token) { logits.pointer.update(from: $0.baseAddress.unsafelyUnwrapped, count: $0.count) }
        tokens.append(token)
        pending.removeAll(keepingCapacity: true)
        logitsRow = 0
        hasLogits = true
    }

    // MARK: For speculation

    /// What was learnt of the use of guesses under the same circumstances.
    func experience(of key: Speculator.Key) -> SpeculationController? { controller?.key == key ? controller?.1 : nil }

    /// Computes the logits after the chosen token, row 0, and after every guess behind it; only the former is taken as fed.
    func feed(_ token: Int32, guesses: [Int32]) throws(GenerationError) {
        let count = model.configuration.text.vocabSize
        if logits.count < (1 + guesses.count) * count { logits = FloatBuffer(count: (1 + guesses.count) * count) }
        hasLogits = false
        let bookmark = decoder.sequence.bookmark
        try decoder.prefill([token] + guesses, wanted: .all) { index, row in
            if let base = row.baseAddress { (logits.pointer + index * count).update(from: base, count: count) }
        }
        decoder.sequence.goBack(to: bookmark)
        hasLogits = true
        takeAsFed(token, row: 0)
    }

    /// The chosen token was fed as a guess: row `index` of the logits stands after it.
    private func takeAsFed(_ token: Int32, row index: Int) {
        decoder.sequence.goForward(1)
        tokens.append(token)
        pending = []
        logitsRow = index
    }

    /// The guess behind the tokens taken as fed was chosen, too.
    func takeNextGuess(_ token: Int32) { takeAsFed(token, row: logitsRow + 1) }

    private func row(_ index: Int) -> UnsafeMutableBufferPointer<Float> {
        let count = model.configuration.text.vocabSize
        return UnsafeMutableBufferPointer(start: logits.pointer + index * count, count: count)
    }
}
