import Gemma3n
import Gemma3nHost
import Testing
import Tokenization

@Suite struct EngineRoomTests {
    private static func request(_ prompt: String, _ options: ResponseOptions) -> AnswerRequest {
        AnswerRequest(.messages([MessageInput(.user, Prompt(prompt))]), options: options)
    }

    private static func drawing(_ seed: UInt64, _ count: Int) -> ResponseOptions {
        var options = ResponseOptions(sampling: .random(top: 40, seed: seed), temperature: 1.2, maximumResponseTokens: count)
        options.logitBias = [1: -.infinity, 10: -.infinity]
        options.topLogProbabilities = 2
        return options
    }

    /// Many at once, of all lengths: each as alone, and no piece of text is lost.
    @Test func answersAreThoseOfSessions() async throws {
        let model = try tinyModel()
        let room = EngineRoom(model, limits: EngineLimits(maximumRunning: 8))
        let prompts = ["hello", "the water and the sea", "what is this, and what is that, and what is all of it?", "a"]
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for index in 0..<64 {
                let (prompt, options) = (prompts[index % 4], Self.drawing(UInt64(index / 4), 3 + index % 17))
                group.addTask {
                    var text = ""
                    var probabilities: [Float] = []
                    var response: Response?
                    for try await event in try room.answer(Self.request(prompt, options)) {
                        text += event.text
                        probabilities += event.logProbabilities.map(\.chosen.logProbability)
                        response = event.response
                    }
                    let alone = try await LanguageModelSession(model: model).respond(to: prompt, options: options)
                    return text == alone.content && probabilities == alone.chosen && response?.content == text && response?.tokens == alone.tokens
                        && response?.finishReason == alone.finishReason
                }
            }
            for try await same in group { #expect(same) }
        }
        let figures = room.figures
        #expect(figures.accepted == 64 && figures.finished == 64 && figures.failed == 0 && figures.cancelled == 0)
        #expect(figures.queued == 0 && figures.running == 0)
        #expect(figures.firstTokenSeconds.count == 64)
    }

    @Test func takesMediaTextAndTokens() async throws {
        let model = try tinyModel()
        let room = EngineRoom(model)
        let prompt = Prompt { testPicture(0); "what is this?"; testClip(0) }
        async let seen = room.answer(AnswerRequest(.messages([MessageInput(.user, prompt)]), options: exactly(6))).collect()
        async let alone = LanguageModelSession(model: model).respond(to: prompt, options: exactly(6))
        let (a, b) = try await (seen, alone)
        #expect(a.content == b.content && a.chosen == b.chosen && a.statistics.promptTokens == b.statistics.promptTokens)

        let tokens = model.model.tokenizer.encode("the water <end_of_turn>", addBOS: true, recognizesSpecialTokens: false)
        let text = try await room.answer(AnswerRequest(.text("the water <end_of_turn>"), options: exactly(5))).collect()
        let same = try await room.answer(AnswerRequest(.tokens(tokens), options: exactly(5))).collect()
        let scratch = try answerFromScratch(model, tokens, exactly(5))
        #expect(text.tokens == scratch.result.tokens && same.tokens == scratch.result.tokens)
        #expect(text.chosen == scratch.logProbabilities && same.chosen == scratch.logProbabilities)
        #expect(try await room.tokenCount(.text("the water <end_of_turn>")) == tokens.count)
        #expect(try await room.tokenCount(.messages([MessageInput(.user, prompt)])) == a.statistics.promptTokens)
    }

    /// One bad request, and the others as if it had not been.
    @Test func aBadRequestHarmsNoOther() async throws {
        let model = try tinyModel()
        let room = EngineRoom(model, limits: EngineLimits(contextLength: 100))
        let alone = try await room.answer(Self.request("hello", exactly(40))).collect()
        async let good = room.answer(Self.request("hello", exactly(40))).collect()
        var options = ResponseOptions()
        options.topP = 3
        let bad: [(AnswerRequest, SessionError.Code)] = [
            (Self.request("hello", options), .invalidOption),
            (AnswerRequest(.tokens([Int32](repeating: 5, count: 101))), .exceededContextWindowSize),
            (AnswerRequest(.tokens([5, 1_000_000])), .unsupportedPrompt),
            (AnswerRequest(.tokens([])), .unsupportedPrompt),
            (AnswerRequest(.messages([])), .unsupportedPrompt),
            (AnswerRequest(.messages([MessageInput(.user, Prompt(parts: [.image(.file("/nowhere.png"))]))])), .unreadableMedia),
        ]
        for (request, code) in bad {
            let error = await #expect(throws: SessionError.self) { try await room.answer(request).collect() }
            #expect(error?.code == code)
        }
        #expect(try await good.chosen == alone.chosen)
        #expect(room.figures.failed == bad.count)
        // Full to the last position.
        let long = try await room.answer(Self.request("hello", exactly(1000))).collect()
        #expect(long.finishReason == .contextFull && long.statistics.promptTokens + long.tokens.count == 101)
    }

    @Test func aFullQueueRefuses() async throws {
        let room = EngineRoom(try tinyModel(), limits: EngineLimits(maximumRunning: 1, maximumQueued: 2))
        var streams: [AnswerStream] = []
        var refusal: SessionError?
        // One runs at most and two wait.
        while refusal == nil, streams.count < 10 {
            do throws(SessionError) { streams.append(try room.answer(Self.request("hello", exactly(400)))) } catch { refusal = error }
        }
        #expect(refusal?.code == .rateLimited)
        #expect((refusal?.retryAfter ?? 0) >= 1)
        #expect(room.figures.refused == 1)
        for stream in streams { stream.stop() }
        for stream in streams { #expect(try await stream.collect().finishReason == .cancelled) }
        #expect(try await room.answer(Self.request("hello", exactly(4))).collect().tokens.count == 4)
    }

    /// Callers go away at all moments; nothing stays behind, and those who stay get their answers.
    @Test func cancelledRequestsLeaveNothing() async throws {
        let model = try tinyModel()
        let room = EngineRoom(model, limits: EngineLimits(maximumRunning: 4))
        let alone = try await room.answer(Self.request("hello the water", exactly(30))).collect()
        await withTaskGroup(of: Bool.self) { group in
            for index in 0..<40 {
                group.addTask {
                    do {
                        let stream = try room.answer(Self.request("hello the water", exactly(30)))
                        if index % 4 == 0 { return try await stream.collect().chosen == alone.chosen }
                        // Dropped at once, after some pieces, or with its task.
                        var left = index % 4 == 1 ? 0 : index % 7
                        if left == 0 { return true }
                        for try await _ in stream {
                            left -= 1
                            if left == 0 { return true }
                        }
                        return true
                    } catch {
                        return false
                    }
                }
            }
            for await fine in group { #expect(fine) }
        }
        await room.drain()
        let figures = room.figures
        #expect(figures.queued == 0 && figures.running == 0 && figures.failed == 0)
        #expect(figures.finished + figures.cancelled == figures.accepted)
        #expect(figures.finished >= 11)
    }

    @Test func drainingFinishesWhatIsUnderWay() async throws {
        let room = EngineRoom(try tinyModel())
        let streams = try (0..<5).map { try room.answer(Self.request("hello", exactly(20 + $0))) }
        await room.drain()
        #expect(room.figures.finished == 5)
        let error = #expect(throws: SessionError.self) { try room.answer(Self.request("hello", exactly(3))) }
        #expect(error?.code == .shuttingDown)
        for (index, stream) in streams.enumerated() { #expect(try await stream.collect().tokens.count == 20 + index) }
    }

    /// The same text has the same vector, whatever else is computed; vectors have length 1.
    @Test func embedsTexts() async throws {
        let model = try tinyModel()
        let room = EngineRoom(model)
        let (vectors, count) = try await room.embeddings(of: [.text("the water"), .text("the sea and more of it"), .text("the water")])
        #expect(vectors.count == 3 && vectors[0] == vectors[2] && vectors[0] != vectors[1])
        #expect(vectors.allSatisfy { $0.count == model.model.configuration.text.hiddenSize })
        let length = vectors[1].reduce(0) { $0 + $1 * $1 }
        #expect(abs(length - 1) < 1e-5)  // float32 rounding of D squares
        let one = try await room.tokenCount(.text("the water"))
        let more = try await room.tokenCount(.text("the sea and more of it"))
        #expect(count == 2 * one + more)
        let error = await #expect(throws: SessionError.self) { try await room.embeddings(of: [.tokens([])]) }
        #expect(error?.code == .unsupportedPrompt)
        let short = EngineRoom(model, limits: EngineLimits(contextLength: 20))
        let long = await #expect(throws: SessionError.self) { try await short.embeddings(of: [.tokens([Int32](repeating: 5, count: 21))]) }
        #expect(long?.code == .exceededContextWindowSize)
        // A model opened with a size embeds with it.
        let half = try Gemma3nLanguageModel(files: model.files, modalities: [], threads: 2, size: .half)
        let other = try await EngineRoom(half).embeddings(of: [.text("the water")]).vectors[0]
        #expect(other != vectors[0])
    }
}
