internal import Gemma3n
internal import Synchronization

/// One model at work for many users: takes requests from any task, and computes many of them together on a thread of its own.
///
///     let room = EngineRoom(model)
///     for try await event in try room.answer(AnswerRequest(.messages(messages))) {
///         print(event.text, terminator: "")
///     }
///
/// Requests are stateless: an answer depends on its request alone, never on what else is being computed.
public final class EngineRoom: Sendable {
    public let model: Gemma3nLanguageModel
    public let limits: EngineLimits
    /// Tokens of prompt and answer that a request may have.
    public var contextLength: Int { core.contextLength }
    private let core: EngineCore

    public init(_ model: Gemma3nLanguageModel, limits: EngineLimits = EngineLimits()) {
        self.model = model
        self.limits = limits
        core = EngineCore(model, limits)
    }

    /// Takes a request on. What is wrong with it comes when the stream is read.
    ///
    /// - Throws: `rateLimited` if too many wait already, with `retryAfter`; `shuttingDown` once the room is being drained.
    public func answer(_ request: AnswerRequest) throws(SessionError) -> AnswerStream {
        let (stream, continuation) = AsyncThrowingStream<AnswerEvent, any Error>.makeStream(bufferingPolicy: .unbounded)
        let ticket = AnswerTicket(request, continuation)
        continuation.onTermination = { [core] reason in
            if case .cancelled = reason {
                ticket.request.stop()
                core.withdraw(ticket)
            }
        }
        try core.take(ticket)
        return AnswerStream(stream: stream, ticket: ticket, core: core)
    }

    /// The tokens of a prompt as a request would have them, media included.
    ///
    /// - Parameter tools: Those of the request, which messages are told of.
    /// - Throws: `unreadableMedia`, `unsupportedPrompt`.
    public func tokenCount(_ input: AnswerRequest.Input, tools: ToolCalling? = nil) async throws(SessionError) -> Int {
        try await core.tokenCount(input, tools)
    }

    /// What texts mean, as vectors: the mean of the last hidden states of a text's tokens, of length 1.
    ///
    /// - Parameter inputs: Texts or tokens without media.
    /// - Returns: `[D]` for each, and the tokens of all.
    /// - Throws: `exceededContextWindowSize`, `unsupportedPrompt`; `rateLimited` and `shuttingDown` as `answer`; `CancellationError` if the
    ///   task is cancelled, which ends the work within a step.
    public func embeddings(of inputs: [AnswerRequest.Input]) async throws -> (vectors: [[Float]], tokenCount: Int) {
        try await core.embeddings(of: inputs)
    }

    /// What the room has done and is doing.
    public var figures: EngineFigures { core.figures }

    /// For tests: what the steps do, from the next time on that work begins.
    package func observe(_ observer: EngineObserver) { core.observe(observer) }

    /// For tests: requests that wait for the next step.
    package var readyCount: Int { core.readyCount }

    /// Refuses further requests and waits for those taken on.
    public func drain() async { await core.drain() }
}
