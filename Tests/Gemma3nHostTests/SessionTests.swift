import Gemma3n
import Gemma3nHost
import Testing
import Tokenization

@Suite struct SessionTests {
    /// The second turn processes its own tokens only, and answers as if everything had been fed at once, bit for bit.
    @Test func turnsReuseTheCache() async throws {
        let model = try tinyModel()
        let session = LanguageModelSession(model: model, instructions: "be good")
        let log = FeedingLog(session)
        let first = try await session.respond(to: "hello the water", options: exactly(9))
        #expect(first.tokens.count == 9)
        #expect(first.statistics.cachedTokens == 0)
        #expect(first.statistics.promptTokens == log.last.whole.count)
        let firstWhole = log.last.whole

        let second = try await session.respond(to: "and more", options: exactly(9))
        let whole = log.last.whole
        #expect(Array(whole.prefix(firstWhole.count + 9)) == firstWhole + first.tokens)
        // The last token of the answer was chosen but not fed: it counts as new.
        let turn = try PromptEncoder(model.model).encodeNextTurn(ModelMessage(.user, "and more")).tokens
        #expect(Array(whole.suffix(turn.count)) == turn)
        #expect(second.statistics.newTokens == turn.count + 1)
        #expect(second.statistics.cachedTokens == firstWhole.count + 8)

        let scratch = try answerFromScratch(model, whole, exactly(9))
        #expect(second.tokens == scratch.result.tokens)
        #expect(second.chosen == scratch.logProbabilities)
        #expect(session.transcript.entries.count == 5)
        #expect(!session.isResponding)
    }

    @Test func turnsWithMediaReuseTheCache() async throws {
        let model = try tinyModel()
        let session = LanguageModelSession(model: model)
        let log = FeedingLog(session)
        let (picture, other, clip) = (testPicture(0), testPicture(1), testClip(0))
        _ = try await session.respond(to: Prompt { picture; "what is this?"; clip }, options: exactly(5))
        #expect(log.last.new == log.last.whole.count)
        let second = try await session.respond(to: "and?", options: exactly(5))
        #expect(second.statistics.newTokens < 20)
        #expect(second.statistics.encodeSeconds < 0.01)
        let third = try await session.respond(options: exactly(6)) { "now"; other }
        // 4 soft tokens, two around them, and the turn.
        #expect(third.statistics.newTokens < 30)
        let scratch = try answerFromScratch(model, log.last.whole, images: [picture, other], clips: [clip], exactly(6))
        #expect(third.tokens == scratch.result.tokens)
        #expect(third.chosen == scratch.logProbabilities)
    }

    @Test(arguments: [1, 3]) func threadsChangeNothing(threads: Int) async throws {
        var options = ResponseOptions(sampling: .random(top: 40, seed: 11), temperature: 1.3, maximumResponseTokens: 16)
        options.logitBias = [1: -.infinity, 10: -.infinity]
        let expected = try await LanguageModelSession(model: tinyModel(threads: 2)).respond(to: "hello", options: options)
        let answer = try await LanguageModelSession(model: tinyModel(threads: threads)).respond(to: "hello", options: options)
        #expect(answer.tokens == expected.tokens)
        #expect(Set(expected.tokens).count > 4)
    }

    @Test func streamsCumulativeSnapshots() async throws {
        let session = LanguageModelSession(model: try tinyModel())
        var seen = ""
        var last: Response?
        for try await snapshot in session.streamResponse(to: "hello", options: exactly(12)) {
            #expect(snapshot.content.utf8.starts(with: seen.utf8))
            seen = snapshot.content
            last = snapshot.response
        }
        #expect(last?.content == seen)
        #expect(last?.tokens.count == 12)
        #expect(last?.finishReason == .length)
        let collected = try await LanguageModelSession(model: tinyModel()).streamResponse(to: "hello", options: exactly(12)).collect()
        #expect(collected.content == seen)
    }

    @Test func prewarmingLeavesLessToDo() async throws {
        let model = try tinyModel()
        let cold = LanguageModelSession(model: model, instructions: "be good and kind to the water")
        let expected = try await cold.respond(to: "hello the water", options: exactly(6))
        let warm = LanguageModelSession(model: model, instructions: "be good and kind to the water")
        warm.prewarm(promptPrefix: "hello the")
        let answer = try await warm.respond(to: "hello the water", options: exactly(6))
        #expect(answer.statistics.newTokens < expected.statistics.newTokens / 2)
        #expect(answer.tokens == expected.tokens)
        #expect(answer.chosen == expected.chosen)
        // A wrong guess costs time only.
        let wrong = LanguageModelSession(model: model, instructions: "be good and kind to the water")
        wrong.prewarm(promptPrefix: "something else")
        #expect(try await wrong.respond(to: "hello the water", options: exactly(6)).chosen == expected.chosen)
        // The second turn, too.
        warm.prewarm(promptPrefix: "and then")
        let second = try await warm.respond(to: "and then what", options: exactly(3))
        #expect(try await cold.respond(to: "and then what", options: exactly(3)).chosen == second.chosen)
        #expect(second.statistics.newTokens < 12)
    }

    @Test func optionsOfTheCheckpointAreTheDefault() async throws {
        let model = try tinyModel()
        let options = try ResponseOptions().resolved(model.model.generationConfiguration, room: 100)
        #expect(options.sampling.temperature == 1)
        #expect(options.sampling.topK == 64)
        #expect(options.maxTokens == 100)
        #expect(options.stopTokens == [1, 10])
        let greedy = try ResponseOptions(sampling: .greedy).resolved(model.model.generationConfiguration, room: 100)
        #expect(greedy.sampling.temperature == 0)
        let top = try ResponseOptions(sampling: .random(top: 3, seed: 5)).resolved(model.model.generationConfiguration, room: 100)
        #expect(top.sampling.topK == 3 && top.sampling.seed == 5)
        let nucleus = try ResponseOptions(sampling: .random(probabilityThreshold: 0.5)).resolved(model.model.generationConfiguration, room: 1)
        #expect(nucleus.sampling.topK == 0 && nucleus.sampling.topP == 0.5)
    }

    /// A stop string is no part of the answer, and not of what the model remembers either.
    @Test func stopStringsAreForgotten() async throws {
        let model = try tinyModel()
        let plain = try await LanguageModelSession(model: model).respond(to: "hello", options: exactly(10))
        let middle = plain.content.index(plain.content.startIndex, offsetBy: plain.content.count / 2)
        var options = exactly(10)
        options.stopStrings = [String(plain.content[middle...].prefix(2))]
        let session = LanguageModelSession(model: model)
        let log = FeedingLog(session)
        let cut = try await session.respond(to: "hello", options: options)
        #expect(cut.finishReason == .stop)
        #expect(cut.stopSequence == options.stopStrings[0] && plain.stopSequence == nil)
        #expect(plain.content.hasPrefix(cut.content) && cut.content.count < plain.content.count)
        let request = AnswerRequest(.messages([MessageInput(.user, "hello")]), options: options)
        let inRoom = try await EngineRoom(model).answer(request).collect()
        #expect(inRoom.content == cut.content && inRoom.stopSequence == cut.stopSequence)
        let prompt = log.last.whole
        let next = try await session.respond(to: "more", options: exactly(4))
        let turn = try PromptEncoder(model.model).encodeNextTurn(ModelMessage(.user, "more")).tokens
        let remembered = log.last.whole.dropFirst(prompt.count).dropLast(turn.count)
        #expect(model.model.tokenizer.decode(Array(remembered)) == cut.content)
        #expect(next.chosen == (try answerFromScratch(model, log.last.whole, exactly(4))).logProbabilities)
    }
}
