internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost
internal import HTTPTypes

/// `/v1/chat/completions`
struct ChatRoutes {
    let desk: Desk

    var routes: [Route] { [Route(.post, "/v1/chat/completions") { [self] in try await answer($0) }] }

    private func answer(_ exchange: Exchange) async throws -> Reply {
        let request = try ChatRequest(try await desk.fields(of: exchange), desk)
        let answering = try desk.begin(request.work, for: exchange)
        let writer = ChatWriter(
            id: RequestID.random("chatcmpl-"), model: request.model, created: TimeStamp.now.seconds, desk: desk,
            tellsFunctionCalls: request.tellsFunctionCalls)
        guard request.streams else { return .json(writer.completion(try await answering.collect())) }
        _ = try await answering.begun()
        return .events { try await writer.stream(answering, request, to: $0) }
    }
}

/// Writes chat completions.
struct ChatWriter: Sendable {
    let id: String
    let model: String
    let created: Int
    let desk: Desk
    let tellsFunctionCalls: Bool

    // MARK: Whole

    func completion(_ answers: [FinishedAnswer]) -> JSONValue {
        frame("chat.completion", .array(answers.enumerated().map { choice($0, $1) }), usage: OpenAIUsage.chat(answers))
    }

    private func choice(_ index: Int, _ answer: FinishedAnswer) -> JSONValue {
        var message: JSONValue = [
            "role": "assistant", "content": answer.calls.isEmpty ? .string(answer.text) : .null, "refusal": nil, "annotations": [],
        ]
        if tellsFunctionCalls {
            let call: JSONValue? = answer.calls.first.map { ["name": .string($0.name), "arguments": .string($0.argumentsText)] }
            message = call.map { message.adding("function_call", $0) } ?? message
        } else if !answer.calls.isEmpty {
            message = message.adding("tool_calls", .array(answer.calls.map { ["id": .string($0.id), "type": "function", "function": ["name": .string($0.name), "arguments": .string($0.argumentsText)]] }))
        }
        let probabilities = answer.response.logProbabilities
        return [
            "index": .number(JSONNumber(index)), "message": message,
            "logprobs": probabilities.isEmpty ? .null : logprobs(probabilities),
            "finish_reason": .string(finishReason(answer)),
        ]
    }

    private func finishReason(_ answer: FinishedAnswer) -> String {
        tellsFunctionCalls && answer.finishReason == "tool_calls" ? "function_call" : answer.finishReason
    }

    private func frame(_ object: String, _ choices: JSONValue, usage: JSONValue?) -> JSONValue {
        let frame: JSONValue = [
            "id": .string(id), "object": .string(object), "created": .number(JSONNumber(created)), "model": .string(model),
            "system_fingerprint": .string(desk.fingerprint), "service_tier": "default", "choices": choices,
        ]
        return usage.map { frame.adding("usage", $0) } ?? frame
    }

    // MARK: Bit by bit

    func stream(_ answering: Answering, _ request: ChatRequest, to send: ReplySink) async throws {
        var answers: [Int: FinishedAnswer] = [:]
        do {
            for choice in 0..<request.work.count {
                try await send(chunk(choice, ["role": "assistant", "content": "", "refusal": nil], request))
            }
            while let piece = try await answering.next() {
                let index = piece.choice
                switch piece.piece {
                case .text(let text, let probabilities):
                    let logprobs = probabilities.isEmpty ? JSONValue.null : logprobs(probabilities)
                    try await send(chunk(index, ["content": .string(text)], request, logprobs: logprobs))
                case .callBegan(let call, let id, let name):
                    try await send(chunk(index, self.call(call, ["name": .string(name), "arguments": ""], id: id), request))
                case .arguments(let call, let more): try await send(chunk(index, self.call(call, ["arguments": .string(more)]), request))
                case .begun, .callEnded: break
                case .wait: try await send(ServerSentEvent.ping)
                case .end(let answer):
                    answers[index] = answer
                    try await send(chunk(index, [:], request, finishReason: finishReason(answer)))
                }
            }
        } catch {
            // The status was sent already: the error is an event of its own.
            try await send(ServerSentEvent.text(data: Dialect.openAI.body(Refusal(error), requestID: id)))
            return
        }
        if request.includesUsage {
            let usage = OpenAIUsage.chat(answers.sorted { $0.key < $1.key }.map(\.value))
            try await send(ServerSentEvent.text(data: frame("chat.completion.chunk", [], usage: usage)))
        }
        try await send(ServerSentEvent.done)
    }

    private func chunk(
        _ index: Int, _ delta: JSONValue, _ request: ChatRequest, logprobs: JSONValue = .null, finishReason: String? = nil
    ) -> String {
        let choice: JSONValue = [
            "index": .number(JSONNumber(index)), "delta": delta, "logprobs": logprobs,
            "finish_reason": finishReason.map { .string($0) } ?? .null,
        ]
        return ServerSentEvent.text(data: frame("chat.completion.chunk", [choice], usage: request.includesUsage ? .null : nil))
    }

    private func call(_ index: Int, _ function: JSONValue, id: String? = nil) -> JSONValue {
        if tellsFunctionCalls { return ["function_call": function] }
        var call: JSONValue = ["index": .number(JSONNumber(index))]
        if let id { call = call.adding("id", .string(id)).adding("type", "function") }
        return ["tool_calls": [call.adding("function", function)]]
    }

    // MARK: Probabilities

    private func logprobs(_ tokens: [TokenProbabilities]) -> JSONValue {
        let content: [JSONValue] = tokens.map { token in
            TokenText.json(token.chosen, desk).adding("top_logprobs", .array(token.top.map { TokenText.json($0, desk) }))
        }
        return ["content": .array(content), "refusal": nil]
    }
}
