internal import Gemma3n

/// A request while its answer is computed. Lives on the engine's thread.
final class RunningAnswer {
    let ticket: AnswerTicket
    let whole: EncodedPrompt
    let slice: TextModel
    let generation: Generation
    /// Of keys and values that it may come to need.
    let reservedBytes: Int
    /// Whether nothing else was computed beside it.
    var wasAlone = true
    /// Where its caches are to be made so that other requests can begin with them, whatever follows; in the prompt, ascending.
    private var checkpoints: [Int]
    /// Whether a checkpoint near the end of the prompt is of use.
    private let isLong: Bool
    private var statistics: ResponseStatistics
    private let start: Double
    private var text = ""
    private var probabilities: [TokenProbabilities] = []
    private var count = 0

    init(
        _ prepared: PreparedAnswer, _ slice: TextModel, _ generation: Generation, _ place: EnteringAnswer.Place, encodeSeconds: Double, _ configuration: Gemma3nConfiguration
    ) {
        ticket = prepared.ticket
        whole = prepared.whole
        self.slice = slice
        self.generation = generation
        reservedBytes = place.bytes
        isLong = !generation.sequence.forksAnywhere(in: whole.tokens.count + prepared.options.maxTokens)
        checkpoints = isLong ? [place.beginning.missed].compactMap { $0 } : []
        start = ticket.seconds
        statistics = ResponseStatistics()
        statistics.count(whole, configuration)
        statistics.cachedTokens = generation.tokens.count
        statistics.decodeMediaSeconds = prepared.seconds
        statistics.encodeSeconds = encodeSeconds
        statistics.size = prepared.size
        ticket.begin(statistics)
    }

    /// Whether it takes one token at a time.
    var isDecoding: Bool { count > 0 && generation.waitingCount == 1 }
    /// Whether its prompt is still being fed.
    var isPrefilling: Bool { count == 0 }

    /// What is in its caches.
    var held: PrefixCache.Held {
        PrefixCache.Held(
            sequence: generation.sequence, prompt: EncodedPrompt(tokens: generation.tokens, images: whole.images, clips: whole.clips),
            slice: slice.slice, scope: ticket.answer.cacheScope, clipLength: whole.clipLength)
    }

    /// How far its prompt agrees with another one, whether it is in the caches yet or not.
    func common(with other: EncodedPrompt, _ slice: ModelSlice, scope: String?, _ c: Gemma3nConfiguration) -> Int {
        let own = PrefixCache.Held(
            sequence: generation.sequence, prompt: whole, slice: self.slice.slice, scope: ticket.answer.cacheScope, clipLength: whole.clipLength)
        return own.common(with: other, slice, scope: scope, limit: min(whole.tokens.count, other.tokens.count - 1), c)?.tokens ?? 0
    }

    /// Another one is to begin with the first `count` tokens of its prompt, which are not in the caches yet.
    func prepare(forkAt count: Int) {
        guard isLong, !checkpoints.contains(count) else { return }
        checkpoints.append(count)
        checkpoints.sort()
    }

    /// Adds the next tokens to a batch: at most `limit`, and none behind a checkpoint that is to be made.
    func add(to batch: TextBatch, limit: Int) -> Bool {
        if isPrefilling, isLong, generation.waitingCount <= min(limit, batch.room, generation.sequence.chunk) {
            // The last piece of the prompt: answers to changed last turns begin here.
            generation.sequence.makeCheckpoint()
        }
        let before = checkpoints.first.map { $0 - generation.tokens.count } ?? limit
        return generation.add(to: batch, limit: min(limit, before)) != nil
    }

    /// Makes the next checkpoint if the prompt is there now.
    func makeCheckpoint() {
        guard let next = checkpoints.first, generation.tokens.count >= next else { return }
        if generation.tokens.count == next { generation.sequence.makeCheckpoint() }
        checkpoints.removeAll { $0 <= generation.tokens.count }
    }

    func take(_ logits: UnsafeMutableBufferPointer<Float>) {
        if count == 0 { statistics.prefillSeconds = ticket.seconds - start }
        generation.take(logits) { token in
            count += 1
            if count == 1 { statistics.timeToFirstToken = ticket.seconds }
            statistics.generationSeconds = ticket.seconds - statistics.timeToFirstToken
            text += token.text
            if let chosen = token.logProbability {
                probabilities.append(TokenProbabilities(chosen: chosen, top: token.topLogProbabilities, text: token.text))
            }
            ticket.emit(token, count: count)
            return !ticket.isStopped
        }
    }

    /// The response, and the text that became certain with its end; nil while it is under way.
    func outcome() -> Result<(response: Response, rest: String), SessionError>? {
        if let error = generation.error { return .failure(SessionError(error)) }
        guard let result = generation.result else { return nil }
        statistics.responseTokens = result.tokens.count
        statistics.determinedTokens = result.determinedTokens
        var response = Response(
            content: result.text, finishReason: result.finishReason, tokens: result.tokens, logProbabilities: probabilities, statistics: statistics)
        response.stopSequence = result.stopString
        return .success((response, String(decoding: Array(result.text.utf8.dropFirst(text.utf8.count)), as: UTF8.self)))
    }
}
