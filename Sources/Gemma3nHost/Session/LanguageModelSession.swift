public import Gemma3n
internal import Synchronization

/// A conversation with a model.
///
///     let session = LanguageModelSession(model: model, instructions: "Answer in one sentence.")
///     let answer = try await session.respond(to: "Why is the sky blue?")
///     for try await snapshot in session.streamResponse(to: Prompt { ImageFile("cat.png"); "What is this?" }) {
///         print(snapshot.content)
///     }
///
/// A session computes on a thread of its own and answers one prompt at a time. Every prompt continues the conversation, and
/// only what is new in it is processed.
///
/// **Answers that end early.** A prompt whose answer is cancelled before its first token, or fails, is forgotten: transcript
/// and caches are as before. An answer cancelled later stands as far as it came, in the transcript and for the model.
/// The instructions always stay.
///
/// **Tools.** A session that was given tools runs those that the model calls and goes on until it answers in text (see `Tool`). A
/// prompt is forgotten if a tool fails, or if it is cancelled before the text begins; what tools did by then is done.
///
/// **Sizes.** Of a nested model any part can answer (`size`), chosen per session, per answer or by a policy. With `switching` at
/// `.recompute` an answer depends on what was said and on the part that answers, never on which parts ran before.
public final class LanguageModelSession: Sendable {
    public typealias GenerationError = SessionError

    public let model: Gemma3nLanguageModel
    /// Tokens the conversation may have.
    public let contextLength: Int
    let thread = SessionThread()
    let engine: EngineBox
    let state: Mutex<State>
    let toolset: Toolset?

    struct State {
        var transcript: Transcript
        var active: ResponseRequest?
        var sizing: SizingRequest
        /// Reading the conversation again after a change of size.
        var gettingReady: ResponseRequest?
        /// How often the conversation was cleared: an answer to what was cleared is not remembered.
        var epoch = 0
    }

    /// The engine is used on the session's thread only.
    final class EngineBox: @unchecked Sendable {
        let engine: SessionEngine
        init(_ engine: SessionEngine) { self.engine = engine }
    }

    /// - Parameters:
    ///   - instructions: What the model is told before the first prompt.
    ///   - contextLength: Tokens the conversation may have; the model's by default and at most.
    public convenience init(model: Gemma3nLanguageModel, instructions: String? = nil, contextLength: Int? = nil) {
        self.init(model: model, transcript: Transcript(instructions: instructions), contextLength: contextLength)
    }

    /// Continues a conversation.
    public convenience init(model: Gemma3nLanguageModel, transcript: Transcript, contextLength: Int? = nil) {
        self.init(model, toolset: nil, transcript, contextLength)
    }

    /// A session that runs tools for the model.
    ///
    /// - Throws: `invalidOption` for a bad name or limit; `unsupportedGuide` that names the tool whose parameters cannot be kept to.
    public convenience init(
        model: Gemma3nLanguageModel, tools: [any Tool], toolLimits: ToolLimits = ToolLimits(), instructions: String? = nil,
        contextLength: Int? = nil
    ) throws(SessionError) {
        try self.init(
            model: model, tools: tools, toolLimits: toolLimits, transcript: Transcript(instructions: instructions), contextLength: contextLength)
    }

    /// Continues a conversation with tools.
    ///
    /// - Throws: As the other one with tools.
    public convenience init(
        model: Gemma3nLanguageModel, tools: [any Tool], toolLimits: ToolLimits = ToolLimits(), transcript: Transcript, contextLength: Int? = nil
    ) throws(SessionError) {
        self.init(model, toolset: tools.isEmpty ? nil : try Toolset(tools, toolLimits), transcript, contextLength)
    }

    /// - Parameters:
    ///   - sizing: As the model was opened if nil.
    ///   - engine: What continues; a new one if nil.
    init(
        _ model: Gemma3nLanguageModel, toolset: Toolset?, _ transcript: Transcript, _ contextLength: Int?, _ sizing: SizingRequest? = nil,
        _ engine: SessionEngine? = nil
    ) {
        self.model = model
        self.toolset = toolset
        self.contextLength = max(1, min(contextLength ?? model.contextLength, model.contextLength))
        self.engine = EngineBox(engine ?? SessionEngine(model, contextLength: self.contextLength))
        state = Mutex(State(transcript: transcript, sizing: sizing ?? SizingRequest(model)))
    }

    /// What was said. A prompt appears together with its answer.
    public var transcript: Transcript { state.withLock { $0.transcript } }

    public var isResponding: Bool { state.withLock { $0.active != nil } }

    // MARK: Size

    /// Which part of the model answers from the next prompt on; all of it at the beginning, or what the model was opened with.
    ///
    /// Where keys and values have to be made again (`switching`), that begins at once in the background, and a prompt that comes
    /// earlier goes on from there. A size that this model does not have is refused by the next prompt; `Gemma3nLanguageModel.slice`
    /// asks before.
    public var size: SizeChoice {
        get { state.withLock { $0.sizing.choice } }
        set {
            change {
                $0.choice = newValue
                $0.reason = "The size of the session."
            }
        }
    }

    /// Whether keys and values of another size are kept or made again. `.recompute` by default: the same conversation then gets the
    /// same answer whatever ran before it, which tests, caches and users can rely on; `.keep` is the faster approximation.
    public var switching: SizeSwitching {
        get { state.withLock { $0.sizing.switching } }
        set { change { $0.switching = newValue } }
    }

    /// What an automatic choice heeds.
    public var sizeWishes: SizeWishes {
        get { state.withLock { $0.sizing.wishes } }
        set { state.withLock { $0.sizing.wishes = newValue } }
    }

    /// Who makes an automatic choice.
    public var sizePolicy: any SizePolicy {
        get { state.withLock { $0.sizing.policy } }
        set { state.withLock { $0.sizing.policy = newValue } }
    }

    private func change(_ body: (inout SizingRequest) -> Void) {
        let request = ResponseRequest()
        state.withLock { state in
            body(&state.sizing)
            state.gettingReady?.stop()
            state.gettingReady = request
        }
        thread.run { [engine, self] in
            let sizing = state.withLock { $0.sizing }
            if case .fixed = sizing.choice, sizing.switching == .recompute { engine.engine.makeReady(sizing, request) }
            state.withLock { state in if state.gettingReady === request { state.gettingReady = nil } }
        }
    }

    // MARK: Answers

    /// Answers a prompt: a string, a picture, a sound, or a `Prompt` of several.
    ///
    /// - Throws: `SessionError`; `CancellationError` if the task is cancelled, which ends the answer within a token.
    @discardableResult
    public func respond(to prompt: some PromptRepresentable, options: ResponseOptions = ResponseOptions()) async throws -> Response {
        try await respond(to: .prompt(prompt.promptRepresentation), options)
    }

    func respond(to turn: SessionTurn, _ options: ResponseOptions) async throws -> Response {
        let request = ResponseRequest()
        let response = try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                start(turn, options, request, emit: { _ in }, completion: { continuation.resume(with: $0) })
            }
        } onCancel: {
            request.stop()
        }
        if response.finishReason == .cancelled { throw CancellationError() }
        return response
    }

    /// Answers a prompt written in braces.
    ///
    ///     try await session.respond { ImageFile("cat.png"); "What is this?" }
    ///
    /// - Throws: As `respond(to:options:)`.
    @discardableResult
    public func respond(options: ResponseOptions = ResponseOptions(), @PromptBuilder prompt: () throws -> Prompt) async throws -> Response {
        try await respond(to: try prompt(), options: options)
    }

    /// Answers a prompt bit by bit. Errors come when the stream is read.
    public func streamResponse(to prompt: some PromptRepresentable, options: ResponseOptions = ResponseOptions()) -> ResponseStream {
        streamResponse(to: .prompt(prompt.promptRepresentation), options)
    }

    func streamResponse(to turn: SessionTurn, _ options: ResponseOptions) -> ResponseStream {
        let request = ResponseRequest()
        // Snapshots are cumulative: a reader that falls behind needs the newest only.
        let (stream, continuation) = AsyncThrowingStream<ResponseStream.Snapshot, any Error>.makeStream(bufferingPolicy: .bufferingNewest(1))
        continuation.onTermination = { reason in
            if case .cancelled = reason { request.stop() }
        }
        start(turn, options, request, emit: { continuation.yield($0) }) { result in
            switch result {
            case .success(let response):
                continuation.yield(
                    .init(
                        content: response.content, tokenCount: response.tokens.count, logProbabilities: response.logProbabilities,
                        response: response, toolCalls: response.toolCalls.map { PartialToolCall($0) }))
                continuation.finish()
            case .failure(let error):
                continuation.finish(throwing: error)
            }
        }
        return ResponseStream(stream: stream, request: request)
    }

    /// Answers, bit by bit, a prompt written in braces.
    public func streamResponse(
        options: ResponseOptions = ResponseOptions(), @PromptBuilder prompt: () throws -> Prompt
    ) rethrows -> ResponseStream {
        streamResponse(to: try prompt(), options: options)
    }

    // MARK: The conversation

    /// Processes the instructions, and what the next prompt begins with, before it comes.
    ///
    /// - Parameter promptPrefix: Its text counts, up to the first picture, sound or video.
    public func prewarm(promptPrefix: Prompt? = nil) {
        var text = ""
        for part in promptPrefix?.parts ?? [] {
            guard case .text(let next) = part else { break }
            text += next
        }
        let (request, transcript, sizing, tools) = (ResponseRequest(), transcript, state.withLock { $0.sizing }, toolset?.instructions)
        thread.run { [engine, text] in engine.engine.prewarm(text, after: transcript, tools: tools, sizing, request) }
    }

    /// Begins the conversation anew: all but the instructions is forgotten.
    ///
    /// - Throws: `concurrentRequests` while an answer is under way.
    public func clear() throws(SessionError) {
        let refused = state.withLock { state in
            if let active = state.active, !active.isStopped { return true }
            state.transcript = state.transcript.beginning
            state.epoch += 1
            state.gettingReady?.stop()
            return false
        }
        if refused { throw Self.busy }
        thread.run { [engine] in engine.engine.reset() }
    }

    // MARK: Under the hood

    static let busy = SessionError(
        .concurrentRequests, "The session is still answering another prompt. Wait for that answer, stop it, or open a second session.")

    /// What was so when an answer began.
    struct Beginning: Sendable {
        var epoch: Int
        var sizing: SizingRequest
    }

    /// Whether an answer with these options may call tools.
    func callsTools(_ options: ResponseOptions) -> Bool {
        if let tools = options.tools { return tools.choice != .none }
        return toolset != nil && options.toolChoice != .none
    }

    /// Answers. `completion` is called once transcript and state are up to date.
    private func start(
        _ turn: SessionTurn, _ options: ResponseOptions, _ request: ResponseRequest,
        emit: @escaping @Sendable (ResponseStream.Snapshot) -> Void, completion: @escaping @Sendable (Result<Response, any Error>) -> Void
    ) {
        guard let beginning = begin(options, request) else { return completion(.failure(Self.busy)) }
        guard let toolset, options.tools == nil else {
            return run(turn, after: [], options, beginning, request, goesOn: false, emit: emit, completion: completion)
        }
        Task {
            let result: Result<Response, any Error>
            do {
                result = .success(try await converse(turn, options, toolset, beginning, request, emit: emit))
            } catch {
                result = .failure(error)
            }
            completion(result)
        }
    }

    /// Nil while another prompt is answered.
    private func begin(_ options: ResponseOptions, _ request: ResponseRequest) -> Beginning? {
        state.withLock { state in
            // One that was told to stop ends soon, and the thread runs jobs in order.
            if let active = state.active, !active.isStopped { return nil }
            state.active = request
            state.gettingReady?.stop()
            var sizing = state.sizing
            if let size = options.size { (sizing.choice, sizing.reason) = (size, "Asked for with the prompt.") }
            if let wishes = options.sizeWishes { sizing.wishes = wishes }
            return Beginning(epoch: state.epoch, sizing: sizing)
        }
    }

    /// Makes one answer on the session's thread. `completion` runs there too, after transcript and state are up to date.
    ///
    /// - Parameters:
    ///   - said: What belongs to the same prompt and is not in the transcript yet.
    ///   - goesOn: Whether calls of tools are answered: then they do not end it.
    func run(
        _ turn: SessionTurn, after said: [Transcript.Entry], _ options: ResponseOptions, _ beginning: Beginning, _ request: ResponseRequest,
        goesOn: Bool, emit: @escaping @Sendable (ResponseStream.Snapshot) -> Void,
        completion: @escaping @Sendable (Result<Response, any Error>) -> Void
    ) {
        // The job keeps the session alive until its answer is there.
        thread.run { [self] in
            let before = Transcript(entries: transcript.entries + said)
            let result: Result<Response, SessionError> = Result { () throws(SessionError) in
                try engine.engine.respond(to: turn, after: before, options, beginning.sizing, request, goesOn: goesOn, emit: emit)
            }
            state.withLock { state in
                if case .success(let response) = result {
                    if goesOn, response.finishReason == .toolCalls { return }
                    if response.finishReason != .cancelled || !response.content.isEmpty, state.epoch == beginning.epoch {
                        state.transcript.entries += said + turn.entries + [Transcript.Entry(response)]
                    }
                }
                if state.active === request { state.active = nil }
            }
            completion(result.mapError { $0 as any Error })
        }
    }

    /// Takes back all that was said since a prompt whose tools were to be run.
    func forget(_ request: ResponseRequest) async {
        await withCheckedContinuation { continuation in
            thread.run { [self] in
                engine.engine.forget(request)
                state.withLock { state in if state.active === request { state.active = nil } }
                continuation.resume()
            }
        }
    }
}

extension LanguageModelSession {
    /// For tests: called on the session's thread with every whole prompt and how many of its tokens are processed.
    package func observeFeeding(_ observer: @escaping @Sendable (_ whole: [Int32], _ new: Int) -> Void) {
        thread.run { [engine] in engine.engine.onFeed = { observer($0.tokens, $1) } }
    }

    /// For tests: called on the session's thread with the number of pictures and sounds that are about to be encoded.
    package func observeEncoding(_ observer: @escaping @Sendable (_ images: Int, _ clips: Int) -> Void) {
        thread.run { [engine] in engine.engine.onEncode = { observer($0.images.count, $0.clips.count) } }
    }

    /// For tests: called after every token, on the session's thread.
    package func observeTokens(_ observer: @escaping @Sendable () -> Void) {
        thread.run { [engine] in engine.engine.onToken = observer }
    }
}
