internal import Constraints
internal import Gemma3n
internal import Synchronization
internal import Tokenization

/// The inside of an `EngineRoom`: the queue, the engine's thread, and what is counted.
final class EngineCore: Sendable {
    let model: Gemma3nLanguageModel
    let limits: EngineLimits
    let contextLength: Int
    private let encoder: PromptEncoder
    private let thread = SessionThread()
    private let preparation = SessionThread()
    private let state = Mutex(State())

    private struct State {
        var queue: [AnswerTicket] = []
        /// Jobs for the engine that are no answers.
        var jobs = 0
        var isDraining = false
        var waiters: [CheckedContinuation<Void, Never>] = []
        var figures = EngineFigures()

        var isIdle: Bool { queue.isEmpty && jobs == 0 && figures.running == 0 }
    }

    init(_ model: Gemma3nLanguageModel, _ limits: EngineLimits) {
        self.model = model
        self.limits = limits
        contextLength = max(1, min(limits.contextLength ?? model.contextLength, model.contextLength))
        encoder = PromptEncoder(model.model)
    }

    var figures: EngineFigures {
        state.withLock { state in
            var figures = state.figures
            figures.queued = state.queue.count
            return figures
        }
    }

    // MARK: Requests

    /// - Throws: `rateLimited`, `shuttingDown`.
    func take(_ ticket: AnswerTicket) throws(SessionError) {
        let refusal: SessionError? = state.withLock { state in
            if let refusal = self.refusal(state) {
                state.figures.refused += 1
                return refusal
            }
            state.figures.accepted += 1
            state.queue.append(ticket)
            return nil
        }
        if let refusal { throw refusal }
        thread.run { [self] in next() }
    }

    private func refusal(_ state: State) -> SessionError? {
        if state.isDraining {
            return SessionError(.shuttingDown, "The server is shutting down and takes no more requests.")
        }
        guard state.queue.count + state.jobs >= limits.maximumQueued else { return nil }
        let seconds = retryAfter(state)
        return SessionError(
            .rateLimited, "\(state.queue.count + state.jobs) requests are waiting already, and no more may. Try again in \(seconds) seconds.", retryAfter: seconds)
    }

    /// Seconds until the queue will have moved on, as far as answers so far tell.
    private func retryAfter(_ state: State) -> Int {
        let waves = Double(state.queue.count + state.jobs) / Double(max(1, limits.maximumRunning))
        return max(1, min(600, Int((waves * max(1, state.figures.answerSeconds.mean)).rounded(.up))))
    }

    /// The caller of a request went away: if it waits, it waits no longer.
    func withdraw(_ ticket: AnswerTicket) {
        state.withLock { state in
            guard let index = state.queue.firstIndex(where: { $0 === ticket }) else { return }
            state.queue.remove(at: index)
            state.figures.cancelled += 1
        }
        wakeIfIdle()
    }

    func drain() async {
        await withCheckedContinuation { continuation in
            state.withLock { state in
                state.isDraining = true
                state.waiters.append(continuation)
            }
            wakeIfIdle()
        }
    }

    private func wakeIfIdle() {
        let waiters: [CheckedContinuation<Void, Never>] = state.withLock { state in
            guard state.isIdle, state.isDraining else { return [] }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    // MARK: Prompts

    /// Does something that takes no model, away from the caller's thread and the engine's.
    func prepared<T: Sendable>(_ body: @escaping @Sendable () throws(SessionError) -> T) async throws(SessionError) -> T {
        let result: Result<T, SessionError> = await withCheckedContinuation { continuation in
            preparation.run { continuation.resume(returning: Result { () throws(SessionError) in try body() }) }
        }
        return try result.get()
    }

    /// Reads the media of an input and writes it as tokens.
    ///
    /// - Throws: `unreadableMedia`, `unsupportedPrompt`.
    func encode(_ input: AnswerRequest.Input, isStopped: @Sendable () -> Bool) throws(SessionError) -> EncodedPrompt {
        switch input {
        case .tokens(let tokens): return EncodedPrompt(tokens: tokens)
        case .text(let text):
            return EncodedPrompt(tokens: model.model.tokenizer.encode(text, addBOS: true, recognizesSpecialTokens: false))
        case .messages(let messages):
            var decoded: [ModelMessage] = []
            for message in messages {
                do throws(MediaError) {
                    decoded.append(ModelMessage(message.role, try message.content.decoded(by: model.decoder, isCancelled: isStopped)))
                } catch {
                    throw SessionError(error)
                }
            }
            do throws(GenerationError) { return try encoder.encode(decoded) } catch { throw SessionError(error) }
        }
    }

    // MARK: The engine's thread

    /// Answers the request that waits longest.
    private func next() {
        let ticket: AnswerTicket? = state.withLock { state in
            guard !state.queue.isEmpty else { return nil }
            state.figures.running += 1
            return state.queue.removeFirst()
        }
        guard let ticket else { return }
        let result = Result { () throws(SessionError) in try answer(ticket) }
        state.withLock { state in
            state.figures.running -= 1
            state.figures.answerSeconds.add(ticket.seconds)
            switch result {
            case .success(let answer) where answer.response.finishReason == .cancelled: state.figures.cancelled += 1
            case .success: state.figures.finished += 1
            case .failure where ticket.isStopped: state.figures.cancelled += 1
            case .failure: state.figures.failed += 1
            }
        }
        ticket.finish(result.map(\.response), rest: (try? result.get())?.rest ?? "")
        wakeIfIdle()
    }

    private func answer(_ ticket: AnswerTicket) throws(SessionError) -> (response: Response, rest: String) {
        let request = ticket.answer
        var statistics = ResponseStatistics()
        func unanswered() -> (Response, String) {
            (Response(content: "", finishReason: .cancelled, tokens: [], logProbabilities: [], statistics: statistics), "")
        }
        if ticket.isStopped { return unanswered() }
        let sizing = SizingRequest(
            choice: request.options.size ?? .fixed(.slice(model.slice)),
            reason: request.options.size == nil ? "The size the model was opened with." : "Asked for with the prompt.",
            switching: .recompute, wishes: request.options.sizeWishes ?? SizeWishes(), policy: AutomaticSize())
        let size = try model.decide(sizing, others: 0, current: nil)
        statistics.size = size
        let matcher = try request.options.shape.map { shape throws(SessionError) in
            ConstraintMatcher(ConstraintMachine(try shape.compiled(), model.tokenVocabulary))
        }
        let whole = try encode(request.input, isStopped: { ticket.isStopped })
        statistics.promptTokens = whole.tokens.count
        statistics.decodeMediaSeconds = ticket.seconds
        do throws(GenerationError) {
            guard whole.tokens.count <= contextLength else {
                throw GenerationError(
                    .contextFull,
                    "The request needs \(whole.tokens.count) tokens of context, but a request may have \(contextLength). Shorten it.")
            }
            var options = try request.options.resolved(model.model.generationConfiguration, room: contextLength - whole.tokens.count + 1)
            if let most = limits.maximumResponseTokens { options.maxTokens = min(options.maxTokens, most) }
            let conversation = model.conversation(contextLength: contextLength)
            do throws(SliceError) { try conversation.use(size.slice) } catch { throw GenerationError(.invalidOption, error.message) }
            state.withLock { $0.figures.promptTokens += whole.tokens.count }
            do throws(GenerationError) {
                let soft = try model.model.encodeMedia(whole, model.parallelism) { !ticket.isStopped }
                try conversation.feed(whole, softTokens: soft) { _, _ in !ticket.isStopped }
            } catch {
                if error.code == .cancelled { return unanswered() }
                throw error
            }
            statistics.prefillSeconds = ticket.seconds - statistics.decodeMediaSeconds
            var text = ""
            var probabilities: [TokenProbabilities] = []
            var count = 0
            let result = try conversation.generate(options, hooks: GenerationHooks(matcher: matcher)) { token in
                count += 1
                if count == 1 { statistics.timeToFirstToken = ticket.seconds }
                statistics.generationSeconds = ticket.seconds - statistics.timeToFirstToken
                text += token.text
                if let chosen = token.logProbability {
                    probabilities.append(TokenProbabilities(chosen: chosen, top: token.topLogProbabilities, text: token.text))
                }
                ticket.emit(token, count: count)
                return !ticket.isStopped
            }
            statistics.responseTokens = result.tokens.count
            statistics.determinedTokens = result.determinedTokens
            state.withLock { state in
                state.figures.responseTokens += result.tokens.count
                state.figures.firstTokenSeconds.add(statistics.timeToFirstToken)
            }
            let response = Response(
                content: result.text, finishReason: result.finishReason, tokens: result.tokens, logProbabilities: probabilities, statistics: statistics)
            return (response, String(decoding: Array(result.text.utf8.dropFirst(text.utf8.count)), as: UTF8.self))
        } catch {
            throw SessionError(error)
        }
    }

    // MARK: Embeddings

    func embeddings(of inputs: [AnswerRequest.Input]) async throws(SessionError) -> (vectors: [[Float]], tokenCount: Int) {
        let prompts = try await prepared { [self] () throws(SessionError) in
            try inputs.map { input throws(SessionError) in try encode(input, isStopped: { false }) }
        }
        let refusal: SessionError? = state.withLock { state in
            if let refusal = self.refusal(state) { return refusal }
            state.jobs += 1
            return nil
        }
        if let refusal { throw refusal }
        let result: Result<[[Float]], SessionError> = await withCheckedContinuation { continuation in
            thread.run { [self] in
                let result = Result { () throws(SessionError) in try prompts.map { prompt throws(SessionError) in try embedding(of: prompt) } }
                state.withLock { $0.jobs -= 1 }
                continuation.resume(returning: result)
                wakeIfIdle()
            }
        }
        return (try result.get(), prompts.reduce(0) { $0 + $1.tokens.count })
    }

    private func embedding(of prompt: EncodedPrompt) throws(SessionError) -> [Float] {
        guard prompt.images.isEmpty, prompt.clips.isEmpty, !prompt.tokens.isEmpty else {
            throw SessionError(.unsupportedPrompt, "Embeddings are made of text only. Leave out pictures and sounds, and give at least one token.")
        }
        let decoder = model.decoder(contextLength: contextLength, model.parallelism)
        var sum = [Double](repeating: 0, count: model.model.configuration.text.hiddenSize)
        do throws(GenerationError) {
            try decoder.states(of: prompt.tokens) { _, state in
                for i in 0..<state.count { sum[i] += Double(state[i]) }
            }
        } catch {
            throw SessionError(error)
        }
        let length = sum.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return sum.map { Float(length > 0 ? $0 / length : 0) }
    }
}

extension AnswerTicket {
    /// Since it arrived.
    var seconds: Double { arrival.duration(to: .now) / .seconds(1) }
}
