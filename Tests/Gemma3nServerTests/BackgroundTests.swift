import Checkpoint
import HTTPTypes
import Testing

import Gemma3nServer

@Suite struct BackgroundTests {
    private func asking(_ more: [(String, JSONValue)] = [], tokens: Int = 6) -> JSONValue {
        let members: [(String, JSONValue)] = [
            ("input", "what is this?"), ("max_output_tokens", .number(JSONNumber(tokens))), ("temperature", 0), ("logit_bias", ["1": -1000, "10": -1000]),
        ]
        return .object(JSONObject((members + more).map { .init(key: $0.0, value: $0.1) }))
    }

    /// Asks until it has ended.
    private func ended(_ id: String, _ server: ServerUnderTest) async throws -> JSONValue {
        for _ in 0..<10_000 {
            let response = await server.send(.get, "/v1/responses/\(id)").json
            if response["status"] != "queued", response["status"] != "in_progress" { return response }
            try await Task.sleep(for: .milliseconds(3))
        }
        return .null
    }

    @Test func answersWithoutAClient() async throws {
        let server = try ServerUnderTest()
        let whole = await server.post("/v1/responses", asking()).json
        let connection = Connection()
        let begun = await server.send(.post, "/v1/responses", body: Array(asking([("background", true)]).serialized().utf8), connection: connection)
        connection.close()
        #expect(begun.status == 200 && begun.json["status"] == "queued" && begun.json["background"] == true && begun.json["output"] == [])
        let response = try await ended(try #require(begun.json["id"]?.string), server)
        #expect(response["status"] == whole["status"] && response["output"]?[0]?["content"] == whole["output"]?[0]?["content"])
        #expect(response["id"] == begun.json["id"] && response["created_at"] == begun.json["created_at"])
    }

    @Test func refusals() async throws {
        let server = try ServerUnderTest()
        #expect(await server.post("/v1/responses", asking([("background", true), ("store", false)])).json["error"]?["param"] == "background")
        let id = await server.post("/v1/responses", asking()).json["id"]?.string ?? ""
        #expect(await server.send(.post, "/v1/responses/\(id)/cancel").status == 400)
        #expect(await server.send(.get, "/v1/responses/\(id)?stream=true").status == 400)
        #expect(await server.send(.post, "/v1/responses/none/cancel").status == 404)
        // What is wrong with the request is told at once where it can be; the rest is told by the response.
        #expect(await server.post("/v1/responses", asking([("background", true), ("temperature", "warm")])).status == 400)
        let long = await server.post("/v1/responses", asking([("background", true), ("input", .string(String(repeating: "what is this? ", count: 20_000)))])).json
        let failed = try await ended(try #require(long["id"]?.string), server)
        #expect(failed["status"] == "failed" && failed["error"]?["code"] == "context_length_exceeded")
    }

    @Test func streamsAreResumed() async throws {
        let server = try ServerUnderTest()
        let live = await server.post("/v1/responses", asking([("background", true), ("stream", true)])).events
        #expect(live.compactMap { $0["sequence_number"]?.int } == Array(0..<live.count))
        #expect(live.prefix(3).map { $0["type"] } == ["response.created", "response.queued", "response.in_progress"])
        #expect(live.last?["type"] == "response.incomplete")
        let id = try #require(live.first?["response"]?["id"]?.string)
        _ = try await ended(id, server)
        // Later, and from any event on, it is the same.
        for first in [nil, 0, 3, live.count - 2, live.count - 1, live.count + 5] {
            let path = "/v1/responses/\(id)?stream=true" + (first.map { "&starting_after=\($0)" } ?? "")
            let again = await server.send(.get, path).events
            #expect(again == Array(live.dropFirst(first.map { $0 + 1 } ?? 0)))
        }
        #expect(await server.send(.get, "/v1/responses/\(id)?stream=true&starting_after=-1").status == 400)
        #expect(await server.send(.get, "/v1/responses/\(id)").json == live.last?["response"])
    }

    @Test func cancelling() async throws {
        let server = try ServerUnderTest()
        let done = await server.post("/v1/responses", asking([("background", true)], tokens: 1)).json["id"]?.string ?? ""
        let response = try await ended(done, server)
        #expect(await server.send(.post, "/v1/responses/\(done)/cancel").json == response)

        let long = await server.post("/v1/responses", asking([("background", true)], tokens: 1_000_000)).json["id"]?.string ?? ""
        let cancelled = await server.send(.post, "/v1/responses/\(long)/cancel").json
        // It may have come to the end of its context before.
        #expect(cancelled["status"] == "cancelled" || cancelled["status"] == "incomplete")
        #expect(try await ended(long, server)["status"] == cancelled["status"])
        #expect(await server.send(.delete, "/v1/responses/\(long)").status == 200)
    }

    /// What a killed server had not answered in the background, the next one answers, under the same id.
    @Test func answeredByTheNextServer() async throws {
        let file = try TemporaryStore()
        let store = try Store(path: file.path)
        let killed = try ServerUnderTest(store: store)
        let whole = await killed.post("/v1/responses", asking()).json
        let conversation = await killed.post("/v1/conversations", [:]).json["id"]?.string ?? ""
        func begin(_ id: String, _ request: JSONValue, _ context: ResponseContext = ResponseContext()) async throws {
            let queued: JSONValue = ["id": .string(id), "status": "queued", "created_at": 5, "output": []]
            let items: [JSONValue] = [["id": "in", "role": "user", "content": "what is this?"]]
            try await store.begin(.init(id: id, response: queued, items: items, context: context, request: request))
        }
        try await begin("resp_a", asking([("background", true)]))
        try await begin("resp_b", asking([("background", true), ("conversation", .string(conversation))]), ResponseContext(conversation: conversation))
        try await begin("resp_c", asking([("background", true), ("model", "another")]))
        try await begin("resp_d", asking([("background", true)]))

        let image = try file.crashImage()
        let server = try ServerUnderTest(store: try Store(path: image.path))
        #expect(await server.send(.get, "/v1/responses/resp_a").json["status"] == "queued")
        #expect(await server.send(.post, "/v1/responses/resp_d/cancel").json["status"] == "cancelled")
        server.server.begin()
        for id in ["resp_a", "resp_b"] {
            let response = try await ended(id, server)
            #expect(response["id"]?.string == id && response["created_at"] == 5 && response["output"]?[0]?["content"] == whole["output"]?[0]?["content"])
        }
        #expect(try await ended("resp_c", server)["error"]?["code"] == "model_not_found")
        #expect(try await ended("resp_d", server)["status"] == "cancelled")
        #expect(await server.send(.get, "/v1/conversations/\(conversation)/items").json["data"]?.array?.count == 2)
    }

    @Test func listsOfInputItems() async throws {
        let server = try ServerUnderTest()
        let input = JSONValue.array((0..<5).map { ["role": "user", "content": .string("\($0)")] })
        let id = await server.post("/v1/responses", ["input": input, "max_output_tokens": 1]).json["id"]?.string ?? ""
        func texts(_ query: String) async -> [String] {
            (await server.send(.get, "/v1/responses/\(id)/input_items?\(query)").json["data"]?.array ?? []).compactMap { $0["content"]?[0]?["text"]?.string }
        }
        #expect(await texts("") == ["4", "3", "2", "1", "0"])
        #expect(await texts("order=asc&limit=2") == ["0", "1"])
        let page = await server.send(.get, "/v1/responses/\(id)/input_items?limit=2").json
        #expect(page["has_more"] == true)
        #expect(await texts("limit=2&after=\(page["last_id"]?.string ?? "")") == ["2", "1"])
    }
}
