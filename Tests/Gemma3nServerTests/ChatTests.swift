import Checkpoint
import HTTPTypes
import Testing

import Gemma3nServer

@Suite struct ChatTests {
    @Test func answersWholeAndBitByBitAlike() async throws {
        let server = try ServerUnderTest()
        let whole = await server.post("/v1/chat/completions", question())
        #expect(whole.status == 200)
        #expect(whole.json["object"] == "chat.completion" && whole.json["model"] == "tiny")
        #expect(whole.json["choices"]?[0]?["finish_reason"] == "length")
        #expect(whole.json["usage"]?["completion_tokens"] == 6)
        let text = try #require(whole.json["choices"]?[0]?["message"]?["content"]?.string)

        let stream = await server.post("/v1/chat/completions", question([("stream", true), ("stream_options", ["include_usage": true])]))
        let events = stream.events
        #expect(stream.text.hasSuffix("data: [DONE]\n\n"))
        #expect(events.first?["choices"]?[0]?["delta"]?["role"] == "assistant")
        #expect(events.compactMap { $0["choices"]?[0]?["delta"]?["content"]?.string }.joined() == text)
        #expect(events.compactMap { $0["choices"]?[0]?["finish_reason"]?.string } == ["length"])
        #expect(events.last?["choices"]?.array?.isEmpty == true && events.last?["usage"]?["completion_tokens"] == 6)
    }

    @Test func probabilitiesAndSeveralAnswers() async throws {
        let server = try ServerUnderTest()
        let more: [(String, JSONValue)] = [("n", 3), ("logprobs", true), ("top_logprobs", 2), ("temperature", 1.5), ("seed", 5)]
        let a = await server.post("/v1/chat/completions", question(more))
        let b = await server.post("/v1/chat/completions", question(more))
        #expect(a.json["choices"]?.array?.count == 3 && a.json["choices"] == b.json["choices"])
        let tokens = a.json["choices"]?[2]?["logprobs"]?["content"]?.array
        #expect(tokens?.count == 6 && tokens?.allSatisfy { $0["top_logprobs"]?.array?.count == 2 } == true)
    }

    @Test func shapes() async throws {
        let server = try ServerUnderTest()
        let schema: JSONValue = ["type": "object", "properties": ["k": ["enum": ["a", "b"]]], "required": ["k"], "additionalProperties": false]
        let format: JSONValue = ["type": "json_schema", "json_schema": ["name": "x", "strict": true, "schema": schema]]
        let answer = await server.post("/v1/chat/completions", question([("response_format", format)], tokens: 100))
        let content = answer.json["choices"]?[0]?["message"]?["content"]?.string ?? ""
        #expect(content == #"{"k":"a"}"# || content == #"{"k":"b"}"#)
        let bad = await server.post(
            "/v1/chat/completions", question([("response_format", ["type": "json_schema", "json_schema": ["schema": ["type": "thing"]]])]))
        #expect(bad.status == 400 && bad.json["error"]?["code"] == "invalid_schema")
    }

    @Test func namesWhatIsWrong() async throws {
        let server = try ServerUnderTest()
        func refused(_ key: String, _ value: JSONValue, _ path: String = "/v1/chat/completions") async -> (Int, String?, String?) {
            let answer = await server.post(path, question([(key, value)]))
            return (answer.status, answer.json["error"]?["param"]?.string, answer.json["error"]?["code"]?.string)
        }
        #expect(await refused("model", "other") == (404, "model", "model_not_found"))
        #expect(await refused("model", "tiny:E9000B") == (404, "model", "model_not_found"))
        #expect(await refused("temperature", "x") == (400, "temperature", "invalid_type"))
        #expect(await refused("temperature", -1) == (400, "temperature", "invalid_value"))
        #expect(await refused("max_tokens", 1.5) == (400, "max_tokens", "invalid_type"))
        #expect(await refused("max_tokens", -1) == (400, "max_tokens", "invalid_value"))
        #expect(await refused("n", 0) == (400, "n", "invalid_value"))
        #expect(await refused("stop", ["a", 1]) == (400, "stop[1]", "invalid_type"))
        #expect(await refused("logit_bias", ["x": 1]) == (400, "logit_bias", "invalid_value"))
        #expect(await refused("logit_bias", ["1": "x"]) == (400, "logit_bias.1", "invalid_type"))
        #expect(await refused("stream_options", ["include_usage": 1]) == (400, "stream_options.include_usage", "invalid_type"))
        #expect(await refused("response_format", ["type": "xml"]) == (400, "response_format.type", "invalid_value"))
        #expect(await refused("size", "huge") == (400, "size", "invalid_value"))
        #expect(await refused("messages", []).0 == 400)
        #expect(await refused("messages", [["role": "king", "content": "x"]]).1 == "messages[0].role")
        #expect(await refused("messages", [["role": "user", "content": 5]]).1 == "messages[0].content")
        let url: JSONValue = [["role": "user", "content": [["type": "image_url", "image_url": ["url": "/etc/passwd"]]]]]
        #expect(await refused("messages", url).1 == "messages[0].content[0]")
        for remote in ["https://example.org/x.png", "file:///etc/passwd", "data:image/png;base64,!!"] {
            let messages: JSONValue = [["role": "user", "content": [["type": "image_url", "image_url": .string(remote)]]]]
            #expect(await refused("messages", messages).0 == 400)
        }
        #expect(await refused("messages", [["role": "user", "content": [["type": "image_url", "image_url": "data:image/png;base64,AAAA"]]]]).0 == 400)
    }

    @Test func unknownFieldsAndNullsAreIgnored() async throws {
        let server = try ServerUnderTest()
        let answer = await server.post(
            "/v1/chat/completions", question([("store", true), ("metadata", ["a": "b"]), ("stop", nil), ("tools", nil), ("n", nil), ("nonsense", [1, [2]])]))
        #expect(answer.status == 200)
    }

    @Test func aClientThatLeftIsNotAnswered() async throws {
        let server = try ServerUnderTest()
        let connection = Connection()
        connection.close()
        let answer = await server.send(
            .post, "/v1/chat/completions", body: Array(question(tokens: 100_000).serialized().utf8), connection: connection)
        #expect(answer.status == 499)
    }
}
