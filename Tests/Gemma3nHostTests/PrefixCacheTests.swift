import Gemma3n
import Gemma3nHost
import Testing
import Tokenization

/// Prompts that begin as others did: less to compute, and the same answers, bit for bit.
@Suite struct PrefixCacheTests {
    private static func user(_ prompt: Prompt) -> MessageInput { MessageInput(.user, prompt) }
    private static func said(_ text: String) -> MessageInput { MessageInput(.assistant, Prompt(text)) }

    private static func ask(_ room: EngineRoom, _ messages: [MessageInput], _ count: Int) async throws -> Response {
        try await room.answer(AnswerRequest(.messages(messages), options: exactly(count))).collect()
    }

    /// A room that keeps nothing.
    private static func forgetful(_ model: Gemma3nLanguageModel) -> EngineRoom { EngineRoom(model, limits: EngineLimits(cacheBytes: 0)) }

    @Test func turnsContinueWhatIsThere() async throws {
        let model = try tinyModel()
        let (room, plain) = (EngineRoom(model), Self.forgetful(model))
        var messages = [Self.user("hello the water")]
        var known = 0
        for turn in 0..<4 {
            let answer = try await Self.ask(room, messages, 12)
            let expected = try await Self.ask(plain, messages, 12)
            #expect(answer.chosen == expected.chosen && answer.content == expected.content)
            #expect(expected.statistics.cachedTokens == 0)
            #expect(answer.statistics.cachedTokens >= known)
            known = answer.statistics.promptTokens
            messages += [Self.said(answer.content), Self.user(Prompt("and then \(turn)?"))]
        }
        #expect(room.figures.cacheHits == 3 && plain.figures.cacheHits == 0)
        #expect(room.figures.cachedTokens > 0 && room.figures.cacheBytes > 0)
        #expect(plain.figures.cacheBytes == 0)
    }

    /// Windows of 16 have gone far beyond the text that is shared: checkpoints lead back to it.
    @Test func longTextsAreSharedBehindTheirWindows() async throws {
        let model = try tinyModel()
        let (room, plain) = (EngineRoom(model), Self.forgetful(model))
        let text = (0..<70).map { "the water \($0) and the sea" }.joined(separator: " ")
        var cached: [Int] = []
        for question in ["what is this?", "who are you, and what of it?", "hello", "what is that?"] {
            let messages = [MessageInput(.system, Prompt(text)), Self.user(Prompt(question))]
            let answer = try await Self.ask(room, messages, 200)
            #expect(answer.chosen == (try await Self.ask(plain, messages, 200)).chosen)
            cached.append(answer.statistics.cachedTokens)
        }
        // The second finds out what is shared; from the third on nothing of it is computed again.
        #expect(cached[0] == 0 && cached[2] > 200 && cached[3] > 200)
        // The very same request: all but the end of the prompt.
        let messages = [MessageInput(.system, Prompt(text)), Self.user("hello")]
        let again = try await Self.ask(room, messages, 200)
        #expect(again.chosen == (try await Self.ask(plain, messages, 200)).chosen)
    }

    @Test func mediaAreComparedByContent() async throws {
        let model = try tinyModel()
        let (room, plain) = (EngineRoom(model), Self.forgetful(model))
        let (one, other, clip) = (testPicture(0), testPicture(1), testClip(0))
        var cached: [Int] = []
        for prompt in [Prompt { one; "what?"; clip; "and?" }, Prompt { one; "what?"; clip; "or?" }, Prompt { other; "what?"; clip; "and?" }, Prompt { one; "what?"; testClip(1); "and?" }] {
            let answer = try await Self.ask(room, [Self.user(prompt)], 9)
            #expect(answer.chosen == (try await Self.ask(plain, [Self.user(prompt)], 9)).chosen)
            cached.append(answer.statistics.cachedTokens)
        }
        #expect(cached[1] > cached[3] && cached[3] > cached[2])
    }

    /// A tree of conversations asked from all sides at once, with memory for a few of them.
    @Test func manyAtOnce() async throws {
        let model = try tinyModel()
        let plain = Self.forgetful(model)
        let memory = try await { () async throws -> Int in
            let room = EngineRoom(model)
            _ = try await Self.ask(room, [Self.user("hello")], 40)
            return room.figures.cacheBytes
        }()
        let room = EngineRoom(model, limits: EngineLimits(maximumRunning: 6, cacheBytes: 5 * memory))
        let beginnings = ["hello the water", "hello the sea", String(repeating: "what is all this ", count: 40)]
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for index in 0..<36 {
                group.addTask {
                    var messages = [Self.user(Prompt(beginnings[index % 3]))]
                    if index % 2 == 0 { messages += [Self.said("the water"), Self.user(Prompt(index % 4 == 0 ? "more" : "less"))] }
                    var options = exactly(5 + index % 9)
                    if index % 5 == 0 { options.size = .half }
                    let request = AnswerRequest(.messages(messages), options: options)
                    return try await room.answer(request).collect().chosen == plain.answer(request).collect().chosen
                }
            }
            for try await same in group { #expect(same) }
        }
        await room.drain()
        #expect(room.figures.finished == 36 && room.figures.cacheHits > 0)
        #expect(room.figures.cacheBytes <= 5 * memory)
    }
}
