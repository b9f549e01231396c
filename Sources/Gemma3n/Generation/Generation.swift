/// An answer that is made a step at a time beside others: says which tokens it wants fed, and takes logits.
///
///     while !generation.isFinished {
///         let part = generation.add(to: batch, limit: 32)
///         batch.run(model) { _, _, logits in generation.take(logits) { … } }
///     }
///
/// Its tokens are those that `Conversation.generate` makes of the same prompt and options without guessing.
public final class Generation {
    public let sequence: TextSequence
    /// Every token in the caches.
    public private(set) var tokens: [Int32]
    /// What is to be fed, from `tokens.count` of the whole sequence on.
    private var waiting: [Int32]
    private var fed = 0
    /// Of the prompt; tokens of the answer need none.
    private var embeddings: PromptEmbeddings?
    private var answer: Answer
    /// Set at the end.
    public private(set) var result: GenerationResult?
    public private(set) var error: GenerationError?

    /// - Parameters:
    ///   - sequence: What holds the beginning of the prompt.
    ///   - held: The tokens in it.
    ///   - prompt: The rest of the prompt, with its media; at least one token.
    ///   - soft: The encoded media of the rest.
    ///   - matcher: What the answer is held to.
    /// - Throws: `emptyPrompt`, `contextFull`, `unknownToken`, `mediaMismatch`, `missingModality`, `invalidOption`.
    public init(
        _ model: Gemma3nModel, _ sequence: TextSequence, held: [Int32] = [], prompt: EncodedPrompt, soft: SoftTokens = SoftTokens(),
        _ options: GenerationOptions, hooks: GenerationHooks = GenerationHooks()
    ) throws(GenerationError) {
        precondition(held.count == sequence.position, "\(held.count) tokens for the \(sequence.position) of the sequence")
        guard !prompt.tokens.isEmpty else {
            throw GenerationError(.emptyPrompt, "The prompt holds no tokens; give at least one.")
        }
        try sequence.checkRoom(for: prompt.tokens.count)
        try model.text.check(prompt.tokens)
        embeddings = try PromptEmbeddings(model, prompt.tokens, prompt) { soft }
        answer = try Answer(options, model, prompt: held + prompt.tokens, hooks.matcher)
        self.sequence = sequence
        tokens = held
        waiting = prompt.tokens
    }

    public var isFinished: Bool { result != nil || error != nil }

    /// Tokens that wait to be fed; one while an answer is drawn token by token.
    public var waitingCount: Int { waiting.count - fed }

    /// Whether the prompt, or a part of the answer that was determined, is being fed.
    public var isPrefilling: Bool { waitingCount > 1 || embeddings != nil }

    /// Adds the next tokens that wait to a batch. The logits of the last are wanted, if it is among them.
    ///
    /// - Parameter limit: Tokens at most.
    /// - Returns: The number of the part in the batch; nil, and nothing is added, if there are none or no room.
    public func add(to batch: TextBatch, limit: Int) -> Int? {
        let count = min(waitingCount, limit, batch.room, sequence.chunk)
        if count < 1 { return nil }
        let start = fed
        let isLast = start + count == waiting.count
        let part = waiting.withUnsafeBufferPointer { all in
            batch.add(UnsafeBufferPointer(rebasing: all[start..<start + count]), to: sequence, wanted: isLast ? .last : .none) { index, e in
                embeddings?.write(start + index, into: e) ?? false
            }
        }
        tokens += waiting[start..<start + count]
        fed += count
        return part
    }

    /// Takes the logits of the last token that waited.
    ///
    /// - Parameters:
    ///   - logits: Changed as they are adjusted.
    ///   - onToken: Called for every token as it comes; false ends the answer (`.cancelled`).
    public func take(_ logits: UnsafeMutableBufferPointer<Float>, onToken: (GeneratedToken) -> Bool) {
        precondition(waitingCount == 0 && !isFinished, "logits before the last token")
        embeddings = nil
        answer.wasFed()
        do throws(GenerationError) {
            switch try answer.turn(logits, room: sequence.contextLength - sequence.position, onToken: onToken) {
            case .feed:
                waiting.removeAll(keepingCapacity: true)
                waiting += answer.pending
                fed = 0
            case .ended(let reason): end(reason)
            }
        } catch {
            self.error = error
        }
    }

    /// Ends the answer where it stands.
    public func cancel() {
        if !isFinished { end(.cancelled) }
    }

    private func end(_ reason: FinishReason?) {
        waiting = []
        fed = 0
        result = answer.finished(reason, nil)
    }
}
