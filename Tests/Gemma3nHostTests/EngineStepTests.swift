import Foundation
import Gemma3n
import Gemma3nHost
import Synchronization
import Testing
import Tokenization

/// What the steps of a room do, counted.
@Suite struct EngineStepTests {
    /// The steps of a room; the first waits until a number of requests have been read.
    final class Steps: Sendable {
        private let steps = Mutex<[EngineStep]>([])
        /// Called before the step of that number. Said before the last request that the first step waits for: later it may be over.
        private let before = Mutex<[Int: @Sendable () -> Void]>([:])

        init(_ room: EngineRoom, waitingFor count: Int = 0) {
            room.observe(
                EngineObserver(
                    willStep: { [self, weak room] in
                        let done = all.count
                        // The requests are on their way; nothing but this test asks.
                        while done == 0, let room, room.readyCount < count { Thread.sleep(forTimeInterval: 0.0005) }
                        before.withLock { $0.removeValue(forKey: done) }?()
                    }, didStep: { step in self.steps.withLock { $0.append(step) } }))
        }

        var all: [EngineStep] { steps.withLock { $0 } }

        func before(step: Int, _ body: @escaping @Sendable () -> Void) { before.withLock { $0[step] = body } }

        /// Tokens of a request, step by step.
        func tokens(of id: String) -> [Int] { all.map { step in step.parts.first { $0.id == id }?.tokens ?? 0 } }
    }

    private static let long = (0..<60).map { "the water \($0) and the sea" }.joined(separator: " ")

    private static func request(_ id: String, _ prompt: String, _ count: Int) -> AnswerRequest {
        AnswerRequest(.messages([MessageInput(.user, Prompt(prompt))]), options: exactly(count), id: id)
    }

    // MARK: Beginnings under way

    /// Eight at once with the same long beginning: it is computed once, and every answer is that of a request alone.
    @Test(arguments: [200, 3]) func aBeginningIsComputedOnce(count: Int) async throws {
        let model = try tinyModel()
        let room = EngineRoom(model, limits: EngineLimits(maximumRunning: 8))
        let steps = Steps(room, waitingFor: 8)
        let alone = EngineRoom(model, limits: EngineLimits(cacheBytes: 0))
        func request(_ index: Int) -> AnswerRequest {
            let messages = [MessageInput(.system, Prompt(Self.long)), MessageInput(.user, Prompt("what is \(index % 4)?"))]
            return AnswerRequest(.messages(messages), options: exactly(count), id: "\(index)")
        }
        let streams = try (0..<8).map { try room.answer(request($0)) }
        var prompts: [Int] = []
        for (index, stream) in streams.enumerated() {
            let answer = try await stream.collect()
            #expect(answer.chosen == (try await alone.answer(request(index)).collect().chosen))
            prompts.append(answer.statistics.promptTokens)
        }
        let figures = room.figures
        #expect(figures.joined == 7 && figures.cacheHits == 7)
        // All of one, and of the others only what their own questions are.
        let computed = figures.promptTokens - figures.cachedTokens
        let prefilled = steps.all.flatMap(\.parts).reduce(0) { $0 + $1.tokens } - 8 * (count - 1)
        #expect(computed == prefilled)
        #expect(computed < prompts[0] + 7 * 30)
    }

    /// A leader that goes away, or is slow, keeps nobody waiting for longer than the others' own work would have.
    @Test func nobodyWaitsForever() async throws {
        let model = try tinyModel()
        let room = EngineRoom(model, limits: EngineLimits(maximumRunning: 8, prefillTokens: 16))
        let steps = Steps(room, waitingFor: 3)
        let alone = try await LanguageModelSession(model: model).respond(to: Self.long + " and?", options: exactly(5))
        let leader = try room.answer(Self.request("leader", Self.long + " or?", 5))
        steps.before(step: 2) { leader.stop() }
        let others = try ["a", "b"].map { try room.answer(Self.request($0, Self.long + " and?", 5)) }
        for other in others { #expect(try await other.collect().chosen == alone.chosen) }
        #expect(try await leader.collect().finishReason == .cancelled)
        // One of the two took over, with what the leader had done.
        let computed = ["a", "b"].map { steps.tokens(of: $0).reduce(0, +) }
        #expect(computed.reduce(0, +) < alone.statistics.promptTokens + 60)
    }

    // MARK: Cancelling

    /// The caller goes away before a step: that step does nothing for it any more.
    @Test func cancellingTakesEffectWithinAStep() async throws {
        let room = EngineRoom(try tinyModel())
        let steps = Steps(room, waitingFor: 2)
        let gone = try room.answer(Self.request("gone", "hello", 400))
        steps.before(step: 9) { gone.stop() }
        let other = try room.answer(Self.request("other", "hello the water", 40))
        #expect(try await other.collect().tokens.count == 40)
        let response = try await gone.collect()
        #expect(response.finishReason == .cancelled)
        let tokens = steps.tokens(of: "gone")
        #expect(tokens[..<9].allSatisfy { $0 > 0 } && tokens[9...].allSatisfy { $0 == 0 })
        #expect(tokens.count > 30)
    }

    /// The reader's task is cancelled, or the stream dropped, in the middle of a long prompt.
    @Test func aLongPromptIsGivenUp() async throws {
        let room = EngineRoom(try tinyModel(), limits: EngineLimits(prefillTokens: 8))
        let steps = Steps(room, waitingFor: 2)
        let hasEnded = Atomic(false)
        let reading = Task {
            defer { hasEnded.store(true, ordering: .relaxed) }
            return try await room.answer(Self.request("long", Self.long, 5)).collect()
        }
        steps.before(step: 6) {
            reading.cancel()
            while !hasEnded.load(ordering: .relaxed) { Thread.sleep(forTimeInterval: 0.0005) }
        }
        let other = try room.answer(Self.request("other", "hello", 60))
        #expect(try await other.collect().tokens.count == 60)
        await #expect(throws: CancellationError.self) { _ = try await reading.value }
        let tokens = steps.tokens(of: "long")
        #expect(tokens[..<6].contains { $0 > 0 } && tokens[6...].allSatisfy { $0 == 0 })
        #expect(room.figures.cancelled == 1)
    }

    @Test func embeddingJobsAreCancelled() async throws {
        let room = EngineRoom(try tinyModel(), limits: EngineLimits(prefillTokens: 4))
        let steps = Steps(room, waitingFor: 1)
        let job = Task { try await room.embeddings(of: [AnswerRequest.Input](repeating: .text(Self.long), count: 50)) }
        steps.before(step: 8) { job.cancel() }
        let other = try room.answer(Self.request("other", "hello", 60))
        await #expect(throws: CancellationError.self) { _ = try await job.value }
        #expect(try await other.collect().tokens.count == 60)
        #expect(try await room.embeddings(of: [.text("hello")]).vectors.count == 1)
    }

    // MARK: Fairness

    /// While a long prompt is read, answers under way get a token in every step, and a short prompt is through before it.
    @Test func longPromptsHoldNobodyUp() async throws {
        let room = EngineRoom(try tinyModel(), limits: EngineLimits(prefillTokens: 16))
        let steps = Steps(room, waitingFor: 1)
        let arrivals = Mutex<[AnswerStream]>([])
        steps.before(step: 2) {
            let more = [Self.request("long", Self.long, 4), Self.request("short", "and the water?", 4)].compactMap { try? room.answer($0) }
            arrivals.withLock { $0 = more }
            while room.readyCount < 2 { Thread.sleep(forTimeInterval: 0.0005) }
        }
        let first = try room.answer(Self.request("first", "hello", 60))
        #expect(try await first.collect().tokens.count == 60)
        let others = arrivals.withLock { $0 }
        for other in others { #expect(try await other.collect().tokens.count == 4) }
        let (decoding, long, short) = (steps.tokens(of: "first"), steps.tokens(of: "long"), steps.tokens(of: "short"))
        // One token in each of its 59 steps after the prompt.
        #expect(decoding[1..<60].allSatisfy { $0 == 1 })
        #expect(long.allSatisfy { $0 <= 16 })
        let longBegins = long.firstIndex { $0 > 0 } ?? 0
        #expect((short.firstIndex { $0 > 0 } ?? .max) <= longBegins + 1)
        #expect((short.lastIndex { $0 > 0 } ?? .max) < (long.lastIndex { $0 > 0 } ?? 0))
    }

    // MARK: What is kept

    @Test func soManyAreKept() async throws {
        let model = try tinyModel()
        for (kept, expected) in [(0, 0), (1, 1), (3, 2)] {
            let room = EngineRoom(model, limits: EngineLimits(maximumKept: kept))
            let prompts = ["hello", "what", "sea", "who"].map { String(repeating: $0 + " is this? ", count: 5) }
            for prompt in prompts { _ = try await room.answer(Self.request("", prompt, 12)).collect() }
            var hits: [Bool] = []
            // The newest first: each answer is kept itself and drives out another. Which one also depends on the few tokens that all share.
            for prompt in prompts.reversed() {
                hits.append(try await room.answer(Self.request("", prompt, 12)).collect().statistics.cachedTokens > 15)
            }
            #expect(hits.count { $0 } == expected && hits[0] == (kept > 0))
            #expect((room.figures.cacheBytes > 0) == (kept > 0))
        }
    }

    /// Callers of different scopes have no use of each other's prompts and media.
    @Test func scopesShareNothing() async throws {
        let room = EngineRoom(try tinyModel())
        var cached: [Int] = []
        for scope in [nil, "a", "b", "a", nil, "b"] {
            var request = AnswerRequest(.messages([MessageInput(.user, Prompt { testPicture(0); "what is this?" })]), options: exactly(6))
            request.cacheScope = scope
            cached.append(try await room.answer(request).collect().statistics.cachedTokens)
        }
        #expect(cached[..<3].allSatisfy { $0 == 0 } && cached[3...].allSatisfy { $0 > 0 })
        #expect(room.figures.mediaMisses == 3)
    }
}
