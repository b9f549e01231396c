import Checkpoint
import HTTPTypes
import Testing

@Suite struct MetricsTests {
    @Test func tokensBySize() async throws {
        let server = try ServerUnderTest()
        _ = await server.post("/v1/chat/completions", question(tokens: 6))
        _ = await server.post("/v1/chat/completions", question([("size", "half")], tokens: 4))
        _ = await server.post("/v1/chat/completions", question([("size", "half")], tokens: 3))
        let lines = await server.send(.get, "/metrics").text.split(separator: "\n")
        #expect(lines.contains(#"gemma3n_response_tokens_total{size="whole"} 6"#))
        #expect(lines.contains(#"gemma3n_response_tokens_total{size="half"} 7"#))
    }
}
