internal import Gemma3n
internal import Gemma3nHost
internal import Tokenization

/// Measures the rungs of a ladder in turn, part by part: whatever else the machine does falls on all of them alike, and what is stopped
/// early has judged every slice by the same questions.
final class CurveMeasurement {
    /// Thrown when `isStopped` said so; what was measured stays.
    struct Stopped: Error {}

    private(set) var curve: Curve
    private let model: Gemma3nLanguageModel
    private let rungs: [Ladder.Rung]
    private let isStopped: () -> Bool
    private let meter = ProgressMeter()

    init(_ model: Gemma3nLanguageModel, _ ladder: Ladder, data: String, _ measure: Curve.Measure, isStopped: @escaping () -> Bool) {
        self.model = model
        rungs = ladder.rungs
        self.isStopped = isStopped
        curve = Curve(
            model: model.files.name, data: data, measure: measure,
            points: ladder.rungs.map {
                CurvePoint(
                    name: $0.name, slice: $0.text.slice, parameters: $0.parameters, bytesPerToken: TextWork($0.text).bytesPerToken,
                    quality: measure == .perplexity ? .perplexity(Perplexity()) : .accuracy(ExamScore()))
            })
    }

    /// Times `tokens` decoded tokens of every slice from an empty cache, `rounds` times.
    ///
    /// - Throws: `Stopped`, `GenerationError`.
    func speeds(tokens: Int, rounds: Int) throws {
        defer { meter.end() }
        let decoder = model.decoder(contextLength: min(model.contextLength, tokens), model.parallelism)
        let c = model.model.configuration.text
        // Spread over the vocabulary: every token reads its row of the per-layer table at a new place, as a conversation does.
        let ids = (0..<min(tokens, model.contextLength)).map { $0 == 0 ? 2 : Int32((1000 + $0 * 7807) % min(200_000, c.vocabSize, c.vocabSizePerLayerInput)) }
        let clock = ContinuousClock()
        for round in -1..<rounds {
            for (index, rung) in rungs.enumerated() {
                meter.show("speed", done: (round + 1) * rungs.count + index, total: (rounds + 1) * rungs.count)
                decoder.use(rung.text)
                decoder.reset()
                // Before the first round all weights are read once.
                for id in round < 0 ? ids.prefix(2) : ids[...] {
                    if isStopped() { throw Stopped() }
                    let start = clock.now
                    try decoder.decode(id) { _ in }
                    if round >= 0 { curve.points[index].tokenSeconds.append(start.duration(to: clock.now) / .seconds(1)) }
                }
            }
        }
    }

    /// Judges a text by every slice.
    ///
    /// - Throws: `Stopped`, `GenerationError`.
    func perplexity(_ windows: [[Int32]]) throws {
        defer { meter.end() }
        curve.total = windows.reduce(0) { $0 + $1.count - 1 }
        let conversation = model.conversation(contextLength: windows.map(\.count).max() ?? 1)
        for window in windows {
            var judged: [Perplexity] = []
            for (index, rung) in rungs.enumerated() {
                meter.show("perplexity", done: curve.judged * rungs.count + window.count * index, total: curve.total * rungs.count)
                guard case .perplexity(var perplexity) = curve.points[index].quality else { continue }
                conversation.decoder.use(rung.text)
                try stoppable { () throws(GenerationError) in try perplexity.add(window, in: conversation) { !isStopped() } }
                judged.append(perplexity)
            }
            for (index, perplexity) in judged.enumerated() { curve.points[index].quality = .perplexity(perplexity) }
            curve.judged += window.count - 1
        }
    }

    /// Asks every slice the questions, greedily, each in a conversation of its own. Media are encoded once for all slices.
    ///
    /// - Throws: `Stopped`, `GenerationError`, `MediaError`.
    func accuracy(_ items: [ExamItem]) throws {
        defer { meter.end() }
        curve.total = items.count
        let encoder = PromptEncoder(model.model)
        let conversation = model.conversation(contextLength: model.contextLength)
        for item in items {
            let parts = try item.prompt.decoded(by: model.decoder)
            let prompt = try encoder.encode([ModelMessage(.user, parts)])
            let soft = try stoppable { () throws(GenerationError) in
                try model.model.encodeMedia(prompt, model.parallelism) { !isStopped() }
            }
            let room = model.contextLength - prompt.tokens.count + 1
            let options = try ResponseOptions(sampling: .greedy, maximumResponseTokens: ExamResult.longestAnswer)
                .resolved(model.model.generationConfiguration, room: room)
            var answers: [String] = []
            for (index, rung) in rungs.enumerated() {
                meter.show("questions", done: curve.judged * rungs.count + index, total: items.count * rungs.count)
                conversation.decoder.use(rung.text)
                conversation.reset()
                try stoppable { () throws(GenerationError) in
                    try conversation.feed(prompt, softTokens: soft, progress: { _, _ in !isStopped() })
                }
                let result = try conversation.generate(options) { _ in !isStopped() }
                if isStopped() { throw Stopped() }
                answers.append(String(result.text[...].trimmingSpaces))
            }
            for (index, answer) in answers.enumerated() {
                guard case .accuracy(var score) = curve.points[index].quality else { continue }
                score.add(item, answer)
                curve.points[index].quality = .accuracy(score)
            }
            curve.judged += 1
        }
    }

    /// - Throws: `Stopped` for what was cancelled.
    private func stoppable<R>(_ body: () throws(GenerationError) -> R) throws -> R {
        do throws(GenerationError) {
            return try body()
        } catch {
            if error.code == .cancelled { throw Stopped() }
            throw error
        }
    }
}
