internal import Gemma3n
internal import Synchronization
internal import Tokenization

/// The inside of an `EngineRoom`: who waits, the threads, and what is counted.
///
/// A request waits in `queue`; it is read on a thread of its own kind (`reading`); then it is `ready`, and the engine's thread takes it up
/// between two steps.
final class EngineCore: Sendable {
    let model: Gemma3nLanguageModel
    let limits: EngineLimits
    let reader: RequestReader
    private let thread = SessionThread()
    private let textReading = SessionThread()
    private let mediaReading = SessionThread()
    private let state = Mutex(State())
    private let work: WorkBox

    /// The work is touched on the engine's thread only.
    private final class WorkBox: @unchecked Sendable {
        let work: EngineWork
        init(_ work: EngineWork) { self.work = work }
    }

    private struct State {
        var queue: [AnswerTicket] = []
        /// Requests that are being read.
        var reading = 0
        /// Requests that were read, in the order of their arrival as far as reading took equally long.
        var ready: [PreparedAnswer] = []
        var embeddings: [EmbeddingJob] = []
        /// Answers on the engine's thread.
        var running = 0
        /// Whether the engine's thread is at work.
        var isWorking = false
        var isDraining = false
        var waiters: [CheckedContinuation<Void, Never>] = []
        var figures = EngineFigures()
        var observer: EngineObserver?

        var taken: Int { reading + ready.count + running }
        var waiting: Int { queue.count + embeddings.count }
        var isIdle: Bool { queue.isEmpty && embeddings.isEmpty && taken == 0 && !isWorking }
    }

    init(_ model: Gemma3nLanguageModel, _ limits: EngineLimits) {
        self.model = model
        self.limits = limits
        reader = RequestReader(model, limits, contextLength: max(1, min(limits.contextLength ?? model.contextLength, model.contextLength)))
        work = WorkBox(EngineWork(model, limits, contextLength: reader.contextLength))
    }

    var contextLength: Int { reader.contextLength }

    var figures: EngineFigures {
        state.withLock { state in
            var figures = state.figures
            figures.queued = state.queue.count
            figures.running = state.taken
            return figures
        }
    }

    /// For tests: heeded when work begins the next time.
    func observe(_ observer: EngineObserver) { state.withLock { $0.observer = observer } }

    /// For tests: requests that were read and wait for the next step.
    var readyCount: Int { state.withLock { $0.ready.count } }

    // MARK: Requests

    /// - Throws: `rateLimited`, `shuttingDown`.
    func take(_ ticket: AnswerTicket) throws(SessionError) {
        let refusal: SessionError? = state.withLock { state in
            // Places among those that are computed come first: only who would wait can be one too many.
            if state.isDraining || state.taken >= limits.maximumRunning, let refusal = self.refusal(state) {
                state.figures.refused += 1
                return refusal
            }
            state.figures.accepted += 1
            state.queue.append(ticket)
            return nil
        }
        if let refusal { throw refusal }
        readNext()
    }

    private func refusal(_ state: State) -> SessionError? {
        if state.isDraining {
            return SessionError(.shuttingDown, "The server is shutting down and takes no more requests.")
        }
        guard state.waiting >= limits.maximumQueued else { return nil }
        // When the queue will have moved on, as far as answers so far tell.
        let waves = Double(state.waiting + 1) / Double(limits.maximumRunning)
        let seconds = max(1, min(600, Int((waves * state.figures.answerSeconds.mean).rounded(.up))))
        return SessionError(
            .rateLimited, "\(state.waiting) requests are waiting already, and no more may. Try again in \(seconds) s.", retryAfter: seconds)
    }

    /// A request is no longer wanted: if it waits, it waits no longer.
    func withdraw(_ ticket: AnswerTicket) {
        let waited = state.withLock { state in
            guard let index = state.queue.firstIndex(where: { $0 === ticket }) else { return false }
            state.queue.remove(at: index)
            return true
        }
        if waited {
            end(ticket, .success((.cancelled, "")))
            wakeIfIdle()
        }
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

    // MARK: Reading

    /// Has as many requests read as may be computed.
    private func readNext() {
        while true {
            let ticket: AnswerTicket? = state.withLock { state in
                guard !state.queue.isEmpty, state.taken < limits.maximumRunning else { return nil }
                state.reading += 1
                return state.queue.removeFirst()
            }
            guard let ticket else { return }
            (ticket.answer.input.holdsMedia ? mediaReading : textReading).run { [self] in read(ticket) }
        }
    }

    private func read(_ ticket: AnswerTicket) {
        let result: Result<PreparedAnswer, SessionError>? = ticket.isStopped ? nil : Result { () throws(SessionError) in try reader.prepare(ticket) }
        if case .success(let prepared)? = result {
            state.withLock { state in
                state.reading -= 1
                state.ready.append(prepared)
            }
            startWorking()
            return
        }
        if case .failure(let error)? = result, !ticket.isStopped {
            end(ticket, .failure(error))
        } else {
            end(ticket, .success((.cancelled, "")))
        }
        state.withLock { $0.reading -= 1 }
        readNext()
        wakeIfIdle()
    }

    /// Does something that takes no model, away from the caller's thread and the engine's.
    func onReadingThread<T: Sendable>(
        media: Bool, _ body: @escaping @Sendable () throws(SessionError) -> T
    ) async throws(SessionError) -> T {
        try await (media ? mediaReading : textReading).result(body)
    }

    /// - Throws: `unreadableMedia`, `unsupportedPrompt`.
    func tokenCount(_ input: AnswerRequest.Input, _ tools: ToolCalling?) async throws(SessionError) -> Int {
        try await onReadingThread(media: input.holdsMedia) { [reader] () throws(SessionError) in
            try reader.encode(input, tools: tools, isStopped: { false }).tokens.count
        }
    }

    // MARK: The engine's thread

    private func startWorking() {
        let starts = state.withLock { state in
            defer { state.isWorking = true }
            return !state.isWorking
        }
        if starts { thread.run { [self] in runWork() } }
    }

    /// Step after step, until there is nothing to do.
    private func runWork() {
        let work = work.work
        work.observer = state.withLock { $0.observer }
        while true {
            work.observer?.willStep()
            let (ready, embeddings): ([PreparedAnswer], [EmbeddingJob]) = state.withLock { state in
                defer {
                    state.running += state.ready.count
                    (state.ready, state.embeddings) = ([], [])
                }
                return (state.ready, state.embeddings)
            }
            work.join(ready, embeddings)
            let ended = work.step()
            state.withLock { state in
                state.running -= ended.count
                work.count(into: &state.figures)
            }
            for (ticket, result) in ended { end(ticket, result) }
            let isDone = state.withLock { state in
                if !work.isIdle || !state.ready.isEmpty || !state.embeddings.isEmpty { return false }
                state.isWorking = false
                return true
            }
            if !ended.isEmpty { readNext() }
            if isDone { break }
        }
        wakeIfIdle()
    }

    private func end(_ ticket: AnswerTicket, _ result: Result<(response: Response, rest: String), SessionError>) {
        let seconds = ticket.seconds
        state.withLock { state in
            switch result {
            case .success((let response, _)) where response.finishReason == .cancelled: state.figures.cancelled += 1
            case .success((let response, _)):
                state.figures.finished += 1
                state.figures.count(responseTokens: response.tokens.count, size: response.statistics.size?.name ?? "whole")
                state.figures.answerSeconds.add(seconds)
                let statistics = response.statistics
                if !response.tokens.isEmpty { state.figures.firstTokenSeconds.add(statistics.timeToFirstToken) }
                if response.tokens.count > 1 {
                    state.figures.tokenSeconds.add(statistics.generationSeconds / Double(response.tokens.count - 1))
                }
            case .failure where ticket.isStopped: state.figures.cancelled += 1
            case .failure: state.figures.failed += 1
            }
        }
        ticket.finish(result.map(\.response), rest: (try? result.get())?.rest ?? "")
    }

    // MARK: Embeddings

    func embeddings(of inputs: [AnswerRequest.Input]) async throws -> (vectors: [[Float]], tokenCount: Int) {
        let prompts = try await onReadingThread(media: inputs.contains { $0.holdsMedia }) { [reader, contextLength] () throws(SessionError) in
            try inputs.map { input throws(SessionError) in
                let prompt = try reader.encode(input, isStopped: { false })
                guard prompt.images.isEmpty, prompt.clips.isEmpty, !prompt.tokens.isEmpty else {
                    throw SessionError(.unsupportedPrompt, "Embeddings are made of text only. Leave out pictures and sounds, and give at least one token.")
                }
                guard prompt.tokens.count <= contextLength else {
                    throw SessionError(
                        .exceededContextWindowSize,
                        "A text to embed needs \(prompt.tokens.count) tokens of context, but a request may have \(contextLength). Shorten it.")
                }
                return prompt.tokens
            }
        }
        let request = ResponseRequest()
        let result: Result<[[Float]], SessionError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let refusal: SessionError? = state.withLock { state in
                    if let refusal = self.refusal(state) {
                        state.figures.refused += 1
                        return refusal
                    }
                    state.embeddings.append(EmbeddingJob(prompts, request) { continuation.resume(returning: $0) })
                    return nil
                }
                if let refusal { continuation.resume(returning: .failure(refusal)) } else { startWorking() }
            }
        } onCancel: {
            request.stop()
        }
        if request.isStopped { throw CancellationError() }
        return (try result.get(), prompts.reduce(0) { $0 + $1.count })
    }
}
