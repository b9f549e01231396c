import Checkpoint
import Gemma3nHost
import HTTPTypes
import Testing

import Gemma3nServer

/// Corners of the protocols that clients rarely visit.
@Suite struct CornerTests {
    private let messages: JSONValue = [["role": "user", "content": "what is this?"]]

    // MARK: OpenAI

    @Test func fieldsWithoutUseMustStillBeOfTheirType() async throws {
        let server = try ServerUnderTest()
        for key in ["store", "user", "service_tier", "metadata", "audio", "prediction", "moderation", "prompt_cache_key", "safety_identifier", "reasoning_effort", "verbosity", "web_search_options"] {
            let answer = await server.post("/v1/chat/completions", question([(key, [1])]))
            #expect(answer.status == 400 && answer.json["error"]?["param"]?.string == key, "\(key)")
        }
        let answer = await server.post("/v1/chat/completions", question([("stream_options", ["include_obfuscation": 1])]))
        #expect(answer.json["error"]?["param"] == "stream_options.include_obfuscation")
        #expect(await server.post("/v1/chat/completions", question([("modalities", ["text", "audio"])])).json["error"]?["param"] == "modalities")
        #expect(await server.post("/v1/chat/completions", question([("prediction", ["type": "content", "content": "x"]), ("user", "u")])).status == 200)
    }

    @Test func fieldsOfMessagesMustBeOfTheirType() async throws {
        let server = try ServerUnderTest()
        func field(_ message: JSONValue) async -> String? {
            await server.post("/v1/chat/completions", question([("messages", [message])])).json["error"]?["param"]?.string
        }
        #expect(await field(["role": "user", "content": "a", "name": 5]) == "messages[0].name")
        #expect(await field(["role": "assistant", "content": "a", "refusal": 5]) == "messages[0].refusal")
        let picture: JSONValue = ["type": "image_url", "image_url": ["url": .string("data:image/bmp;base64," + bitmap), "detail": 5]]
        #expect(await field(["role": "user", "content": [picture]]) == "messages[0].content[0].image_url.detail")
        #expect(await field(["role": "assistant", "content": [["type": "refusal", "refusal": 5]]]) == "messages[0].content[0].refusal")
        let refused: JSONValue = [["role": "assistant", "content": [["type": "refusal", "refusal": "no"]]], ["role": "user", "content": "why?"]]
        #expect(await server.post("/v1/chat/completions", question([("messages", refused)])).status == 200)
    }

    @Test func usageTellsMediaFromText() async throws {
        let server = try ServerUnderTest()
        let picture: JSONValue = ["type": "image_url", "image_url": .string("data:image/bmp;base64," + bitmap)]
        let messages: JSONValue = [["role": "user", "content": [picture, ["type": "text", "text": "a"]]]]
        let usage = await server.post("/v1/chat/completions", question([("messages", messages)])).json["usage"]
        let details = usage?["prompt_tokens_details"]
        let (images, texts) = (details?["image_tokens"]?.int ?? 0, details?["text_tokens"]?.int ?? 0)
        #expect(images > 0 && texts > 0 && images + texts == usage?["prompt_tokens"]?.int && details?["audio_tokens"] == 0)
    }

    @Test func theBestOfSeveral() async throws {
        let server = try ServerUnderTest()
        func ask(_ more: [(String, JSONValue)]) async -> JSONValue {
            let members: [(String, JSONValue)] = [
                ("model", "tiny"), ("prompt", ["the", "a"]), ("max_tokens", 6), ("temperature", 1.5), ("seed", 3), ("logit_bias", ["1": -1000]),
            ]
            return await server.post("/v1/completions", .object(JSONObject((members + more).map { .init(key: $0.0, value: $0.1) }))).json
        }
        func mean(_ choice: JSONValue) -> Double {
            let values = choice["logprobs"]?["token_logprobs"]?.array?.compactMap(\.double) ?? []
            return values.reduce(0, +) / Double(max(1, values.count))
        }
        let all = await ask([("n", 4), ("logprobs", 0)])["choices"]?.array ?? []
        let best = await ask([("n", 2), ("best_of", 4)])
        #expect(all.count == 8 && best["choices"]?.array?.count == 4)
        for prompt in 0..<2 {
            let wanted = all[prompt * 4..<prompt * 4 + 4].sorted { mean($0) > mean($1) }.prefix(2).map { $0["text"] }
            #expect(best["choices"]?.array?[prompt * 2..<prompt * 2 + 2].map { $0["text"] } == wanted)
        }
        #expect(best["choices"]?.array?.compactMap { $0["index"]?.int } == [0, 1, 2, 3])
        #expect(best["choices"]?[0]?["logprobs"]?.isNull == true && best["usage"]?["completion_tokens"] == 48)
        #expect(await ask([("n", 2), ("best_of", 1)])["error"]?["param"] == "best_of")
        #expect(await ask([("best_of", 2), ("stream", true)])["error"]?["param"] == "best_of")
    }

    @Test func theFingerprintTellsModelsAndVersionsApart() async throws {
        func fingerprint(_ version: String) async throws -> String? {
            let server = try ServerUnderTest { $0.version = version }
            return await server.post("/v1/chat/completions", question(tokens: 1)).json["system_fingerprint"]?.string
        }
        let first = try await fingerprint("1")
        #expect(first?.hasPrefix("fp_") == true && first?.count == 19)
        #expect(try await fingerprint("1") == first)
        #expect(try await fingerprint("2") != first)
    }

    // MARK: Ollama

    @Test func ollamasStoreIsNotHere() async throws {
        let server = try ServerUnderTest()
        for path in ["/api/push", "/api/create", "/api/copy", "/api/blobs/sha256:00"] {
            let answer = await server.post(path, ["model": "tiny"])
            #expect(answer.status == 501 && answer.json["error"]?.string?.hasPrefix("This server does not") == true, "\(path)")
        }
        #expect(await server.send(.delete, "/api/delete").status == 501)
        #expect(await server.send(.head, "/api/blobs/sha256:00").status == 404)
        #expect(await server.post("/api/pull", ["model": "tiny"]).lines.last == ["status": "success"])
        #expect(await server.post("/api/pull", ["name": "tiny", "stream": false]).json == ["status": "success"])
        #expect(await server.post("/api/pull", ["model": "other"]).status == 404)
    }

    @Test func ollamasCorners() async throws {
        let server = try ServerUnderTest()
        func generate(_ more: [(String, JSONValue)], _ path: String = "/api/generate") async -> ServerUnderTest.Answer {
            let members: [(String, JSONValue)] = [("model", "tiny"), ("options", ["num_predict": 1]), ("stream", false)]
            return await server.post(path, .object(JSONObject((members + more).map { .init(key: $0.0, value: $0.1) })))
        }
        for good: (String, JSONValue) in [
            ("keep_alive", 0), ("keep_alive", -1), ("keep_alive", "5m"), ("keep_alive", "1h30m"), ("keep_alive", "-1"), ("keep_alive", "1.5s"), ("think", false),
            ("template", ""), ("context", []), ("truncate", true), ("options", ["num_ctx": 4096, "num_predict": 1, "use_mmap": true]),
        ] {
            #expect(await generate([("prompt", "a"), good]).status == 200, "\(good)")
        }
        for bad: (String, JSONValue) in [
            ("keep_alive", "soon"), ("keep_alive", ""), ("keep_alive", []), ("think", true), ("think", "high"), ("think", [1]), ("template", "{{ .Prompt }}"), ("context", [1, 2]),
            ("context", 5), ("suffix", "x"), ("raw", 1), ("truncate", 1), ("options", ["num_ctx": "big"]), ("options", ["use_mmap": 1]), ("format", 5), ("images", [5]),
        ] {
            let answer = await generate([("prompt", "a"), bad])
            #expect(answer.status == 400 && answer.json["error"]?.string?.hasPrefix(bad.0) == true, "\(bad) \(answer.text)")
        }
        #expect(await generate([]).json["done_reason"] == "load")
        #expect(await generate([("keep_alive", "0s")]).json["done_reason"] == "unload")
        #expect(await generate([], "/api/chat").json["message"]?["content"] == "")
        #expect(await generate([("messages", []), ("keep_alive", 0)], "/api/chat").json["done_reason"] == "unload")
    }

    @Test func textThatCannotFitIsNotRead() async throws {
        let server = try ServerUnderTest()
        let text = JSONValue.string(String(repeating: "the water ", count: 200_000))
        let answer = await server.post("/v1/chat/completions", question([("messages", [["role": "user", "content": text]])]))
        #expect(answer.status == 400 && answer.json["error"]?["code"] == "context_length_exceeded")
        #expect(answer.json["error"]?["message"]?.string?.hasPrefix("The request's text of 2000000 bytes needs at least") == true)
    }

    @Test func longTextsToEmbedAreCut() async throws {
        let server = try ServerUnderTest()
        let long = JSONValue.string(String(repeating: "the water ", count: 20_000))
        let context = await server.send(.get, "/v1/models").json["data"]?[0]?["context_length"]
        let answer = await server.post("/api/embed", ["model": "tiny", "input": long])
        #expect(answer.status == 200 && answer.json["prompt_eval_count"] == context)
        #expect(await server.post("/api/embed", ["model": "tiny", "input": long, "truncate": false]).status == 400)
        #expect(await server.post("/v1/embeddings", ["model": "tiny", "input": long]).json["error"]?["code"] == "context_length_exceeded")
    }

    // MARK: Anthropic

    @Test func anthropicsBlocks() async throws {
        let server = try ServerUnderTest()
        func ask(_ messages: JSONValue, _ more: [(String, JSONValue)] = []) async -> ServerUnderTest.Answer {
            let members: [(String, JSONValue)] = [("model", "tiny"), ("max_tokens", 2), ("messages", messages)]
            return await server.post("/v1/messages", .object(JSONObject((members + more).map { .init(key: $0.0, value: $0.1) })))
        }
        func content(_ blocks: JSONValue) -> JSONValue { [["role": "user", "content": blocks]] }
        let picture: JSONValue = ["type": "image", "source": ["type": "base64", "media_type": "image/bmp", "data": .string(bitmap)]]
        let use: JSONValue = ["role": "assistant", "content": [["type": "thinking", "thinking": "x", "signature": "y"], ["type": "tool_use", "id": "t", "name": "look", "input": [:]]]]
        for good in [
            content([["type": "text", "text": "a", "cache_control": ["type": "ephemeral"]]]), content([picture]),
            content([["type": "document", "source": ["type": "text", "media_type": "text/plain", "data": "a"], "title": "b", "citations": ["enabled": false]]]),
            content([["type": "document", "source": ["type": "content", "content": [["type": "text", "text": "a"], picture]]]]),
            content([["type": "document", "source": ["type": "content", "content": "a"]]]),
            [["role": "user", "content": "a"], use, ["role": "user", "content": [["type": "tool_result", "tool_use_id": "t", "content": [["type": "text", "text": "a"], picture]]]]],
            [["role": "user", "content": "a"], use, ["role": "user", "content": [["type": "tool_result", "tool_use_id": "t", "is_error": true]]]],
        ] {
            let answer = await ask(good)
            #expect(answer.status == 200, "\(answer.text)")
        }
        for bad in [
            content([["type": "image", "source": ["type": "file", "file_id": "f"]]]), content([["type": "document", "source": ["type": "base64", "data": ""]]]),
            content([["type": "video"]]), content([["type": "text", "text": "a", "cache_control": 5]]), content([["type": "tool_result"]]),
        ] {
            let answer = await ask(bad)
            #expect(answer.status == 400 && answer.json["error"]?["message"]?.string?.hasPrefix("messages[0].content[0].") == true, "\(answer.text)")
        }
        let fine: [(String, JSONValue)] = [("thinking", ["type": "enabled", "budget_tokens": 1024]), ("metadata", ["user_id": "u"]), ("service_tier", "auto")]
        #expect(await ask(messages, fine).status == 200)
        for (key, _) in fine { #expect(await ask(messages, [(key, 5)]).status == 400) }
        #expect(await ask(messages, [("tools", [["type": "web_search_20250305", "name": "web_search"]])]).json["error"]?["message"]?.string?.hasPrefix("tools[0].type") == true)
    }

    @Test func anthropicsShapes() async throws {
        let server = try ServerUnderTest()
        let format: JSONValue = ["type": "json_schema", "schema": ["enum": ["left", "right"]]]
        for more: (String, JSONValue) in [("output_config", ["format": format]), ("output_format", format)] {
            let answer = await server.post(
                "/v1/messages", .object(JSONObject([.init(key: "model", value: "tiny"), .init(key: "max_tokens", value: 50), .init(key: "messages", value: messages), .init(key: more.0, value: more.1)])))
            #expect(["\"left\"", "\"right\""].contains(answer.json["content"]?[0]?["text"]?.string))
        }
    }

    @Test func anthropicsStreamTellsWhatWasCached() async throws {
        let server = try ServerUnderTest()
        let request: JSONValue = ["model": "tiny", "messages": messages, "max_tokens": 5, "temperature": 0, "stream": true]
        _ = await server.post("/v1/messages", request)
        let usage = await server.post("/v1/messages", request).events.first?["message"]?["usage"]
        let count = await server.post("/v1/messages/count_tokens", ["model": "tiny", "messages": messages]).json["input_tokens"]?.int
        #expect((usage?["cache_read_input_tokens"]?.int ?? 0) > 0)
        #expect((usage?["cache_read_input_tokens"]?.int ?? 0) + (usage?["input_tokens"]?.int ?? 0) == count)
    }

    @Test func anthropicsStopSequences() async throws {
        let server = try ServerUnderTest()
        func request(_ stops: JSONValue, stream: Bool) -> JSONValue {
            ["model": "tiny", "messages": messages, "max_tokens": 20, "temperature": 0, "stop_sequences": stops, "stream": .bool(stream)]
        }
        let text = await server.post("/v1/messages", request([], stream: false)).json["content"]?[0]?["text"]?.string ?? ""
        let stop = JSONValue.string(String(text.dropFirst(2).prefix(2)))
        let whole = await server.post("/v1/messages", request(["never said", stop], stream: false)).json
        #expect(whole["stop_reason"] == "stop_sequence" && whole["stop_sequence"] == stop)
        let delta = await server.post("/v1/messages", request(["never said", stop], stream: true)).events.first { $0["type"] == "message_delta" }?["delta"]
        #expect(delta == ["stop_reason": "stop_sequence", "stop_sequence": stop])
        let cut = await server.post("/v1/messages", request(["never said"], stream: false)).json
        #expect(cut["stop_reason"] != "stop_sequence" && cut["stop_sequence"]?.isNull == true)
    }

    /// 2 by 2 points.
    private var bitmap: String {
        let bytes: [UInt8] = Array("BM".utf8) + [70, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 24, 0] + [UInt8](repeating: 0, count: 24)
        let pixels: [UInt8] = [255, 0, 0, 0, 255, 0, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0]
        return base64(bytes + pixels)
    }
}
