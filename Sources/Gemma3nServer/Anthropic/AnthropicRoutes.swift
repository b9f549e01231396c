internal import Checkpoint
internal import Gemma3nHost
internal import HTTPTypes

/// `/v1/messages` and `/v1/messages/count_tokens`
struct AnthropicRoutes {
    let desk: Desk

    var routes: [Route] {
        [
            Route(.post, "/v1/messages") { [self] in try await answer($0) },
            Route(.post, "/v1/messages/count_tokens") { [desk] exchange in
                let request = try AnthropicRequest(try await desk.fields(of: exchange), desk, needsMaximum: false)
                return .json(["input_tokens": .number(JSONNumber(try await desk.tokenCount(request.work)))])
            },
        ]
    }

    private func answer(_ exchange: Exchange) async throws -> Reply {
        let request = try AnthropicRequest(try await desk.fields(of: exchange), desk)
        let answering = try desk.begin(request.work, for: exchange)
        let writer = AnthropicWriter(id: RequestID.random("msg_"), model: request.model, requestID: exchange.id)
        guard request.streams else {
            guard let answer = try await answering.collect().first else { throw CancellationError() }
            return .json(writer.message(answer))
        }
        _ = try await answering.begun()
        return .events { try await writer.stream(answering, to: $0) }
    }
}

/// Writes messages in Anthropic's shape.
private struct AnthropicWriter: Sendable {
    let id: String
    let model: String
    let requestID: String

    func message(_ answer: FinishedAnswer) -> JSONValue {
        var content: [JSONValue] = []
        if !answer.text.isEmpty || answer.calls.isEmpty { content.append(["type": "text", "text": .string(answer.text)]) }
        for call in answer.calls {
            content.append(["type": "tool_use", "id": .string(call.id), "name": .string(call.name), "input": call.arguments])
        }
        let statistics = answer.response.statistics
        return frame(
            .array(content), stopReason: .string(stopReason(answer)), stopSequence: stopSequence(answer), prompt: statistics.promptTokens, cached: statistics.cachedTokens,
            output: statistics.responseTokens)
    }

    private func stopReason(_ answer: FinishedAnswer) -> String {
        switch answer.finishReason {
        case "tool_calls": "tool_use"
        case "length": "max_tokens"
        case _ where answer.response.stopSequence != nil: "stop_sequence"
        default: "end_turn"
        }
    }

    private func stopSequence(_ answer: FinishedAnswer) -> JSONValue {
        stopReason(answer) == "stop_sequence" ? answer.response.stopSequence.map { .string($0) } ?? .null : .null
    }

    private func frame(
        _ content: JSONValue, stopReason: JSONValue, stopSequence: JSONValue = .null, prompt: Int, cached: Int, output: Int
    ) -> JSONValue {
        [
            "id": .string(id), "type": "message", "role": "assistant", "model": .string(model), "content": content, "stop_reason": stopReason,
            "stop_sequence": stopSequence, "usage": usage(prompt: prompt, cached: cached, output: output),
        ]
    }

    private func usage(prompt: Int, cached: Int, output: Int) -> JSONValue {
        [
            "input_tokens": .number(JSONNumber(prompt - cached)), "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": .number(JSONNumber(cached)), "output_tokens": .number(JSONNumber(output)),
        ]
    }

    func stream(_ answering: Answering, to send: ReplySink) async throws {
        func event(_ type: String, _ members: (String, JSONValue)...) async throws {
            let all = [("type", JSONValue.string(type))] + members
            try await send(ServerSentEvent.text(event: type, data: .object(JSONObject(all.map { .init(key: $0.0, value: $0.1) }))))
        }
        func index(_ value: Int) -> (String, JSONValue) { ("index", .number(JSONNumber(value))) }
        /// The block that is open, and how many there were.
        var open: Int?
        var count = 0
        func close() async throws {
            if let block = open { try await event("content_block_stop", index(block)) }
            open = nil
        }
        func begin(_ block: JSONValue) async throws {
            try await close()
            try await event("content_block_start", index(count), ("content_block", block))
            open = count
            count += 1
        }

        do {
            while let piece = try await answering.next() {
                switch piece.piece {
                case .begun(let statistics):
                    try await event(
                        "message_start",
                        ("message", frame([], stopReason: nil, prompt: statistics.promptTokens, cached: statistics.cachedTokens, output: 0)))
                    try await event("ping")
                case .text(let text, _):
                    if open == nil { try await begin(["type": "text", "text": ""]) }
                    try await event("content_block_delta", index(open ?? 0), ("delta", ["type": "text_delta", "text": .string(text)]))
                case .callBegan(_, let id, let name):
                    try await begin(["type": "tool_use", "id": .string(id), "name": .string(name), "input": [:]])
                case .arguments(_, let more):
                    try await event("content_block_delta", index(open ?? 0), ("delta", ["type": "input_json_delta", "partial_json": .string(more)]))
                case .callEnded: try await close()
                case .wait: try await event("ping")
                case .end(let answer):
                    if count == 0 { try await begin(["type": "text", "text": ""]) }
                    try await close()
                    let statistics = answer.response.statistics
                    try await event(
                        "message_delta", ("delta", ["stop_reason": .string(stopReason(answer)), "stop_sequence": stopSequence(answer)]),
                        ("usage", usage(prompt: statistics.promptTokens, cached: statistics.cachedTokens, output: statistics.responseTokens)))
                    try await event("message_stop")
                }
            }
        } catch {
            try await send(ServerSentEvent.text(event: "error", data: Dialect.anthropic.body(Refusal(error), requestID: requestID)))
        }
    }
}
