internal import Checkpoint
internal import Gemma3nHost
internal import HTTPTypes

/// `/v1/responses`
struct ResponsesRoutes {
    let desk: Desk
    let store = ResponseStore()

    var routes: [Route] {
        [
            Route(.post, "/v1/responses") { [self] in try await answer($0) },
            Route(.post, "/v1/responses/input_tokens") { [self] exchange in
                let request = try request(exchange)
                return .json(["object": "response.input_tokens", "input_tokens": .number(JSONNumber(try await desk.tokenCount(request.work)))])
            },
            Route(.get, "/v1/responses/{id}") { [self] in .json(try entry($0).response) },
            Route(.get, "/v1/responses/{id}/input_items") { [self] exchange in
                let items = try entry(exchange).items.enumerated().map { index, item in
                    item["id"] == nil ? item.adding("id", .string("item_\(index)")) : item
                }
                return .json([
                    "object": "list", "data": .array(items), "first_id": items.first?["id"] ?? .null, "last_id": items.last?["id"] ?? .null,
                    "has_more": false,
                ])
            },
            Route(.delete, "/v1/responses/{id}") { [self] exchange in
                let id = exchange.parameters["id"] ?? ""
                guard store.remove(id) else { throw Self.unknown(id) }
                return .json(["id": .string(id), "object": "response", "deleted": true])
            },
        ]
    }

    private static func unknown(_ id: String) -> Refusal {
        Refusal(404, "The response '\(id.prefix(80))' is not known: it was never stored, or made room for newer ones.", code: "response_not_found")
    }

    private func entry(_ exchange: Exchange) throws(Refusal) -> ResponseStore.Entry {
        let id = exchange.parameters["id"] ?? ""
        guard let entry = store[id] else { throw Self.unknown(id) }
        return entry
    }

    private func request(_ exchange: Exchange) throws(Refusal) -> ResponsesRequest {
        try ResponsesRequest(try exchange.fields(), desk) { store[$0]?.conversation }
    }

    private func answer(_ exchange: Exchange) async throws -> Reply {
        let request = try request(exchange)
        let answering = try desk.begin(request.work, for: exchange)
        let writer = ResponsesWriter(request: request)
        guard request.streams else {
            guard let answer = try await answering.collect().first else { throw CancellationError() }
            let response = writer.response(answer)
            keep(writer, response, answer)
            return .json(response)
        }
        _ = try await answering.begun()
        return .events { send in
            try await writer.stream(answering, to: send) { keep(writer, $0, $1) }
        }
    }

    private func keep(_ writer: ResponsesWriter, _ response: JSONValue, _ answer: FinishedAnswer) {
        guard writer.request.stores else { return }
        var draft = MessageDraft("assistant")
        if !answer.text.isEmpty { draft.add(text: answer.text) }
        for call in answer.calls { draft.add(callTo: call.name, arguments: call.argumentsText, id: call.id) }
        store.add(writer.id, response: response, items: writer.request.items, conversation: writer.request.conversation + [draft.json])
    }
}
