import Checkpoint
import Gemma3n
import Gemma3nHost
import Testing
import Tokenization

/// Media that were encoded are known by their content.
@Suite struct MediaCacheTests {
    private static func ask(_ room: EngineRoom, _ prompt: Prompt, _ count: Int = 6) async throws -> Response {
        try await room.answer(AnswerRequest(.messages([MessageInput(.user, prompt)]), options: exactly(count))).collect()
    }

    /// The same picture in another place, the same sound under another name: no encoder runs, and no bit changes.
    @Test func knownMediaAreNotEncodedAgain() async throws {
        let model = try tinyModel()
        let room = EngineRoom(model)
        let plain = EngineRoom(model, limits: EngineLimits(cacheBytes: 0, mediaCacheBytes: 0))
        let prompts = [
            Prompt { testPicture(0); "what?" }, Prompt { "other words first"; testPicture(0); testPicture(1) }, Prompt { testPicture(1); testPicture(0) },
            Prompt { testClip(0); "what?" }, Prompt { "and"; testClip(0) }, Prompt { testClip(0); "?"; testPicture(1) },
        ]
        let misses = [1, 2, 2, 3, 3, 3]
        for (prompt, count) in zip(prompts, misses) {
            let (a, b) = (try await Self.ask(room, prompt), try await Self.ask(plain, prompt))
            #expect(a.chosen == b.chosen && a.content == b.content)
            #expect(room.figures.mediaMisses == count)
        }
        let figures = room.figures
        #expect(figures.mediaHits == 5 && figures.mediaBytes > 0)
        #expect(plain.figures.mediaHits == 0 && plain.figures.mediaMisses == 9 && plain.figures.mediaBytes == 0)
    }

    /// All sounds of a prompt are padded to the longest: what is known of one beside a short one is not what it is beside a long one.
    @Test func soundsAreThoseOfTheirPrompt() async throws {
        let model = try tinyModel()
        let room = EngineRoom(model)
        let (one, long) = (testClip(0, samples: 5000), testClip(1, samples: 11_000))
        for prompt in [Prompt { one; "what?" }, Prompt { one; "what?"; long }, Prompt { long; "what?"; one }, Prompt { one; "what?" }] {
            let answer = try await Self.ask(room, prompt)
            // In a session, all of a first prompt's media are encoded together.
            let alone = try await LanguageModelSession(model: model).respond(to: prompt, options: exactly(6))
            #expect(answer.chosen == alone.chosen && answer.content == alone.content)
        }
    }

    /// What was used longest ago goes first.
    @Test func memoryIsBounded() async throws {
        let model = try tinyModel()
        let unbounded = EngineRoom(model)
        _ = try await Self.ask(unbounded, Prompt { testPicture(0) })
        let one = unbounded.figures.mediaBytes
        let room = EngineRoom(model, limits: EngineLimits(maximumKept: 0, mediaCacheBytes: 2 * one))
        for picture in [0, 1, 0, 2, 0, 1] { _ = try await Self.ask(room, Prompt { testPicture(picture); "what?" }) }
        #expect(room.figures.mediaHits == 2 && room.figures.mediaMisses == 4)
        #expect(room.figures.mediaBytes == 2 * one)
        let small = EngineRoom(model, limits: EngineLimits(maximumKept: 0, mediaCacheBytes: one - 1))
        for _ in 0..<2 { _ = try await Self.ask(small, Prompt { testPicture(0) }) }
        #expect(small.figures.mediaHits == 0 && small.figures.mediaBytes == 0)
    }

    /// Calls of tools and their outputs in a history: as in a session that was given the same history.
    @Test func toolsInAHistory() async throws {
        let model = try tinyModel()
        let weather = try ToolDefinition(name: "weather", description: "The weather.", parameters: ["type": "object", "properties": ["city": ["type": "string"]]])
        let call = ToolCall(id: "call_1", name: "weather", arguments: ["city": "Rome"])
        let entries: [Transcript.Entry] = [
            .instructions("be good"), .prompt("the weather?"), .toolCalls([call]), .toolOutput(ToolOutput(callID: "call_1", name: "weather", content: "warm")),
        ]
        var options = exactly(8)
        options.tools = try ToolCalling(tools: [weather], choice: .none)
        let session = LanguageModelSession(model: model, transcript: Transcript(entries: Array(entries.dropLast())))
        let alone = try await session.respond(toToolOutputs: [ToolOutput(callID: "call_1", name: "weather", content: "warm")], options: options)
        let room = EngineRoom(model)
        let answer = try await room.answer(AnswerRequest(.messages(Transcript(entries: entries).messages), options: options)).collect()
        #expect(answer.chosen == alone.chosen && answer.tokens == alone.tokens && answer.statistics.promptTokens == alone.statistics.promptTokens)
        // And the next turn begins in the cache.
        let next = entries + [.response(answer.content), .prompt("and?")]
        let more = try await room.answer(AnswerRequest(.messages(Transcript(entries: next).messages), options: options)).collect()
        #expect(more.statistics.cachedTokens >= answer.statistics.promptTokens)
    }
}
