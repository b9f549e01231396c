internal import Constraints
internal import Gemma3n
internal import Synchronization
internal import Tokenization

/// A request that was read: all that needs no model is done.
struct PreparedAnswer: Sendable {
    let ticket: AnswerTicket
    let whole: EncodedPrompt
    let options: GenerationOptions
    let size: SizeDecision
    let constraint: Constraint?
    /// Seconds that reading took.
    let seconds: Double
}

/// Reads requests: media files, tokens, options, shapes.
struct RequestReader: Sendable {
    let model: Gemma3nLanguageModel
    let limits: EngineLimits
    let contextLength: Int
    private let encoder: PromptEncoder

    init(_ model: Gemma3nLanguageModel, _ limits: EngineLimits, contextLength: Int) {
        self.model = model
        self.limits = limits
        self.contextLength = contextLength
        encoder = PromptEncoder(model.model)
    }

    /// - Throws: What is wrong with the request.
    func prepare(_ ticket: AnswerTicket) throws(SessionError) -> PreparedAnswer {
        let (request, start) = (ticket.answer, ticket.seconds)
        let sizing = SizingRequest(
            choice: request.options.size ?? .fixed(.slice(model.slice)),
            reason: request.options.size == nil ? "The size the model was opened with." : "Asked for with the prompt.",
            switching: .recompute, wishes: request.options.sizeWishes ?? SizeWishes(), policy: AutomaticSize())
        let size = try model.decide(sizing, others: model.busyRequests.load(ordering: .relaxed), current: nil)
        let constraint = try AnswerShape.constraint(request.options.shape, request.options.tools)
        let whole = try encode(request.input, tools: request.options.tools, isStopped: { ticket.isStopped })
        guard whole.tokens.count <= contextLength else {
            throw SessionError(
                .exceededContextWindowSize,
                "The request needs \(whole.tokens.count) tokens of context, but a request may have \(contextLength). Shorten it.")
        }
        do throws(GenerationError) {
            var options = try request.options.resolved(model.model.generationConfiguration, room: contextLength - whole.tokens.count + 1)
            if let most = limits.maximumResponseTokens { options.maxTokens = min(options.maxTokens, most) }
            return PreparedAnswer(
                ticket: ticket, whole: whole, options: options, size: size, constraint: constraint, seconds: ticket.seconds - start)
        } catch {
            throw SessionError(error)
        }
    }

    /// Reads the media of an input and writes it as tokens.
    ///
    /// - Throws: `unreadableMedia`, `unsupportedPrompt`.
    func encode(
        _ input: AnswerRequest.Input, tools: ToolCalling? = nil, isStopped: @Sendable () -> Bool
    ) throws(SessionError) -> EncodedPrompt {
        try checkLength(of: input)
        switch input {
        case .tokens(let tokens): return EncodedPrompt(tokens: tokens)
        case .text(let text):
            return EncodedPrompt(tokens: model.model.tokenizer.encode(text, addBOS: true, recognizesSpecialTokens: false))
        case .messages(let messages):
            let decoded = try MessageInput.modelMessages(messages, tools: tools?.instructions) { prompt throws(SessionError) in
                do throws(MediaError) {
                    return try prompt.decoded(by: model.decoder, isCancelled: isStopped)
                } catch {
                    throw SessionError(error)
                }
            }
            do throws(GenerationError) { return try encoder.encode(decoded ?? []) } catch { throw SessionError(error) }
        }
    }
}

extension RequestReader {
    /// Refuses text that certainly does not fit before it is read: reading takes time in proportion to its length.
    private func checkLength(of input: AnswerRequest.Input) throws(SessionError) {
        let byteCount = input.textByteCount
        // Few tokens have more bytes than this on average: there is no need to look for the longest one.
        guard byteCount > 16 * contextLength, let longest = model.model.tokenizer.longestTokenByteCount, byteCount / longest > contextLength else { return }
        throw SessionError(
            .exceededContextWindowSize,
            "The request's text of \(byteCount) bytes needs at least \(byteCount / longest) tokens of context, but a request may have \(contextLength). Shorten it.")
    }
}

extension AnswerRequest.Input {
    fileprivate var textByteCount: Int {
        switch self {
        case .tokens: 0
        case .text(let text): text.utf8.count
        case .messages(let messages):
            messages.reduce(0) { sum, message in
                message.content.parts.reduce(sum) { if case .text(let text) = $1 { $0 + text.utf8.count } else { $0 } }
            }
        }
    }

    /// Whether files have to be decoded.
    var holdsMedia: Bool {
        guard case .messages(let messages) = self else { return false }
        return messages.contains { $0.content.parts.contains { if case .text = $0 { false } else { true } } }
    }
}
