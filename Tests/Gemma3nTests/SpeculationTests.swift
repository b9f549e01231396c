import Constraints
import Foundation
import Gemma3n
import Tensors
import TestSupport
import Testing

/// Guessing ahead changes the time an answer takes, and not one bit of anything else.
struct SpeculationTests {
    /// Everything an answer leaves behind.
    struct Outcome: Equatable {
        var tokens: [Int32]
        var texts: [String]
        var text: String
        var finish: FinishReason
        var stopToken: Int32?
        var probabilities: [[TokenLogProbability]]
        var fed: [Int32]
        var pending: [Int32]
        var position: Int
        var nextLogits: [UInt32]
    }

    static func bits(_ values: some Sequence<Float>) -> [UInt32] { values.map(\.bitPattern) }

    static func answer(
        _ conversation: Conversation, _ options: GenerationOptions, _ speculation: Speculation, clock: (() -> Double)? = nil,
        matcher: ConstraintMatcher? = nil, cancelAfter: Int = .max
    ) throws -> (outcome: Outcome, speculation: SpeculationStatistics?) {
        var options = options
        options.speculation = speculation
        var texts: [String] = []
        var probabilities: [[TokenLogProbability]] = []
        var count = 0
        let result = try conversation.generate(options, hooks: GenerationHooks(clock: clock, matcher: matcher)) { token in
            count += 1
            // The conversation stands where it would without guesses.
            #expect(conversation.pending == [token.token])
            #expect(conversation.decoder.position == conversation.tokens.count)
            texts.append(token.text)
            if let chosen = token.logProbability { probabilities.append([chosen] + token.topLogProbabilities) }
            return count < cancelAfter
        }
        return (
            Outcome(
                tokens: result.tokens, texts: texts, text: result.text, finish: result.finishReason, stopToken: result.stopToken,
                probabilities: probabilities, fed: conversation.tokens, pending: conversation.pending, position: conversation.decoder.position,
                nextLogits: bits(conversation.nextLogits ?? [])), result.speculation
        )
    }

    static func conversation(
        _ model: Gemma3nModel, _ prompt: [Int32], context: Int = 256, chunk: Int = 24, _ format: KVFormat? = nil
    ) throws -> Conversation {
        let conversation = Conversation(model, contextLength: context, chunk: chunk, keyValues: format)
        try conversation.feed(EncodedPrompt(tokens: prompt))
        return conversation
    }

    /// Words that come again and again, so that the earlier text has something to offer.
    static func prompt(_ index: Int) -> [Int32] { [2] + (0..<20 + index).map { Int32(20 + ($0 * (index + 3)) % (5 + index)) } }

    /// A clock that runs as it likes: what it says must not matter.
    static func clock() -> () -> Double {
        var random = RandomSource(seed: 9)
        var now = 0.0
        return {
            now += random.nextUnit()
            return now
        }
    }

    /// Slices that are nearly always right, sometimes, and hardly ever.
    static func speculations(_ model: Gemma3nModel) -> [Speculation] {
        let c = model.configuration.text
        func slice(_ share: Double, _ maxDraft: Int) -> Speculation {
            .slice(.slice(ModelSlice(widths: c.intermediateSize.map { Int(Double($0) * share) })), maxDraft: maxDraft)
        }
        var all = [slice(0.97, 5), slice(0.8, 3), .slice(), .lookup, .automatic]
        for index in all.indices { all[index].adapts = false }
        return all + [slice(0.97, 16), .automatic]
    }

    static func options() -> [(name: String, GenerationOptions)] {
        func sampling(_ change: (inout SamplingOptions) -> Void) -> GenerationOptions {
            var s = SamplingOptions()
            s.temperature = 0.7
            change(&s)
            var options = GenerationOptions(sampling: s, maxTokens: 40, stopTokens: [1])
            options.topLogProbabilities = 3
            return options
        }
        return [
            ("greedy", sampling { $0.temperature = 0 }),
            ("temperature", sampling { _ in }),
            ("few", sampling { $0.topK = 5 }),
            ("top-p", sampling { $0.topP = 0.6 }),
            ("min-p", sampling { $0.minP = 0.1 }),
            ("penalties", sampling { $0.repetitionPenalty = 1.3; $0.presencePenalty = 0.4; $0.frequencyPenalty = 0.2; $0.temperature = 0.3 }),
            ("greedy penalties", sampling { $0.temperature = 0; $0.repetitionPenalty = 1.1 }),
            ("bias", sampling { $0.logitBias = [20: 6, 21: 6, 22: 6, 23: -.infinity] }),
        ]
    }

    @Test(arguments: ["tiny", "tiny-text"])
    func sameAnswers(_ checkpoint: String) throws {
        let model = try Gemma3nModel(open: fixtureOpener(checkpoint))
        var total = SpeculationStatistics.Drafts()
        var (accepted, rejected) = (0, 0)
        for (name, base) in Self.options() {
            for index in 0..<3 {
                var options = base
                options.sampling.seed = UInt64(index + 1)
                let expected = try Self.answer(Self.conversation(model, Self.prompt(index)), options, .off)
                #expect(expected.speculation == nil)
                for (number, speculation) in Self.speculations(model).enumerated() {
                    let found = try Self.answer(
                        Self.conversation(model, Self.prompt(index)), options, speculation, clock: number % 2 == 0 ? nil : Self.clock())
                    let isSame = found.outcome == expected.outcome
                    #expect(isSame, "\(name), prompt \(index), speculation \(number)")
                    let statistics = try #require(found.speculation)
                    total = statistics.all
                    accepted += total.accepted
                    rejected += total.drafted - total.accepted
                    // Every token that was fed took a pass of its own, or was a guess that was right.
                    #expect(statistics.plainSteps + total.rounds + total.accepted == found.outcome.fed.count - Self.prompt(index).count)
                }
            }
        }
        // Both happen, or nothing was tested.
        #expect(accepted > 300 && rejected > 300, "\(accepted) right, \(rejected) wrong")
    }

    /// Wherever an answer ends: in the middle of right guesses, at the edge of the context, by the caller.
    @Test func sameEndings() throws {
        let model = try Gemma3nModel(open: fixtureOpener("tiny"))
        let prompt = Self.prompt(1)
        var options = GenerationOptions(sampling: .greedy, maxTokens: 30)
        let free = try Self.answer(Self.conversation(model, prompt), options, .off).outcome
        for speculation in Self.speculations(model) {
            for maxTokens in 0...8 {
                options.maxTokens = maxTokens
                let expected = try Self.answer(Self.conversation(model, prompt), options, .off).outcome
                let isSame = try Self.answer(Self.conversation(model, prompt), options, speculation).outcome == expected
                #expect(isSame && expected.finish == .length)
            }
            options.maxTokens = 30
            for end in stride(from: 1, to: 12, by: 2) {
                let cancelled = try Self.answer(Self.conversation(model, prompt), options, .off, cancelAfter: end).outcome
                var isSame = try Self.answer(Self.conversation(model, prompt), options, speculation, cancelAfter: end).outcome == cancelled
                #expect(isSame && cancelled.finish == .cancelled)

                // Stop ids and strings that come in the answer.
                options.stopTokens = [free.tokens[end]]
                let stopped = try Self.answer(Self.conversation(model, prompt), options, .off).outcome
                isSame = try Self.answer(Self.conversation(model, prompt), options, speculation).outcome == stopped
                #expect(isSame && stopped.finish == .stop && stopped.stopToken == free.tokens[end])
                options.stopTokens = []

                let tail = free.text.dropFirst(free.text.count * end / 12)
                options.stopStrings = [String(tail.prefix(3))]
                let cut = try Self.answer(Self.conversation(model, prompt), options, .off).outcome
                isSame = try Self.answer(Self.conversation(model, prompt), options, speculation).outcome == cut
                #expect(isSame && cut.finish == .stop && cut.stopToken == nil)
                options.stopStrings = []

                let context = prompt.count + end
                let full = try Self.answer(Self.conversation(model, prompt, context: context), options, .off).outcome
                isSame = try Self.answer(Self.conversation(model, prompt, context: context), options, speculation).outcome == full
                #expect(isSame && full.finish == .contextFull && full.position == context)
            }
        }
    }

    /// After an answer full of wrong guesses: how far the caches go back, what they hold there, and how the conversation goes on.
    @Test(arguments: KVFormat.allCases)
    func nothingIsLeftInTheCaches(_ format: KVFormat) throws {
        let model = try Gemma3nModel(open: fixtureOpener("tiny"))
        var sampling = SamplingOptions()
        sampling.temperature = 1
        sampling.seed = 5
        // Rings of 15 + chunk positions go round several times.
        for chunk in [2, 6, 17] {
            let options = GenerationOptions(sampling: sampling, maxTokens: 40 + chunk)
            for speculation in Self.speculations(model)[1...3] {
                for distance in [0, 1, chunk - 1, chunk, chunk + 1, 30] {
                    let plain = try Self.conversation(model, Self.prompt(2), chunk: chunk, format)
                    let guessed = try Self.conversation(model, Self.prompt(2), chunk: chunk, format)
                    _ = try Self.answer(plain, options, .off)
                    _ = try Self.answer(guessed, options, speculation)
                    let place = plain.tokens.count - distance
                    let goesBack = plain.rewind(to: place)
                    #expect(guessed.rewind(to: place) == goesBack, "chunk \(chunk), back by \(distance)")
                    if goesBack {
                        var rows: [[UInt32]] = []
                        for conversation in [plain, guessed] {
                            var row: [UInt32] = []
                            try conversation.feed(EncodedPrompt(tokens: Self.prompt(0)), wanted: .all, onLogits: { row += Self.bits($1) })
                            rows.append(row)
                        }
                        let isSame = rows[0] == rows[1]
                        #expect(isSame, "chunk \(chunk), back by \(distance)")
                    }
                }
            }
        }
    }

    /// Two answers one after the other, the second on what the first left, pieces in another slice.
    @Test func conversationsGoOn() throws {
        let model = try Gemma3nModel(open: fixtureOpener("tiny"))
        let most = try model.text.sliced(ModelSlice(widths: model.configuration.text.intermediateSize.map { $0 * 3 / 4 }))
        var sampling = SamplingOptions()
        sampling.temperature = 0.5
        sampling.seed = 3
        let options = GenerationOptions(sampling: sampling, maxTokens: 25)
        for speculation in [Speculation.automatic, .slice(.half, maxDraft: 3), .lookup] {
            var outcomes: [[Outcome]] = []
            for used in [Speculation.off, speculation] {
                let conversation = try Self.conversation(model, Self.prompt(0))
                var list = [try Self.answer(conversation, options, used, clock: Self.clock()).outcome]
                conversation.decoder.use(most)
                try conversation.feed(EncodedPrompt(tokens: Self.prompt(3)))
                list.append(try Self.answer(conversation, options, used, clock: Self.clock()).outcome)
                #expect(conversation.decoder.model === most)
                outcomes.append(list)
            }
            let isSame = outcomes[0] == outcomes[1]
            #expect(isSame)
        }
    }

    /// What may come next holds for guesses, too, and is asked with the same tokens.
    @Test func filtersRuleOutTokens() throws {
        let model = try Gemma3nModel(open: fixtureOpener("tiny"))
        // Even and odd tokens in turn: the former are written a, the latter b.
        let vocabulary = TokenVocabulary(
            tokens: (0..<model.configuration.text.vocabSize).map { $0 < 10 ? nil : [UInt8(ascii: $0 % 2 == 0 ? "a" : "b")] }, endTokens: [])
        let machine = ConstraintMachine(try Constraint(regularExpression: "(?:ab)*a?"), vocabulary)
        for (_, options) in Self.options() {
            let expected = try Self.answer(Self.conversation(model, Self.prompt(1)), options, .off, matcher: ConstraintMatcher(machine)).outcome
            #expect(expected.tokens.enumerated().allSatisfy { Int($1) % 2 == $0 % 2 } && expected.tokens.count == 40)
            for speculation in Self.speculations(model) {
                let isSame = try Self.answer(Self.conversation(model, Self.prompt(1)), options, speculation, matcher: ConstraintMatcher(machine)).outcome == expected
                #expect(isSame)
            }
        }
    }

    /// How often each pair of tokens comes, over many seeds, beside the probabilities the model itself gives them.
    @Test func distributionIsTheModels() throws {
        let model = try Gemma3nModel(open: fixtureOpener("tiny"))
        let prompt = Self.prompt(1)
        let allowed: [Int32] = [20, 21, 22, 23, 24]
        let vocabulary = TokenVocabulary(
            tokens: (0..<model.configuration.text.vocabSize).map { id in allowed.firstIndex(of: Int32(id)).map { [UInt8(ascii: "a") + UInt8($0)] } },
            endTokens: [])
        let machine = ConstraintMachine(try Constraint(regularExpression: "[a-e]*"), vocabulary)
        func probabilities(after tokens: [Int32]) throws -> [Double] {
            let logits = try #require(try Self.conversation(model, prompt + tokens).nextLogits)
            let weights = allowed.map { exp(Double(logits[Int($0)]) / 1.5) }
            return weights.map { $0 / weights.reduce(0, +) }
        }
        // Three tokens: the second and the third are guessed. Their joint distribution.
        var expected: [[Int32]: Double] = [:]
        for (a, pa) in zip(allowed, try probabilities(after: [])) {
            for (b, pb) in zip(allowed, try probabilities(after: [a])) {
                for (c, pc) in zip(allowed, try probabilities(after: [a, b])) { expected[[b, c], default: 0] += pa * pb * pc }
            }
        }
        let runs = 2000
        var speculation = Speculation.slice(.half, maxDraft: 4)
        speculation.adapts = false
        var counts: [[Int32]: Int] = [:]
        var drafts = SpeculationStatistics.Drafts()
        let conversation = try Self.conversation(model, prompt)
        for seed in 0..<runs {
            var sampling = SamplingOptions()
            sampling.temperature = 1.5
            sampling.seed = UInt64(seed)
            var options = GenerationOptions(sampling: sampling, maxTokens: 3)
            options.speculation = speculation
            _ = conversation.rewind(to: prompt.count - 1)
            try conversation.feed(EncodedPrompt(tokens: [prompt[prompt.count - 1]]))
            let result = try conversation.generate(options, hooks: GenerationHooks(matcher: ConstraintMatcher(machine)))
            counts[Array(result.tokens[1...]), default: 0] += 1
            drafts = drafts + (result.speculation?.all ?? SpeculationStatistics.Drafts())
        }
        // Pairs that are too rare for the approximation are put together.
        var (statistic, freedom) = (0.0, -1)
        var (restExpected, restCount) = (0.0, 0)
        for (pair, p) in expected {
            let (mean, count) = (p * Double(runs), counts[pair] ?? 0)
            if mean < 5 {
                restExpected += mean
                restCount += count
            } else {
                statistic += (Double(count) - mean) * (Double(count) - mean) / mean
                freedom += 1
            }
        }
        if restExpected > 0 {
            statistic += (Double(restCount) - restExpected) * (Double(restCount) - restExpected) / restExpected
            freedom += 1
        }
        // Mean f, standard deviation sqrt(2 f); four of them are passed by chance once in more than a thousand choices of seeds.
        let bound = Double(freedom) + 4 * (2 * Double(freedom)).squareRoot()
        #expect(freedom >= 8 && statistic < bound, "chi-square \(statistic) with \(freedom) degrees of freedom, bound \(bound)")
        #expect(drafts.accepted > runs / 10 && drafts.drafted - drafts.accepted > runs / 10)
    }

    @Test func badSettingsAreRefused() throws {
        let model = try Gemma3nModel(open: fixtureOpener("tiny"))
        let conversation = try Self.conversation(model, Self.prompt(0))
        for count in [0, -1, 17] {
            let error = #expect(throws: GenerationError.self) { try Self.answer(conversation, GenerationOptions(), .slice(maxDraft: count)) }
            #expect(error?.message == "The number of tokens to draft is \(count), expected 1 to 16.")
        }
        conversation.decoder.use(try model.text.sliced(ModelSize.half.slice(of: model.configuration.text)))
        let error = #expect(throws: GenerationError.self) { try Self.answer(conversation, GenerationOptions(), .slice(.whole)) }
        #expect(error?.code == .invalidOption)
        #expect(error?.message == "The slice whole cannot draft for half: it is not a part of it. Give a smaller one.")
        // Nothing smaller is made for the half: it goes on alone.
        let found = try Self.answer(conversation, GenerationOptions(maxTokens: 5), .slice())
        #expect(found.speculation?.all == SpeculationStatistics.Drafts() && found.speculation?.plainSteps == 4)
    }

    // MARK: Parts

    @Test func lookupFindsTheLongestNewestMatch() {
        func draft(_ tokens: [Int32], _ last: Int32, _ count: Int = 3) -> [Int32] { PromptLookup.draft(after: tokens, last, count: count).tokens }
        #expect(draft([], 1) == [])
        #expect(draft([1, 2, 3], 4) == [])
        #expect(draft([1, 2, 3], 1) == [2, 3, 1])
        #expect(PromptLookup.draft(after: [1, 2, 3], 1, count: 3).match == 1)
        // The newer of two places of one token.
        #expect(draft([1, 5, 1, 6, 9], 1) == [6, 9, 1])
        // A longer match goes before a newer one, three tokens are as good as more.
        #expect(draft([7, 1, 5, 8, 1, 6, 7], 1) == [5, 8, 1])
        #expect(PromptLookup.draft(after: [7, 1, 5, 8, 1, 6, 7], 1, count: 3).match == 2)
        #expect(draft([4, 7, 1, 2, 5, 9, 7, 1, 2, 6, 4, 7, 1], 2) == [6, 4, 7])
        // Repetition goes on.
        #expect(draft([3], 3, 4) == [3, 3, 3, 3])
        #expect(draft([3, 4, 3], 4, 5) == [3, 4, 3, 4, 3])
    }

    /// Costs 1 for a pass, 0.1 for a row more, and 0.5 for a guess of the slice.
    @Test func controllerFollowsTheGain() {
        typealias Source = SpeculationController.Source
        func experienced(_ right: Int, _ failed: Bool, times: Int = 40) -> SpeculationController {
            var controller = SpeculationController(guessShare: 0.5, hasClock: false)
            for _ in 0..<times {
                controller.learn(.slice, right: right, failed: failed)
                controller.learn(.match3, right: right, failed: failed)
            }
            return controller
        }
        // Always right: as many as allowed. 9 tokens in 1 + 8 * 0.6, in 1 + 8 * 0.1.
        let good = experienced(8, false)
        #expect(good.best(.slice, limit: 8).count == 8 && abs(good.best(.slice, limit: 8).gain - 9 / 5.8) < 0.05)
        #expect(good.best(.match3, limit: 8).count == 8 && abs(good.best(.match3, limit: 8).gain - 5) < 0.05)
        // Half of them: 1.5 tokens in 1.6 do not pay for the slice; they do for what costs nothing.
        var half = experienced(1, true)
        #expect(half.best(.slice, limit: 8).count == 0 && half.best(.slice, limit: 8).gain == 1)
        #expect((2...4).contains(half.best(.match3, limit: 8).count))
        // What does not pay is tried again, later every time, until it does.
        var pauses: [Int] = []
        for _ in 0..<4 {
            var pause = 1
            while !half.rests(.slice) { pause += 1 }
            half.learn(.slice, right: 0, failed: true)
            pauses.append(pause)
        }
        #expect(pauses == [8, 16, 32, 64])
        for _ in 0..<3 { half.learn(.slice, right: 2, failed: false) }
        #expect(half.best(.slice, limit: 8).count > 0)
    }

    /// Seconds decide where there are any.
    @Test func controllerMeasures() {
        var controller = SpeculationController(guessShare: 0.5, hasClock: true)
        #expect(controller.wantsPlainPass)
        #expect(controller.plainSeconds(1) == nil)
        for _ in 0..<2 { controller.timedPass(0.02) }
        #expect(!controller.wantsPlainPass && abs((controller.plainSeconds(10) ?? 0) - 0.2) < 1e-9)
        for _ in 0..<9 { controller.learn(.slice, right: 4, failed: true) }
        #expect(controller.best(.slice, limit: 8).count > 0)
        // Guesses turn out as dear as passes, or rows of a batch do.
        var dear = controller
        for _ in 0..<9 { dear.timedGuesses(0.08, count: 4) }
        #expect(dear.best(.slice, limit: 8).count == 0)
        for _ in 0..<9 { controller.timedRound(0.1, drafted: 4) }
        #expect(controller.best(.slice, limit: 8).count == 0)
        // Now and then a pass of one token is timed again.
        for _ in 0..<32 { controller.timedRound(0.03, drafted: 4) }
        #expect(controller.wantsPlainPass)
    }
}
