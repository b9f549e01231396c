internal import Checkpoint
internal import Gemma3nHost
internal import HTTPTypes

/// `/v1/responses`
struct ResponsesRoutes {
    let desk: Desk
    let store: Store
    let background: BackgroundAnswers

    var routes: [Route] {
        [
            Route(.post, "/v1/responses") { [self] in try await answer($0) },
            Route(.post, "/v1/responses/input_tokens") { [self] exchange in
                let request = try await request(try await desk.fields(of: exchange))
                return .json(["object": "response.input_tokens", "input_tokens": .number(JSONNumber(try await desk.tokenCount(request.work)))])
            },
            Route(.get, "/v1/responses/{id}") { [self] in try await tell($0) },
            Route(.get, "/v1/responses/{id}/input_items") { [self] exchange in
                .json(try ListWish(exchange.query).page(of: try await kept(exchange).items))
            },
            Route(.post, "/v1/responses/{id}/cancel") { [self] exchange in
                guard try await kept(exchange).isBackground else {
                    throw Refusal(400, "Only responses that are made in the background can be cancelled. Others end when their client goes away.", code: "not_in_background")
                }
                try await background.cancel(exchange.parameters["id"] ?? "")
                return .json(try await kept(exchange).response)
            },
            Route(.delete, "/v1/responses/{id}") { [self] exchange in
                let id = exchange.parameters["id"] ?? ""
                try await background.cancel(id)
                guard try await store.delete(response: id) else { throw Self.unknown(id) }
                return .json(["id": .string(id), "object": "response", "deleted": true])
            },
        ]
    }

    private static func unknown(_ id: String) -> Refusal {
        Refusal(404, "The response '\(id.prefix(80))' is not known: it was never stored, was deleted, or made room for newer ones.", code: "response_not_found")
    }

    private func kept(_ exchange: Exchange) async throws -> Store.KeptResponse {
        let id = exchange.parameters["id"] ?? ""
        guard let kept = try await store.response(id) else { throw Self.unknown(id) }
        return kept
    }

    private func request(_ fields: Fields) async throws -> ResponsesRequest {
        try ResponsesRequest(fields, desk, context: try await ResponseContext.read(fields, store))
    }

    private func answer(_ exchange: Exchange) async throws -> Reply {
        let fields = try await desk.fields(of: exchange)
        let request = try await request(fields)
        if request.isBackground {
            let run = try await background.begin(request, .object(fields.object), exchange)
            return request.streams ? follow(run, from: 0, exchange) : .json(run.writer.frame("queued"))
        }
        let answering = try desk.begin(request.work, for: exchange)
        let writer = ResponsesWriter(request: request)
        let draft = try await ResponseDraft(writer, store)
        do {
            if request.streams {
                _ = try await answering.begun()
            } else {
                guard let answer = try await answering.collect().first else { throw CancellationError() }
                let response = writer.response(answer)
                try await draft.end(response)
                return .json(response)
            }
        } catch {
            await draft.withdraw()
            throw error
        }
        return .events { send in try await writer.stream(answering, to: send) { try await draft.end($0) } }
    }

    /// A response as it is, or what it tells as it is made.
    private func tell(_ exchange: Exchange) async throws -> Reply {
        let run = background[exchange.parameters["id"] ?? ""]
        let kept = try await kept(exchange)
        guard try exchange.query.bool("stream") == true else { return .json(run?.response ?? kept.response) }
        let first = try exchange.query.int("starting_after", 0...(1 << 40)).map { $0 + 1 } ?? 0
        if let run, run.writer.request.streams { return follow(run, from: first, exchange) }
        guard let events = kept.events else {
            throw Refusal(400, "Only a response that was asked for with background and stream can be streamed again.", field: "stream", code: "not_streamed")
        }
        return .events { send in
            for event in ResponsesWriter.events(events, kept.response, from: first) { try await send(event) }
        }
    }

    private func follow(_ run: BackgroundRun, from first: Int, _ exchange: Exchange) -> Reply {
        .events { send in
            for await event in run.follow(from: first, exchange.connection) { try await send(event) }
        }
    }
}
