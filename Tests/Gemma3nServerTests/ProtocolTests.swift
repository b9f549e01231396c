import Checkpoint
import HTTPTypes
import TestSupport
import Testing

import Gemma3nServer

/// The other protocols give the answer that chat completions give.
@Suite struct ProtocolTests {
    private let messages: JSONValue = [["role": "user", "content": "what is this?"]]

    @Test func ollama() async throws {
        let server = try ServerUnderTest()
        let options: JSONValue = ["temperature": 0, "num_predict": 5]
        let whole = await server.post("/api/chat", ["model": "tiny", "messages": messages, "options": options, "stream": false])
        #expect(whole.status == 200 && whole.json["done"] == true && whole.json["eval_count"]?.int != nil)
        let lines = await server.post("/api/chat", ["model": "tiny:latest", "messages": messages, "options": options]).lines
        #expect(lines.compactMap { $0["message"]?["content"]?.string }.joined() == whole.json["message"]?["content"]?.string)
        #expect(lines.last?["done"] == true && lines.dropLast().allSatisfy { $0["done"] == false })
        let generated = await server.post("/api/generate", ["model": "tiny", "prompt": "what is this?", "options": options, "stream": false])
        #expect(generated.json["response"] == whole.json["message"]?["content"])
        #expect(await server.post("/api/generate", ["model": "tiny", "keep_alive": 0]).json["done_reason"] == "unload")
        #expect(await server.post("/api/show", ["model": "tiny"]).json["details"]?["family"] == "gemma3n")
        #expect(await server.send(.get, "/api/tags").json["models"]?[0]?["digest"]?.string?.count == 64)
        let wrong = await server.post("/api/chat", ["model": "other", "messages": messages])
        #expect(wrong.status == 404 && wrong.json["error"]?.string != nil)
    }

    @Test func anthropic() async throws {
        let server = try ServerUnderTest()
        let whole = await server.post("/v1/messages", ["model": "tiny", "messages": messages, "max_tokens": 5, "temperature": 0])
        #expect(whole.status == 200 && whole.json["type"] == "message")
        let events = await server.post("/v1/messages", ["model": "tiny", "messages": messages, "max_tokens": 5, "temperature": 0, "stream": true]).events
        #expect(events.first?["type"] == "message_start" && events.last?["type"] == "message_stop")
        #expect(events.compactMap { $0["delta"]?["text"]?.string }.joined() == whole.json["content"]?[0]?["text"]?.string)
        // The second one finds the first one's prompt.
        let (usage, before) = (events.first?["message"]?["usage"], whole.json["usage"])
        #expect((usage?["input_tokens"]?.int ?? 0) + (usage?["cache_read_input_tokens"]?.int ?? 0) == before?["input_tokens"]?.int)
        let wrong = await server.post("/v1/messages", ["model": "tiny", "messages": messages])
        #expect(wrong.status == 400 && wrong.json["type"] == "error" && wrong.json["error"]?["type"] == "invalid_request_error")
    }

    @Test func responses() async throws {
        let server = try ServerUnderTest()
        let whole = await server.post("/v1/responses", ["model": "tiny", "input": "what is this?", "max_output_tokens": 5, "temperature": 0])
        #expect(whole.status == 200 && whole.json["object"] == "response")
        let id = try #require(whole.json["id"]?.string)
        #expect(await server.send(.get, "/v1/responses/\(id)").json == whole.json)
        let events = await server.post(
            "/v1/responses", ["model": "tiny", "input": "what is this?", "max_output_tokens": 5, "temperature": 0, "stream": true]
        ).events
        #expect(events.compactMap { $0["sequence_number"]?.int } == Array(0..<events.count))
        #expect(events.first?["type"] == "response.created")
        #expect(events.last?["response"]?["output"]?[0]?["content"] == whole.json["output"]?[0]?["content"])
        let next = await server.post("/v1/responses", ["model": "tiny", "input": "and this?", "previous_response_id": .string(id), "max_output_tokens": 2])
        #expect((next.json["usage"]?["input_tokens"]?.int ?? 0) > (whole.json["usage"]?["input_tokens"]?.int ?? 0))
        #expect(await server.send(.delete, "/v1/responses/\(id)").json["deleted"] == true)
        #expect(await server.post("/v1/responses", ["input": "x", "previous_response_id": .string(id)]).status == 404)
    }

    @Test func embeddingsAndCompletions() async throws {
        let server = try ServerUnderTest()
        let floats = await server.post("/v1/embeddings", ["model": "tiny", "input": ["the water", "the sea"]])
        #expect(floats.status == 200 && floats.json["data"]?.array?.count == 2)
        #expect(await server.post("/v1/embeddings", ["model": "tiny", "input": [[1, 2], [3]]]).json["data"]?.array?.count == 2)
        #expect(await server.post("/v1/embeddings", ["model": "tiny", "input": "x", "dimensions": 4]).json["data"]?[0]?["embedding"]?.array?.count == 4)
        for bad: JSONValue in [[], 5, [[]], ["a", 1], [1, "a"], [-1], [1_000_000_000]] {
            #expect(await server.post("/v1/embeddings", ["model": "tiny", "input": bad]).status == 400)
        }
        let text = await server.post("/v1/completions", ["model": "tiny", "prompt": ["the", "a"], "max_tokens": 3, "temperature": 0, "echo": true, "logprobs": 2])
        #expect(text.json["choices"]?.array?.count == 2 && text.json["choices"]?[0]?["text"]?.string?.hasPrefix("the") == true)
    }

    @Test func transcription() async throws {
        let server = try ServerUnderTest()
        var wave = Array("RIFF".utf8) + [0, 0, 0, 0] + Array("WAVEfmt ".utf8) + [16, 0, 0, 0, 1, 0, 1, 0, 0x80, 0x3E, 0, 0, 0, 0x7D, 0, 0, 2, 0, 16, 0]
        wave += Array("data".utf8) + [0x80, 0x3E, 0, 0] + (0..<16000).map { UInt8(truncatingIfNeeded: $0 * 7) }
        func heard(_ format: String, path: String = "/v1/audio/transcriptions") async -> ServerUnderTest.Answer {
            var body = Array("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n".utf8) + wave
            body += Array("\r\n--b\r\nContent-Disposition: form-data; name=\"response_format\"\r\n\r\n\(format)\r\n--b--\r\n".utf8)
            return await server.send(.post, path, body: body, headers: [.contentType: "multipart/form-data; boundary=b"])
        }
        let verbose = await heard("verbose_json")
        #expect(verbose.status == 200 && verbose.json["duration"] == 0.5 && verbose.json["segments"]?.array?.count == 1)
        #expect(await heard("srt").text.hasPrefix("1\n00:00:00,000 --> 00:00:00,500\n"))
        #expect(await heard("vtt").text.hasPrefix("WEBVTT\n\n00:00:00.000 --> 00:00:00.500\n"))
        #expect(await heard("json", path: "/v1/audio/translations").json["text"]?.string != nil)
        #expect(await heard("midi").status == 400)
    }

    /// Bodies damaged at random, and bodies of the wrong make: every one is answered, none with a failure of the server's.
    @Test(arguments: ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages", "/api/chat", "/api/generate", "/api/embed", "/api/show"])
    func hostileBodies(path: String) async throws {
        let server = try ServerUnderTest()
        let whole: JSONValue = [
            "model": "tiny", "max_tokens": 1, "max_output_tokens": 1, "options": ["num_predict": 1, "stop": ["x"], "temperature": 0.5], "stream": false,
            "messages": [["role": "user", "content": [["type": "text", "text": "a"]], "images": []]], "input": "a", "prompt": "a", "n": 1, "stop": ["x"],
            "logit_bias": ["1": 1], "tools": [["type": "function", "name": "f", "input_schema": [:], "function": ["name": "f", "parameters": [:]]]],
            "tool_choice": ["type": "auto"], "response_format": ["type": "text"], "format": "json", "text": ["format": ["type": "text"]],
        ]
        let bytes = Array(whole.serialized().utf8)
        var mutations = Mutations(seed: 7)
        var bodies: [[UInt8]] = [[], [0], Array("null".utf8), Array("[]".utf8), Array("\u{FEFF}{}".utf8), Array(repeating: UInt8(ascii: "["), count: 200_000)]
        bodies += [Array("{\"messages\":1e999}".utf8), Array("{\"max_tokens\":99999999999999999999,\"messages\":[]}".utf8), Array("{\"a\":\"\\u0000\"}".utf8)]
        for _ in 0..<150 { bodies.append(mutations.mutate(bytes)) }
        for key in whole.object?.keys ?? [] {
            for value: JSONValue in [nil, true, -1, 1e300, "", [], [:], [[[]]], ["type": 5]] {
                bodies.append(Array(whole.adding(key, value).serialized().utf8))
            }
        }
        for body in bodies {
            let answer = await server.send(.post, path, body: body)
            let isAnswered = answer.status == 200 || (400..<500).contains(answer.status) && answer.json["error"] != nil
            #expect(isAnswered, "\(answer.status) \(answer.text.prefix(200)) to \(String(decoding: body.prefix(300), as: UTF8.self))")
        }
    }
}
