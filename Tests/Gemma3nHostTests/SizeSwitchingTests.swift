import Gemma3n
import Gemma3nHost
import Synchronization
import TestSupport
import Testing
import Tokenization

/// Sizes that change inside a conversation.
@Suite struct SizeSwitchingTests {
    /// Of the tiny checkpoint: 8 layers, keys and values made by the first 5, of which 4 decide what they are.
    private static let half = ModelSlice(widths: [128, 112, 96, 64, 48, 36, 44, 32])
    private static let shorter = ModelSlice(widths: [128, 112, 96, 64, 96, 72, 88, 64], leavingOut: [6])

    /// The whole conversation fed at once to a part of the model.
    private func scratch(
        _ model: Gemma3nLanguageModel, _ slice: ModelSlice, _ tokens: [Int32], images: [RGBImage] = [], clips: [AudioClip] = [], _ count: Int
    ) throws -> [Float] {
        let conversation = Conversation(model.model, contextLength: model.contextLength, chunk: 7)
        try conversation.use(slice)
        try conversation.feed(EncodedPrompt(tokens: tokens, images: images, clips: clips))
        return try answer(conversation, model, count)
    }

    private func answer(_ conversation: Conversation, _ model: Gemma3nLanguageModel, _ count: Int) throws -> [Float] {
        var probabilities: [Float] = []
        let options = try exactly(count).resolved(model.model.generationConfiguration, room: 100)
        _ = try conversation.generate(options) { token in
            probabilities.append(token.logProbability?.logProbability ?? .nan)
            return true
        }
        return probabilities
    }

    private final class Count: Sendable {
        private let value = Mutex((images: 0, clips: 0))
        init(_ session: LanguageModelSession) {
            session.observeEncoding { images, clips in
                self.value.withLock {
                    $0.images += images
                    $0.clips += clips
                }
            }
        }
        var sum: [Int] { value.withLock { [$0.images, $0.clips] } }
    }

    /// After a switch the answer is that of a conversation which never had another size, bit for bit; media are not encoded again.
    @Test func recomputedAnswersAreExact() async throws {
        let model = try tinyModel()
        let session = LanguageModelSession(model: model)
        let (log, encoded) = (FeedingLog(session), Count(session))
        let (picture, other, clip) = (testPicture(0), testPicture(1), testClip(0))
        _ = try await session.respond(to: Prompt { picture; "what is this?"; clip }, options: exactly(5))
        session.size = .half
        let second = try await session.respond(to: Prompt { "and this?"; other }, options: exactly(6))
        #expect(second.statistics.size?.slice == Self.half && second.statistics.size?.name == "half")
        #expect(second.statistics.size?.reason == "The size of the session.")
        #expect(second.chosen == (try scratch(model, Self.half, log.last.whole, images: [picture, other], clips: [clip], 6)))
        session.size = .whole
        let third = try await session.respond(to: "and?", options: exactly(6))
        #expect(third.chosen == (try scratch(model, model.slice, log.last.whole, images: [picture, other], clips: [clip], 6)))
        #expect(encoded.sum == [2, 1])
        // A new session of that size, given what was said, says the same.
        let transcript = Transcript(entries: session.transcript.entries.dropLast(4).map { $0 })
        let fresh = LanguageModelSession(model: model, transcript: transcript)
        fresh.size = .half
        let freshLog = FeedingLog(fresh)
        let again = try await fresh.respond(to: Prompt { "and this?"; other }, options: exactly(6))
        #expect(again.chosen == (try scratch(model, Self.half, freshLog.last.whole, images: [picture, other], clips: [clip], 6)))
    }

    /// Widths from the last layer that makes keys and values on, and layers left out, need nothing made again.
    @Test func sharedKeysAndValuesAreReused() async throws {
        let model = try tinyModel()
        #expect(Self.half.makesSameKeyValues(as: Self.shorter, in: model.model.configuration.text))
        #expect(!Self.half.makesSameKeyValues(as: model.slice, in: model.model.configuration.text))
        let session = LanguageModelSession(model: model, instructions: "be good")
        session.size = .slice(Self.half)
        let log = FeedingLog(session)
        let first = try await session.respond(to: "hello the water", options: exactly(5))
        session.size = .slice(Self.shorter)
        let second = try await session.respond(to: "and more", options: exactly(6))
        #expect(second.statistics.cachedTokens >= first.statistics.promptTokens + 4)
        #expect(second.chosen == (try scratch(model, Self.shorter, log.last.whole, 6)))
    }

    /// Kept: tokens fed before the switch stay as the other part made them, all later ones are fed to the new part.
    @Test func keptKeysAndValuesStay() async throws {
        let model = try tinyModel()
        let session = LanguageModelSession(model: model)
        session.switching = .keep
        let log = FeedingLog(session)
        let first = try await session.respond(to: "hello the water", options: exactly(5))
        let before = log.last.whole + first.tokens.dropLast()
        session.size = .half
        let second = try await session.respond(to: "and more", options: exactly(6))
        #expect(second.statistics.cachedTokens == before.count)
        let whole = log.last.whole

        let conversation = Conversation(model.model, contextLength: model.contextLength, chunk: 7)
        try conversation.feed(EncodedPrompt(tokens: before), wanted: .none)
        try conversation.use(Self.half)
        #expect(conversation.exactTokenCount == 0)
        try conversation.feed(EncodedPrompt(tokens: Array(whole[before.count...])))
        let expected = try answer(conversation, model, 6)
        #expect(second.chosen == expected)
        #expect(second.chosen != (try scratch(model, Self.half, whole, 6)))
        // Back to exact answers.
        session.switching = .recompute
        let third = try await session.respond(to: "and?", options: exactly(4))
        #expect(third.chosen == (try scratch(model, Self.half, log.last.whole, 4)))
    }

    /// Reading again begins in the background; a prompt that comes earlier stops it and goes on from there.
    @Test(arguments: [0, 1, 2, 5, 20]) func backgroundWorkIsTakenOver(milliseconds: Int) async throws {
        let model = try tinyModel()
        let session = LanguageModelSession(model: model)
        let log = FeedingLog(session)
        _ = try await session.respond(to: String(repeating: "the water and ", count: 60), options: exactly(3))
        for size in [SizeChoice.half, .whole, .slice(Self.shorter), .half] { session.size = size }
        if milliseconds > 0 { try await Task.sleep(for: .milliseconds(milliseconds)) }
        if milliseconds == 2 { try session.clear() }
        let answer = try await session.respond(to: "and more", options: exactly(4))
        #expect(answer.chosen == (try scratch(model, Self.half, log.last.whole, 4)))
        if milliseconds == 2 { #expect(session.transcript.entries.count == 2) }
    }

    @Test func oneAnswerOfAnotherSize() async throws {
        let model = try tinyModel()
        let session = LanguageModelSession(model: model)
        let log = FeedingLog(session)
        let first = try await session.respond(to: "hello", options: exactly(4))
        #expect(first.statistics.size?.reason == "The size the model was opened with." && first.statistics.size?.name == "whole")
        var options = exactly(4)
        options.size = .half
        let second = try await session.respond(to: "more", options: options)
        #expect(second.statistics.size == SizeDecision(slice: Self.half, name: "half", reason: "Asked for with the prompt."))
        #expect(second.chosen == (try scratch(model, Self.half, log.last.whole, 4)))
        let third = try await session.respond(to: "more", options: exactly(4))
        #expect(third.chosen == (try scratch(model, model.slice, log.last.whole, 4)))
        #expect(session.size == .fixed(.slice(model.slice)))
    }

    @Test func sizesTheModelLacksAreRefused() async throws {
        let session = LanguageModelSession(model: try tinyModel())
        session.size = .e2b
        let error = await #expect(throws: SessionError.self) { try await session.respond(to: "hello") }
        #expect(error?.code == .invalidOption)
        #expect(error?.message.hasPrefix("E2B is a slice of Gemma 3n E4B (35 layers of one width), but this model has 8 layers") == true)
        #expect(session.transcript.entries.isEmpty)
        session.size = .half
        #expect(try await session.respond(to: "hello", options: exactly(2)).tokens.count == 2)
        #expect(throws: SessionError.self) {
            try Gemma3nLanguageModel(files: ModelFiles(directory: Fixtures.path("checkpoints/tiny")), size: .e2b)
        }
    }

    /// Everything else a session does, at another size and within a memory limit.
    @Test func sessionsTakeAnySize() async throws {
        let files = try ModelFiles(directory: Fixtures.path("checkpoints/tiny"))
        let model = try Gemma3nLanguageModel(files: files, contextLength: 60, memoryLimit: 8 << 30, size: .half)
        #expect(model.slice == Self.half && model.memoryPlan != nil)
        let session = LanguageModelSession(model: model, instructions: "be good")
        session.prewarm(promptPrefix: "hello")
        let log = FeedingLog(session)
        let first = try await session.respond(to: "hello", options: exactly(3))
        #expect(first.statistics.cachedTokens > 0)
        #expect(first.chosen == (try scratch(model, Self.half, log.last.whole, 3)))
        let last = try await session.respond(to: "more", options: exactly(500))
        #expect(last.finishReason == .contextFull)
        try session.clear()
        #expect(try await session.respond(to: "hello", options: exactly(3)).chosen == first.chosen)
        // Memory was planned for half of it.
        session.size = .whole
        let error = await #expect(throws: SessionError.self) { try await session.respond(to: "hello") }
        #expect(error?.message == "whole is larger than half, which the memory limit was planned for. Open the model with this size, or without one.")
        #expect(model.sizes.map(\.name) == ["half"])
    }

    /// Soft tokens are forgotten when there is no room for them, and encoded again.
    @Test func knownMediaStayWithinTheirBudget() throws {
        let model = try tinyModel()
        for (budget, expected) in [(1 << 20, 2), (0, 4), (4 * 48 * 4, 3)] {
            let cached = CachedConversation(Conversation(model.model, contextLength: 200), softTokenBudget: budget)
            let prompt = try PromptEncoder(model.model).encode([ModelMessage(.user, [.image(testPicture(0)), .image(testPicture(1))])])
            var encoded = 0
            var logits: [[Float]?] = []
            for slice in [model.slice, Self.half] {
                try cached.conversation.use(slice)
                let rest = cached.advance(to: prompt)
                let soft = try cached.softTokens(of: rest) { missing throws(GenerationError) in
                    encoded += missing.images.count
                    return try model.model.encodeMedia(missing)
                }
                try cached.feed(rest, softTokens: soft)
                logits.append(cached.conversation.nextLogits)
            }
            #expect(encoded == expected)
            let plain = Conversation(model.model, contextLength: 200)
            try plain.use(Self.half)
            try plain.feed(prompt)
            let isEqual = logits[1] == plain.nextLogits
            #expect(isEqual)
        }
    }
}
