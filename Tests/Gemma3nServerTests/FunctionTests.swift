import Checkpoint
import Testing

import Gemma3nServer

/// `functions` and `function_call`, which clients of old still send.
@Suite struct FunctionTests {
    private let look: JSONValue = [
        "name": "look", "parameters": ["type": "object", "properties": ["at": ["enum": ["sky", "sea"]]], "required": ["at"], "additionalProperties": false],
    ]

    @Test func aCallIsToldInItsOldForm() async throws {
        let server = try ServerUnderTest()
        let more: [(String, JSONValue)] = [("functions", [look]), ("function_call", ["name": "look"])]
        let whole = await server.post("/v1/chat/completions", question(more, tokens: 200)).json["choices"]?[0]
        let call = whole?["message"]?["function_call"]
        #expect(whole?["finish_reason"] == "function_call" && call?["name"] == "look" && whole?["message"]?["tool_calls"] == nil)
        #expect(whole?["message"]?["content"]?.isNull == true)

        let events = await server.post("/v1/chat/completions", question(more + [("stream", true)], tokens: 200)).events
        let deltas = events.compactMap { $0["choices"]?[0]?["delta"]?["function_call"] }
        #expect(deltas.first?["name"] == "look")
        #expect(deltas.compactMap { $0["arguments"]?.string }.joined() == call?["arguments"]?.string)
        #expect(events.compactMap { $0["choices"]?[0]?["finish_reason"]?.string } == ["function_call"])

        // The same prompt as with tools.
        let tools: [(String, JSONValue)] = [
            ("tools", [["type": "function", "function": look]]), ("tool_choice", ["type": "function", "function": ["name": "look"]]),
            ("parallel_tool_calls", false),
        ]
        let new = await server.post("/v1/chat/completions", question(tools, tokens: 200)).json["choices"]?[0]?["message"]?["tool_calls"]?[0]
        #expect(new?["function"] == call)
    }

    @Test func itsHistoryIsRead() async throws {
        let server = try ServerUnderTest()
        func tokens(_ messages: JSONValue) async -> Int? {
            await server.post("/v1/chat/completions", question([("messages", messages)])).json["usage"]?["prompt_tokens"]?.int
        }
        let old = await tokens([
            ["role": "user", "content": "a"], ["role": "assistant", "content": nil, "function_call": ["name": "look", "arguments": "{\"at\": \"sky\"}"]],
            ["role": "function", "name": "look", "content": "blue"],
        ])
        let new = await tokens([
            ["role": "user", "content": "a"],
            ["role": "assistant", "content": nil, "tool_calls": [["id": "c", "type": "function", "function": ["name": "look", "arguments": "{\"at\": \"sky\"}"]]]],
            ["role": "tool", "tool_call_id": "c", "name": "look", "content": "blue"],
        ])
        #expect(old != nil && old == new)
    }

    @Test func namesWhatIsWrong() async throws {
        let server = try ServerUnderTest()
        func field(_ more: [(String, JSONValue)]) async -> String? {
            let answer = await server.post("/v1/chat/completions", question(more))
            return answer.status == 400 ? answer.json["error"]?["param"]?.string : "\(answer.status)"
        }
        #expect(await field([("functions", 5)]) == "functions")
        #expect(await field([("functions", [5])]) == "functions[0]")
        #expect(await field([("functions", [["name": 5]])]) == "functions[0].name")
        #expect(await field([("functions", [look]), ("function_call", "maybe")]) == "function_call")
        #expect(await field([("functions", [look]), ("function_call", [:])]) == "function_call.name")
        #expect(await field([("functions", [look]), ("tools", [])]) == "tools")
        #expect(await field([("function_call", ["name": "look"])]) == "function_call")
        #expect(await field([("messages", [["role": "assistant", "content": nil, "function_call": 5]])]) == "messages[0].function_call")
    }
}
