import Checkpoint
import Constraints
import Gemma3nHost
import Tensors
import TestSupport
import Testing
import Tokenization

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

private let realVocabulary = getenv("GEMMA3N_TOKENIZER").map { String(cString: $0) }

/// A measurement rather than a check: `GEMMA3N_TOKENIZER=real swift test -c release --filter ToolMaskSpeedTests`.
@Suite(.enabled(if: realVocabulary != nil)) struct ToolMaskSpeedTests {
    /// What it costs, token by token, that an answer may call tools and does not.
    @Test func textBesideTools() throws {
        let folder = try #require(realVocabulary)
        let tokenizer = try Tokenizer(json: ByteRegion(copying: try readBytes("\(folder)/tokenizer.json")))
        let vocabulary = TokenVocabulary(tokenizer, endTokens: [try #require(tokenizer.id(of: "<end_of_turn>"))])
        let city: JSONValue = ["type": "object", "properties": ["city": ["type": "string"]], "required": ["city"]]
        let tools = try (0..<8).map { try ToolDefinition(name: "tool_\($0)", description: "Does it.", parameters: city) }
        let clock = ContinuousClock()
        var machine: ConstraintMachine?
        let compiling = try clock.measure { machine = ConstraintMachine(try ToolCalling(tools: tools).constraint(shape: nil), vocabulary) }
        print("8 tools compile in \(compiling)")
        let text = "You will not need an umbrella: it is 21 degrees and sunny.\n\n```swift\nlet sky = [\"blue\"]\n```\nNaïve Grüße, 東京 🙂 "
        let ids = tokenizer.encode(String(repeating: text, count: 20), recognizesSpecialTokens: false)
        for round in ["first", "again"] {
            var matcher = ConstraintMatcher(try #require(machine))
            var times: [Double] = []
            for id in ids {
                var isAllowed = false
                times.append(clock.measure { isAllowed = matcher.mask().contains(id) && matcher.advance(token: id) } / .microseconds(1))
                #expect(isAllowed)
            }
            times.sort()
            print("\(round): \(ids.count) tokens, median \(times[times.count / 2]) us, p99 \(times[times.count * 99 / 100]) us, most \(times[times.count - 1]) us")
        }
    }
}
