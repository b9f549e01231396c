import Checkpoint
import Testing

import Gemma3nServer

@Suite struct ToolTests {
    @Test func tools() async throws {
        let server = try ServerUnderTest()
        let tool: JSONValue = [
            "type": "function",
            "function": ["name": "look", "parameters": ["type": "object", "properties": ["at": ["enum": ["sky", "sea"]]], "required": ["at"], "additionalProperties": false]],
        ]
        let more: [(String, JSONValue)] = [("tools", [tool]), ("tool_choice", "required"), ("parallel_tool_calls", false)]
        let whole = await server.post("/v1/chat/completions", question(more, tokens: 200))
        let call = whole.json["choices"]?[0]?["message"]?["tool_calls"]?[0]
        #expect(whole.json["choices"]?[0]?["finish_reason"] == "tool_calls" && call?["function"]?["name"] == "look")
        let counted = await server.post("/v1/responses/input_tokens", [
            "model": "tiny", "input": "what is this?",
            "tools": [["type": "function", "name": "look", "parameters": tool["function"]?["parameters"] ?? nil]],
            "tool_choice": "required", "parallel_tool_calls": false,
        ])
        #expect(counted.json["input_tokens"] == whole.json["usage"]?["prompt_tokens"])
        let stream = await server.post("/v1/chat/completions", question(more + [("stream", true)], tokens: 200))
        let deltas = stream.events.compactMap { $0["choices"]?[0]?["delta"]?["tool_calls"]?[0] }
        #expect(deltas.first?["id"]?.string != nil && deltas.first?["function"]?["name"] == "look")
        #expect(deltas.compactMap { $0["function"]?["arguments"]?.string }.joined() == call?["function"]?["arguments"]?.string)
    }
}
