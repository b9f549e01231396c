import Checkpoint
import Gemma3n
import Gemma3nHost
import TestSupport
import Testing
import Tokenization

/// Sessions that go back, are copied, or come from a file go on with the bits of a session that did none of it.
@Suite struct SessionCopyTests {
    /// More than one window, and more than one block of keys.
    static let long = (0..<90).map { "the water \($0) and the sea" }.joined(separator: " ")

    static func drawing(_ count: Int) -> ResponseOptions {
        var options = exactly(count)
        options.sampling = .random(top: 40, seed: 7)
        options.temperature = 1.2
        return options
    }

    static let prompts: [(Prompt, ResponseOptions)] = [
        (Prompt { testPicture(0); "what is this?"; testClip(0) }, exactly(6)), (Prompt(long), drawing(20)),
        (Prompt { "and this?"; testClip(1) }, exactly(5)), ("more", drawing(9)), ("and more of it?", exactly(4)),
    ]

    /// The answers to some of the prompts.
    static func answers(_ session: LanguageModelSession, _ range: Range<Int>) async throws -> [Response] {
        var responses: [Response] = []
        for (prompt, options) in prompts[range] { responses.append(try await session.respond(to: prompt, options: options)) }
        return responses
    }

    static func areSame(_ a: [Response], _ b: [Response]) -> Bool {
        a.map(\.content) == b.map(\.content) && a.map(\.tokens) == b.map(\.tokens) && a.map(\.chosen) == b.map(\.chosen)
    }

    /// Both branches, in turn, after every prompt; and a branch of a branch.
    @Test func forksAnswerAsTheirHistory() async throws {
        let model = try tinyModel()
        let expected = try await Self.answers(LanguageModelSession(model: model, instructions: "be good"), 0..<5)
        let session = LanguageModelSession(model: model, instructions: "be good")
        let empty = try await session.fork()
        for turn in 0..<4 {
            let answer = try await Self.answers(session, turn..<turn + 1)
            #expect(Self.areSame(answer, [expected[turn]]))
            let fork = try await session.fork()
            // Another way first: it must not be seen by the session.
            let other = try await session.fork()
            _ = try await other.respond(to: "what of the other way?", options: exactly(7))
            let next = try await Self.answers(fork, turn + 1..<turn + 2)
            #expect(Self.areSame(next, [expected[turn + 1]]))
            #expect(next[0].statistics.cachedTokens > 0)
            #expect(fork.transcript.entries.count == session.transcript.entries.count + 2)
            let branch = try await fork.fork()
            if turn < 3 { #expect(Self.areSame(try await Self.answers(branch, turn + 2..<turn + 3), [expected[turn + 2]])) }
        }
        #expect(Self.areSame(try await Self.answers(empty, 0..<2), Array(expected[..<2])))
    }

    @Test func rewoundSessionsAnswerAsTheirHistory() async throws {
        let model = try tinyModel()
        let expected = try await Self.answers(LanguageModelSession(model: model, instructions: "be good"), 0..<5)
        let session = LanguageModelSession(model: model, instructions: "be good")
        _ = try await Self.answers(session, 0..<5)
        for turn in [4, 3, 1, 0] {
            let last = try session.rewindLastPrompt()
            #expect(last != nil)
            while session.transcript.entries.count > 1 + 2 * turn { try session.rewindLastPrompt() }
            #expect(Self.areSame(try await Self.answers(session, turn..<turn + 1), [expected[turn]]))
            try session.rewind(to: 1 + 2 * turn)
        }
        #expect(try session.rewindLastPrompt() == nil)
        #expect(session.transcript.entries.count == 1)
        #expect(Self.areSame(try await Self.answers(session, 0..<3), Array(expected[..<3])))
        for count in [-1, 0, 2, 4, 8, 100] {
            let error = #expect(throws: SessionError.self) { try session.rewind(to: count) }
            #expect(error?.code == .invalidOption)
        }
        try session.rewind(to: 7)
        #expect(session.transcript.entries.count == 7)
        let stream = session.streamResponse(to: "hello", options: exactly(200))
        #expect(throws: SessionError.self) { try session.rewind(to: 1) }
        await #expect(throws: SessionError.self) { _ = try await session.fork() }
        stream.stop()
        // One that was told to stop is forgotten.
        try session.rewind(to: 5)
        #expect(Self.areSame(try await Self.answers(session, 2..<3), [expected[2]]))
    }

    /// What the last window holds is enough to go back a little without computing again.
    @Test func goingBackALittleCostsNothing() async throws {
        let model = try tinyModel()
        let session = LanguageModelSession(model: model)
        _ = try await session.respond(to: Prompt(Self.long), options: exactly(5))
        let known = try await session.respond(to: "more", options: exactly(5)).statistics
        try session.rewindLastPrompt()
        let again = try await session.respond(to: "less", options: exactly(5)).statistics
        #expect(again.cachedTokens >= known.cachedTokens - 1)
    }

    @Test func toolRoundsAreTakenBackWhole() async throws {
        let model = try tinyModel()
        let session = LanguageModelSession(model: model)
        _ = try await session.respond(to: "hello", options: exactly(4))
        let call = ToolCall(id: "call_1", name: "weather", arguments: ["city": "Rome"])
        let transcript = Transcript(
            entries: session.transcript.entries + [
                .prompt("the weather?"), .toolCalls([call]), .toolOutput(ToolOutput(callID: "call_1", name: "weather", content: "warm")), .response("warm"),
            ])
        let told = LanguageModelSession(model: model, transcript: transcript)
        _ = try await told.respond(to: "more", options: exactly(3))
        try told.rewind(to: 4)
        let output = [ToolOutput(callID: "call_1", name: "weather", content: "cold")]
        let answer = try await told.respond(toToolOutputs: output, options: exactly(5))
        let fresh = LanguageModelSession(model: model, transcript: Transcript(entries: Array(transcript.entries.prefix(4))))
        #expect(try await fresh.respond(toToolOutputs: output, options: exactly(5)).chosen == answer.chosen)
        #expect(throws: SessionError.self) { try told.rewind(to: 5) }
    }
}
