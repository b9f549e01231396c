internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost
internal import HTTPTypes
internal import Tokenization

/// Ollama's protocol under `/api`.
struct OllamaRoutes {
    let desk: Desk

    /// The version of the protocol that is spoken: clients look at it to know what they may ask for.
    static let version = "0.12.0"

    var routes: [Route] {
        let card = OllamaModelCard(desk: desk)
        return [
            Route(.get, "/api/version", isOpen: true) { _ in .json(["version": .string(Self.version)]) },
            Route(.get, "/api/tags") { _ in .json(["models": .array(card.tags)]) },
            Route(.get, "/api/ps") { _ in .json(["models": .array(card.running)]) },
            Route(.post, "/api/show") { [desk] exchange in
                let fields = try exchange.fields()
                let name = try fields.string("model") ?? fields.required("name")
                _ = try desk.size(ofModel: name)
                return .json(card.show)
            },
            Route(.post, "/api/chat") { [self] exchange in
                try await answer(exchange, OllamaRequest(chat: try exchange.fields(), desk), isChat: true)
            },
            Route(.post, "/api/generate") { [self] exchange in
                try await answer(exchange, OllamaRequest(generate: try exchange.fields(), desk), isChat: false)
            },
            Route(.post, "/api/embed") { [self] in try await embed($0, key: "input") },
            Route(.post, "/api/embeddings") { [self] in try await embed($0, key: "prompt") },
        ] + OllamaStore(desk: desk).routes
    }

    private func answer(_ exchange: Exchange, _ request: OllamaRequest, isChat: Bool) async throws -> Reply {
        let writer = OllamaWriter(model: request.model, isChat: isChat, start: .now, desk: desk)
        guard let work = request.work else { return .json(writer.loaded(request.unloads ? "unload" : "load")) }
        let answering = try desk.begin(work, for: exchange)
        guard request.streams else {
            guard let answer = try await answering.collect().first else { throw CancellationError() }
            return .json(writer.whole(answer))
        }
        _ = try await answering.begun()
        return .lines { try await writer.stream(answering, to: $0) }
    }

    private func embed(_ exchange: Exchange, key: String) async throws -> Reply {
        let start = ContinuousClock.now
        let fields = try exchange.fields()
        let model = try fields.required("model")
        _ = try desk.size(ofModel: model)
        let isOld = key == "prompt"
        let text = desk.model.model.configuration.text
        try fields.check(.object, "options")
        _ = try OllamaKeepAlive.isZero(fields)
        var inputs = try TextInput.read(fields, key, tokenCount: text.vocabSize, atMost: isOld ? 1 : 2048)
        if try fields.bool("truncate") ?? true { inputs = inputs.map(shortened) }
        let dimensions = try fields.int("dimensions", 1...text.hiddenSize)
        let (vectors, tokenCount) = try await desk.room.embeddings(of: inputs)
        let shortened = vectors.map { Embedding.json(Embedding.shortened($0, dimensions)) }
        if isOld { return .json(["embedding": shortened.first ?? []]) }
        return .json([
            "model": .string(model), "embeddings": .array(shortened), "total_duration": OllamaWriter.nanoseconds(start.duration(to: .now)),
            "load_duration": 0, "prompt_eval_count": .number(JSONNumber(tokenCount)),
        ])
    }
}

extension OllamaRoutes {
    /// As much of a text as the context holds.
    private func shortened(_ input: AnswerRequest.Input) -> AnswerRequest.Input {
        let tokens: [Int32]
        switch input {
        case .text(let text):
            let tokenizer = desk.model.model.tokenizer
            let most = tokenizer.longestTokenByteCount.map { $0 * desk.room.contextLength } ?? text.utf8.count
            let beginning = text.utf8.count > most ? String(decoding: text.utf8.prefix(most), as: UTF8.self) : text
            tokens = tokenizer.encode(beginning, addBOS: true, recognizesSpecialTokens: false)
        case .tokens(let given): tokens = given
        case .messages: return input
        }
        return tokens.count > desk.room.contextLength ? .tokens(Array(tokens.prefix(desk.room.contextLength))) : input
    }
}

/// Writes answers in Ollama's shape, whole or a line for every piece.
private struct OllamaWriter: Sendable {
    let model: String
    let isChat: Bool
    let start: ContinuousClock.Instant
    let desk: Desk

    func loaded(_ reason: String) -> JSONValue {
        frame("").adding("done", true).adding("done_reason", .string(reason))
    }

    func whole(_ answer: FinishedAnswer) -> JSONValue {
        end(answer, text: answer.text, calls: answer.calls.map { call($0) }, probabilities: answer.response.logProbabilities)
    }

    func stream(_ answering: Answering, to send: ReplySink) async throws {
        func line(_ value: JSONValue) async throws { try await send(value.serialized() + "\n") }
        do {
            while let piece = try await answering.next() {
                switch piece.piece {
                case .text(let text, let probabilities):
                    try await line(with(probabilities, frame(text).adding("done", false)))
                case .end(let answer):
                    // Calls go out whole: arguments are objects here.
                    for answered in answer.calls { try await line(frame("", calls: [call(answered)]).adding("done", false)) }
                    try await line(end(answer))
                default: break
                }
            }
        } catch {
            try await line(Dialect.ollama.body(Refusal(error), requestID: ""))
        }
    }

    private func call(_ call: ToolCall) -> JSONValue {
        ["id": .string(call.id), "function": ["name": .string(call.name), "arguments": call.arguments]]
    }

    private func frame(_ text: String, calls: [JSONValue] = []) -> JSONValue {
        let frame: JSONValue = ["model": .string(model), "created_at": .string(TimeStamp.now.text)]
        if !isChat { return frame.adding("response", .string(text)) }
        let message: JSONValue = ["role": "assistant", "content": .string(text)]
        return frame.adding("message", calls.isEmpty ? message : message.adding("tool_calls", .array(calls)))
    }

    private func end(_ answer: FinishedAnswer, text: String = "", calls: [JSONValue] = [], probabilities: [TokenProbabilities] = []) -> JSONValue {
        let s = answer.response.statistics
        func nanoseconds(_ seconds: Double) -> JSONValue { .number(JSONNumber(Int(seconds * 1e9))) }
        return with(probabilities, frame(text, calls: calls))
            .adding("done", true).adding("done_reason", .string(answer.finishReason == "length" ? "length" : "stop"))
            .adding("total_duration", Self.nanoseconds(start.duration(to: .now))).adding("load_duration", 0)
            .adding("prompt_eval_count", .number(JSONNumber(s.promptTokens))).adding("prompt_eval_duration", nanoseconds(s.prefillSeconds))
            .adding("eval_count", .number(JSONNumber(s.responseTokens))).adding("eval_duration", nanoseconds(s.generationSeconds))
    }

    private func with(_ tokens: [TokenProbabilities], _ line: JSONValue) -> JSONValue {
        if tokens.isEmpty { return line }
        return line.adding(
            "logprobs",
            .array(tokens.map { TokenText.json($0.chosen, desk).adding("top_logprobs", .array($0.top.map { TokenText.json($0, desk) })) }))
    }

    static func nanoseconds(_ duration: Duration) -> JSONValue { .number(JSONNumber(Int(duration / .nanoseconds(1)))) }
}
