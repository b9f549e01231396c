import Checkpoint
import HTTPTypes
import Testing

import Gemma3nServer

@Suite struct ConversationTests {
    private let item: JSONValue = ["role": "user", "content": "what is this?"]

    /// A request whose answer has so many tokens, always the same.
    private func asking(_ input: JSONValue, _ more: [(String, JSONValue)] = []) -> JSONValue {
        let members: [(String, JSONValue)] = [("input", input), ("max_output_tokens", 4), ("temperature", 0), ("logit_bias", ["1": -1000, "10": -1000])]
        return .object(JSONObject((members + more).map { .init(key: $0.0, value: $0.1) }))
    }

    private func create(_ server: ServerUnderTest, _ items: JSONValue = []) async throws -> String {
        try #require(await server.post("/v1/conversations", ["items": items, "metadata": ["topic": "tests"]]).json["id"]?.string)
    }

    @Test func conversations() async throws {
        let server = try ServerUnderTest()
        let made = await server.post("/v1/conversations", ["metadata": ["topic": "tests"]])
        #expect(made.status == 200 && made.json["object"] == "conversation" && made.json["metadata"] == ["topic": "tests"])
        let path = "/v1/conversations/" + (try #require(made.json["id"]?.string))
        #expect(await server.send(.get, path).json == made.json)
        #expect(await server.post(path, ["metadata": ["topic": "other"]]).json["metadata"] == ["topic": "other"])
        #expect(await server.send(.get, path).json["metadata"] == ["topic": "other"])
        #expect(await server.send(.delete, path).json["deleted"] == true)
        #expect(await server.send(.get, path).json["error"]?["code"] == "conversation_not_found")
        #expect(await server.send(.delete, path).status == 404)
        #expect(await server.post(path, ["metadata": [:]]).status == 404)
    }

    @Test func items() async throws {
        let server = try ServerUnderTest()
        let path = "/v1/conversations/\(try await create(server, [item]))/items"
        let call: JSONValue = ["type": "function_call", "id": nil, "call_id": "c", "name": "f", "arguments": "{}"]
        let output: JSONValue = ["type": "function_call_output", "call_id": "c", "output": "1"]
        let added = await server.post(path, ["items": [call, output]])
        #expect(added.status == 200 && added.json["data"]?.array?.count == 2)
        #expect(added.json["data"]?[0]?["id"]?.string?.hasPrefix("fc_") == true && added.json["data"]?[1]?["id"]?.string?.hasPrefix("fco_") == true)
        let all = await server.send(.get, "\(path)?order=asc").json
        let ids = (all["data"]?.array ?? []).compactMap { $0["id"]?.string }
        #expect(ids.count == 3 && all["has_more"] == false && all["first_id"]?.string == ids.first && all["last_id"]?.string == ids.last)
        #expect(all["data"]?[0]?["content"] == [["type": "input_text", "text": "what is this?"]] && all["data"]?[0]?["status"] == "completed")
        #expect(await server.send(.get, "\(path)?limit=2").json["data"]?.array?.compactMap { $0["id"]?.string } == [ids[2], ids[1]])
        let rest = await server.send(.get, "\(path)?limit=2&after=\(ids[1])").json
        #expect(rest["data"]?.array?.count == 1 && rest["data"]?[0]?["id"]?.string == ids[0] && rest["has_more"] == false)
        #expect(await server.send(.get, "\(path)?limit=2&order=asc").json["has_more"] == true)
        #expect(await server.send(.get, "\(path)/\(ids[1])").json["call_id"] == "c")
        #expect(await server.send(.delete, "\(path)/\(ids[1])").json["object"] == "conversation")
        #expect(await server.send(.get, "\(path)/\(ids[1])").status == 404)
        for wrong in ["limit=0", "limit=101", "limit=x", "order=up", "after=none"] { #expect(await server.send(.get, "\(path)?\(wrong)").status == 400) }
    }

    @Test func wrongItems() async throws {
        let server = try ServerUnderTest()
        let path = "/v1/conversations/\(try await create(server))/items"
        let many = JSONValue.array(Array(repeating: item, count: 21))
        for (items, field): (JSONValue, String) in [
            (many, "items"), ([], "items"), (5, "items"), ([5], "items[0]"), ([["type": "other"]], "items[0].type"), ([["role": "user"]], "items[0].content"),
            ([["role": "user", "content": [["type": "input_image", "image_url": "file:///etc/passwd"]]]], "items[0].content[0]"),
        ] {
            let answer = await server.post(path, ["items": items])
            #expect(answer.status == 400 && answer.json["error"]?["param"]?.string?.hasPrefix(field) == true, "\(answer.text)")
        }
        for metadata: JSONValue in [5, ["k": 5], ["k": .string(String(repeating: "x", count: 513))], .object(JSONObject((0..<17).map { .init(key: "\($0)", value: "") }))] {
            #expect(await server.post("/v1/conversations", ["metadata": metadata]).status == 400)
        }
        #expect(await server.send(.get, path).json["data"] == [])
    }

    /// A prompt is the same, whether a conversation, the response before, or the request itself holds what was said.
    @Test func promptsAreTheSame() async throws {
        let server = try ServerUnderTest()
        let id = try await create(server, [item])
        let first = await server.post("/v1/responses", asking("and this?", [("conversation", .string(id))])).json
        #expect(first["conversation"] == ["id": .string(id)] && first["status"] == "incomplete")
        let second = await server.post("/v1/responses", asking("and that?", [("conversation", ["id": .string(id)])])).json
        let said = await server.send(.get, "/v1/conversations/\(id)/items?order=asc").json["data"]?.array ?? []
        #expect(said.map { $0["role"]?.string } == ["user", "user", "assistant", "user", "assistant"])
        #expect(said.last?["id"] == second["output"]?[0]?["id"])

        let whole = await server.post("/v1/responses", asking(.array(Array(said.dropLast())))).json
        let chained = await server.post("/v1/responses", asking("and that?", [("previous_response_id", first["id"] ?? nil)])).json
        for other in [whole, chained] {
            #expect(other["output"]?[0]?["content"] == second["output"]?[0]?["content"])
            #expect(other["usage"]?["input_tokens"] == second["usage"]?["input_tokens"])
        }
        let counted = await server.post("/v1/responses/input_tokens", ["input": "and that?", "previous_response_id": first["id"] ?? nil])
        #expect(counted.json["input_tokens"] == second["usage"]?["input_tokens"])
    }

    @Test func streamsAndUnstoredResponses() async throws {
        let server = try ServerUnderTest()
        let id = try await create(server)
        let events = await server.post("/v1/responses", asking("what?", [("conversation", .string(id)), ("stream", true)])).events
        #expect(events.last?["response"]?["conversation"] == ["id": .string(id)])
        let hidden = await server.post("/v1/responses", asking("what?", [("conversation", .string(id)), ("store", false)])).json
        #expect(await server.send(.get, "/v1/responses/\(hidden["id"]?.string ?? "")").status == 404)
        #expect(await server.send(.get, "/v1/conversations/\(id)/items").json["data"]?.array?.count == 4)
        // A conversation may be continued without anything new.
        #expect(await server.post("/v1/responses", ["conversation": .string(id), "max_output_tokens": 1]).status == 200)
    }

    @Test func figures() async throws {
        let server = try ServerUnderTest()
        _ = await server.post("/v1/responses", asking("x", [("conversation", .string(try await create(server)))]))
        let lines = await server.send(.get, "/metrics").text.split(separator: "\n")
        #expect(lines.contains("gemma3n_store_responses 1") && lines.contains("gemma3n_store_conversations 1"))
        #expect(lines.contains { $0.hasPrefix("gemma3n_store_bytes ") && $0 != "gemma3n_store_bytes 0" })
    }

    @Test func refusals() async throws {
        let server = try ServerUnderTest()
        let id = try await create(server)
        let first = await server.post("/v1/responses", asking("x")).json["id"] ?? nil
        #expect(await server.post("/v1/responses", asking("x", [("conversation", .string(id)), ("previous_response_id", first)])).status == 400)
        #expect(await server.post("/v1/responses", asking("x", [("conversation", "conv_none")])).json["error"]?["code"] == "conversation_not_found")
        for wrong: JSONValue in [5, [:], ["id": 5]] { #expect(await server.post("/v1/responses", asking("x", [("conversation", wrong)])).status == 400) }
        // A request that is refused leaves the conversation as it was, and open.
        #expect(await server.post("/v1/responses", asking("x", [("conversation", .string(id)), ("max_output_tokens", "many")])).status == 400)
        let long = JSONValue.string(String(repeating: "what is this? ", count: 20_000))
        #expect(await server.post("/v1/responses", asking(long, [("conversation", .string(id))])).status == 400)
        #expect(await server.send(.get, "/v1/conversations/\(id)/items").json["data"] == [])
        #expect(await server.post("/v1/responses", asking("x", [("conversation", .string(id))])).status == 200)
    }

    @Test func lockedWhileAResponseIsMade() async throws {
        let store = try Store()
        let server = try ServerUnderTest(store: store)
        let id = try await create(server)
        try await store.begin(.init(id: "resp_a", response: ["status": "in_progress"], context: ResponseContext(conversation: id)))
        let answer = await server.post("/v1/responses", asking("x", [("conversation", .string(id))]))
        #expect(answer.status == 409 && answer.json["error"]?["code"] == "conversation_locked")
        #expect(await server.send(.delete, "/v1/conversations/\(id)").status == 409)
        #expect(await server.send(.get, "/v1/conversations/\(id)/items").status == 200)
        try await store.cancel("resp_a")
        #expect(await server.post("/v1/responses", asking("x", [("conversation", .string(id))])).status == 200)
    }

    /// A client that goes away cancels its response, and leaves the conversation open.
    @Test func clientsThatGoAway() async throws {
        let server = try ServerUnderTest()
        let id = try await create(server)
        let gone = Connection()
        gone.close()
        let body = asking("x", [("conversation", .string(id)), ("max_output_tokens", 100_000)])
        _ = await server.send(.post, "/v1/responses", body: Array(body.serialized().utf8), connection: gone)
        // A reply whose body is never written.
        let log = Exchange(.post, "/v1/responses", body: Array(asking("x", [("conversation", .string(id)), ("stream", true)]).serialized().utf8), log: ServerUnderTest.log)
        do { _ = await server.server.service.reply(to: log) }
        var status = 0
        for _ in 0..<1000 where status != 200 {
            status = await server.post("/v1/responses", asking("x", [("conversation", .string(id))])).status
            if status != 200 { try await Task.sleep(for: .milliseconds(5)) }
        }
        #expect(status == 200)
        #expect(await server.send(.get, "/v1/conversations/\(id)/items").json["data"]?.array?.count == 2)
    }
}
