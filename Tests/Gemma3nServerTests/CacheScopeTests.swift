import Checkpoint
import HTTPTypes
import Testing

import Gemma3nServer

/// A caller cannot tell from its own requests what callers with other keys asked.
@Suite struct CacheScopeTests {
    @Test(arguments: [["a", "b"], ["a"]]) func keysShareNoCaches(keys: [String]) async throws {
        let server = try ServerUnderTest { $0.keys = keys }
        var cached: [Int] = []
        for key in ["a", keys.last ?? "", "a", keys.last ?? ""] {
            let answer = await server.send(
                .post, "/v1/chat/completions", body: Array(question().serialized().utf8), headers: [.authorization: "Bearer \(key)"])
            cached.append(try #require(answer.json["usage"]?["prompt_tokens_details"]?["cached_tokens"]?.int))
        }
        #expect(cached[0] == 0 && (cached[1] == 0) == (keys.count > 1) && cached[2] > 0 && cached[3] > 0)
    }
}
