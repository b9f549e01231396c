internal import Checkpoint
internal import Constraints
internal import Gemma3n
internal import Synchronization
internal import Tensors
internal import Tokenization

/// The computing half of a session. Lives on the session's thread and is touched nowhere else.
///
/// What was said is kept as tokens and media (`history`); the caches follow it. Turns that end early therefore leave nothing
/// to repair: the next one goes back to where the caches and the history agree.
final class SessionEngine {
    private let model: Gemma3nLanguageModel
    private let contextLength: Int
    private let encoder: PromptEncoder
    /// Made with the first prompt: it holds the caches.
    private var conversation: CachedConversation?
    /// Everything said and answered, up to the last token of the last answer; empty before the first.
    private var history = EncodedPrompt(tokens: [])
    /// Where answers ended in the history; ascending, the last one at its end.
    private var marks: [HistoryMark] = []
    /// What the model was told of tools at the beginning of the history.
    private var toldTools: String?
    /// The prompt whose tools are being run, and what was so before it.
    private var open: (request: ResponseRequest, history: EncodedPrompt, marks: [HistoryMark], toldTools: String?)?
    /// The constraints used last, with what they have learnt.
    private var machines: [(shape: AnswerShape?, tools: ToolCalling?, machine: ConstraintMachine)] = []
    /// Called with the whole token sequence before it is fed; for tests.
    var onFeed: ((_ whole: EncodedPrompt, _ new: Int) -> Void)?
    /// Called with the media that are about to be encoded; for tests.
    var onEncode: ((EncodedPrompt) -> Void)?
    /// Called after every token, on the session's thread; for tests.
    var onToken: (() -> Void)?

    init(_ model: Gemma3nLanguageModel, contextLength: Int) {
        self.model = model
        self.contextLength = contextLength
        encoder = PromptEncoder(model.model)
    }

    /// Forgets everything; the next prompt is encoded with the transcript it comes with.
    func reset() {
        forgetHistory()
        conversation?.reset()
    }

    private func forgetHistory() {
        history = EncodedPrompt(tokens: [])
        marks = []
        open = nil
    }

    /// Goes back to where the transcript had `count` entries. Where that is no end of an answer, the next prompt is encoded with the
    /// transcript it comes with. The caches follow the history.
    func rewind(to count: Int) {
        guard let index = marks.lastIndex(where: { $0.entries == count }) else { return forgetHistory() }
        marks.removeSubrange((index + 1)...)
        let mark = marks[index]
        history = EncodedPrompt(
            tokens: Array(history.tokens[..<mark.tokens]), images: Array(history.images[..<mark.images]), clips: Array(history.clips[..<mark.clips]))
        open = nil
    }

    /// A copy that goes on by itself. Keys and values are shared as long as neither changes them.
    ///
    /// - Parameter count: Entries of the transcript that it belongs to.
    func fork(entries count: Int) -> SessionEngine {
        let other = SessionEngine(model, contextLength: contextLength)
        other.conversation = conversation.map { CachedConversation(copying: $0) }
        (other.history, other.marks, other.toldTools) = (history, marks, toldTools)
        if let open { (other.history, other.marks, other.toldTools) = (open.history, open.marks, open.toldTools) }
        if other.marks.last?.entries != count { other.forgetHistory() }
        other.machines = machines
        return other
    }

    /// What a file holds of it.
    var stored: StoredEngine {
        StoredEngine(
            history: open?.history ?? history, marks: open?.marks ?? marks, toldTools: open == nil ? toldTools : open?.toldTools,
            conversation: conversation)
    }

    /// Takes what was stored.
    ///
    /// - Parameter conversation: Restored already.
    func restore(history: EncodedPrompt, marks: [HistoryMark], toldTools: String?, _ conversation: CachedConversation?) {
        (self.history, self.marks, self.toldTools, self.conversation) = (history, marks, toldTools, conversation)
    }

    /// Takes back a prompt whose tools were being run.
    func forget(_ request: ResponseRequest) {
        guard let open, open.request === request else { return }
        (history, marks, toldTools) = (open.history, open.marks, open.toldTools)
        self.open = nil
    }

    /// Answers a prompt, or goes on from the outputs of tools.
    ///
    /// - Parameters:
    ///   - transcript: What was said before.
    ///   - goesOn: Whether calls will be answered with their outputs; until then `forget` takes everything back.
    ///   - emit: Called after every token.
    /// - Returns: The answer; finish reason `cancelled` and no token if it was stopped before the first one, and then the
    ///   prompt is forgotten.
    /// - Throws: `SessionError`; the prompt is forgotten.
    func respond(
        to turn: SessionTurn, after transcript: Transcript, _ options: ResponseOptions, _ sizing: SizingRequest, _ request: ResponseRequest,
        goesOn: Bool, emit: (ResponseStream.Snapshot) -> Void
    ) throws(SessionError) -> Response {
        let clock = ContinuousClock()
        let start = clock.now
        var statistics = ResponseStatistics()
        func seconds(since start: ContinuousClock.Instant) -> Double { start.duration(to: clock.now) / .seconds(1) }
        func unanswered() -> Response {
            Response(content: "", finishReason: .cancelled, tokens: [], logProbabilities: [], statistics: statistics)
        }

        // One that was stopped while its tools ran has not been taken back yet.
        if let open, open.request !== request { forget(open.request) }
        if request.isStopped { return unanswered() }
        let matcher = try matcher(options.shape, options.tools)
        var parser = options.tools.map { ToolCallParser($0, hasShape: options.shape != nil) }
        let others = model.busyRequests.wrappingAdd(1, ordering: .relaxed).oldValue
        defer { model.busyRequests.wrappingSubtract(1, ordering: .relaxed) }
        let size = try decide(sizing, others: others)
        statistics.size = size
        guard let messages = try decode(Transcript(entries: turn.entries), nil, request) else { return unanswered() }
        statistics.decodeMediaSeconds = seconds(since: start)
        do throws(GenerationError) {
            let before = (history, marks, toldTools)
            guard let whole = try encode(messages, transcript, options.tools?.instructions, request) else { return unanswered() }
            statistics.count(whole, model.model.configuration)
            let resolved = try resolve(options, whole)

            let conversation = try conversation(of: size.slice)
            let rest = conversation.advance(to: whole, switching: sizing.switching)
            statistics.cachedTokens = conversation.conversation.tokens.count
            onFeed?(whole, statistics.newTokens)
            if request.isStopped { return unanswered() }
            let encodeStart = clock.now
            let soft: SoftTokens
            do throws(GenerationError) {
                soft = try encode(rest, conversation, request)
            } catch {
                if error.code == .cancelled { return unanswered() }
                throw error
            }
            statistics.encodeSeconds = seconds(since: encodeStart)

            let prefillStart = clock.now
            do throws(GenerationError) {
                try conversation.feed(rest, softTokens: soft) { _, _ in !request.isStopped }
            } catch {
                if error.code == .cancelled { return unanswered() }
                throw error
            }
            statistics.prefillSeconds = seconds(since: prefillStart)

            var written = ""
            var probabilities: [TokenProbabilities] = []
            var count = 0
            var firstToken = clock.now
            let result = try conversation.conversation.generate(resolved, hooks: GenerationHooks(clock: { seconds(since: start) }, matcher: matcher)) { token in
                count += 1
                if count == 1 {
                    firstToken = clock.now
                    statistics.timeToFirstToken = seconds(since: start)
                } else {
                    statistics.generationSeconds = seconds(since: firstToken)
                }
                written += token.text
                _ = parser?.push(token.text)
                if let chosen = token.logProbability {
                    probabilities.append(TokenProbabilities(chosen: chosen, top: token.topLogProbabilities, text: token.text))
                }
                emit(
                    .init(
                        content: parser?.text ?? written, tokenCount: count, logProbabilities: probabilities, response: nil,
                        toolCalls: parser?.calls ?? []))
                onToken?()
                return !request.isStopped
            }
            statistics.responseTokens = result.tokens.count
            statistics.determinedTokens = result.determinedTokens
            statistics.speculation = result.speculation
            model.speeds.learn(size.slice, tokens: result.tokens.count, seconds: statistics.generationSeconds, sharers: others + 1)
            _ = parser?.push(String(decoding: Array(result.text.utf8.dropFirst(written.utf8.count)), as: UTF8.self))
            _ = parser?.finish()
            let calls = parser?.calls ?? []
            // Half a call is of no use to anybody.
            if result.finishReason == .cancelled, result.text.isEmpty || !calls.isEmpty { return unanswered() }
            remember(whole, result, entries: transcript.entries.count + turn.entries.count + 1)
            toldTools = options.tools?.instructions
            let isCalling = !calls.isEmpty && result.finishReason == .stop && calls.allSatisfy { $0.whole != nil }
            if !(goesOn && isCalling) {
                open = nil
            } else if open == nil {
                open = (request, before.0, before.1, before.2)
            }
            var response = Response(
                content: parser?.text ?? result.text, finishReason: isCalling ? .toolCalls : result.finishReason, tokens: result.tokens,
                logProbabilities: probabilities, statistics: statistics)
            response.toolCalls = calls.compactMap(\.whole)
            response.stopSequence = result.stopString
            response.written = parser == nil ? nil : result.text
            return response
        } catch {
            throw SessionError(error)
        }
    }

    /// The beginning of an answer of that shape.
    ///
    /// - Throws: `unsupportedGuide`.
    private func matcher(_ shape: AnswerShape?, _ tools: ToolCalling?) throws(SessionError) -> ConstraintMatcher? {
        if let known = machines.first(where: { $0.shape == shape && $0.tools == tools }) { return ConstraintMatcher(known.machine) }
        guard let constraint = try AnswerShape.constraint(shape, tools) else { return nil }
        let made = ConstraintMachine(constraint, model.tokenVocabulary)
        // Two, as an answer that must call tools is followed by one that may.
        machines = machines.suffix(1) + [(shape, tools, made)]
        return ConstraintMatcher(made)
    }

    /// Feeds what is certain of the next prompt, so that its answer begins sooner. Does nothing if that is impossible.
    func prewarm(_ prefix: String, after transcript: Transcript, tools: String?, _ sizing: SizingRequest, _ request: ResponseRequest) {
        do {
            let message = ModelMessage(.user, prefix)
            var whole: EncodedPrompt
            if history.tokens.isEmpty {
                guard let earlier = try decode(transcript, tools, request) else { return }
                whole = try encoder.encode(earlier + [message], addGenerationPrompt: false)
            } else {
                whole = history.appending(try encoder.encodeNextTurn(message, addGenerationPrompt: false))
            }
            // The end of the turn is not certain, and the last piece of text may join what follows: feeding too much costs
            // time only, since the caches go back to where the prompt differs.
            whole.tokens.removeLast(min(3, whole.tokens.count))
            guard whole.tokens.count > 1, whole.tokens.count < contextLength else { return }
            try feedAhead(whole, sizing, request)
        } catch {
            // The prompt itself will say what is wrong.
        }
    }

    /// Feeds what was said to the part of the model that will answer next, unless its keys and values are there. What was fed when it
    /// is stopped stays.
    func makeReady(_ sizing: SizingRequest, _ request: ResponseRequest) {
        guard conversation != nil, history.tokens.count > 1, history.tokens.count < contextLength else { return }
        do {
            try feedAhead(history, sizing, request)
        } catch {
            // The next prompt will say what is wrong.
        }
    }

    private func feedAhead(_ whole: EncodedPrompt, _ sizing: SizingRequest, _ request: ResponseRequest) throws {
        if request.isStopped { return }
        let conversation = try conversation(of: try decide(sizing, others: model.busyRequests.load(ordering: .relaxed)).slice)
        let rest = conversation.advance(to: whole, switching: sizing.switching)
        let soft = try encode(rest, conversation, request)
        try conversation.feed(rest, softTokens: soft, wanted: .none) { _, _ in !request.isStopped }
    }

    // MARK: Parts

    /// The conversation, going on with a part of the model.
    private func conversation(of slice: ModelSlice) throws(GenerationError) -> CachedConversation {
        let conversation = conversation ?? model.cachedConversation(contextLength: contextLength)
        self.conversation = conversation
        do throws(SliceError) {
            try conversation.conversation.use(slice)
        } catch {
            throw GenerationError(.invalidOption, error.message)
        }
        return conversation
    }

    /// - Throws: `invalidOption` if the model has no such part.
    private func decide(_ sizing: SizingRequest, others: Int) throws(SessionError) -> SizeDecision {
        try model.decide(sizing, others: others, current: history.tokens.isEmpty ? nil : conversation?.conversation.slice)
    }

    /// Media are encoded once in a conversation, as long as there is room for what came out.
    private func encode(
        _ rest: EncodedPrompt, _ conversation: CachedConversation, _ request: ResponseRequest
    ) throws(GenerationError) -> SoftTokens {
        try conversation.softTokens(of: rest) { missing throws(GenerationError) in
            onEncode?(missing)
            defer { if model.releasesEncoders { releaseFreedMemory() } }
            return try model.model.encodeMedia(missing, model.parallelism, releasesEncoders: model.releasesEncoders) { !request.isStopped }
        }
    }

    /// Nil if it was stopped.
    private func decode(_ prompt: Prompt, _ request: ResponseRequest) throws(SessionError) -> [ModelMessage.Part]? {
        do throws(MediaError) {
            return try prompt.decoded(by: model.decoder) { request.isStopped }
        } catch {
            if error.code == .cancelled { return nil }
            throw SessionError(error)
        }
    }

    /// Nil if it was stopped.
    private func decode(_ transcript: Transcript, _ tools: String?, _ request: ResponseRequest) throws(SessionError) -> [ModelMessage]? {
        try MessageInput.modelMessages(transcript.messages, tools: tools) { prompt throws(SessionError) in try decode(prompt, request) }
    }

    /// The whole conversation with a turn at its end; nil if it was stopped. Where the tools are others than before, it is written anew.
    private func encode(
        _ messages: [ModelMessage], _ transcript: Transcript, _ tools: String?, _ request: ResponseRequest
    ) throws(GenerationError) -> EncodedPrompt? {
        if !history.tokens.isEmpty, tools == toldTools { return history.appending(try encoder.encodeNextTurn(messages)) }
        let earlier: [ModelMessage]?
        do throws(SessionError) {
            earlier = try decode(transcript, tools, request)
        } catch {
            throw GenerationError(.invalidMedia, error.message)
        }
        guard let earlier else { return nil }
        return try encoder.encode(earlier + messages)
    }

    private func resolve(_ options: ResponseOptions, _ whole: EncodedPrompt) throws(GenerationError) -> GenerationOptions {
        guard whole.tokens.count <= contextLength else {
            throw GenerationError(
                .contextFull,
                "The conversation with this prompt needs \(whole.tokens.count) tokens of context, but the session holds \(contextLength). Shorten the prompt, begin a new conversation, or open the session with a longer context.")
        }
        return try options.resolved(model.model.generationConfiguration, room: contextLength - whole.tokens.count + 1)
    }

    /// Adds an answered prompt to the history. The text of the answer counts: tokens that a stop string cut off are left out.
    ///
    /// - Parameter entries: Of the transcript with the answer.
    private func remember(_ whole: EncodedPrompt, _ result: GenerationResult, entries: Int) {
        // Written anew, for other tools: earlier answers end elsewhere.
        if !whole.tokens.starts(with: history.tokens) { marks = [] }
        history = whole
        defer { marks.append(HistoryMark(entries: entries, history)) }
        let tokenizer = model.model.tokenizer
        guard result.finishReason == .stop, result.stopToken == nil else {
            history.tokens += result.tokens
            return
        }
        var kept = result.tokens.count
        let text = Array(result.text.utf8)
        while kept > 0, !text.starts(with: Array(tokenizer.decode(Array(result.tokens[..<kept])).utf8)) { kept -= 1 }
        let covered = Array(tokenizer.decode(Array(result.tokens[..<kept])).utf8).count
        history.tokens += result.tokens[..<kept]
        if covered < text.count { history.tokens += tokenizer.encode(String(decoding: text[covered...], as: UTF8.self)) }
    }
}

extension EncodedPrompt {
    fileprivate func appending(_ next: EncodedPrompt) -> EncodedPrompt {
        EncodedPrompt(tokens: tokens + next.tokens, images: images + next.images, clips: clips + next.clips)
    }
}
