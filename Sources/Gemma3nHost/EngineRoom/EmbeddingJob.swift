internal import Gemma3n

/// Texts that become vectors, a piece at a time between the steps of answers. Lives on the engine's thread.
final class EmbeddingJob: @unchecked Sendable {
    // Handed over once, under the room's lock, to the engine's thread.
    private let prompts: [[Int32]]
    private let request: ResponseRequest
    private let completion: (Result<[[Float]], SessionError>) -> Void
    private var vectors: [[Float]] = []
    private var sequence: TextSequence?
    private var sum: [Double] = []

    init(_ prompts: [[Int32]], _ request: ResponseRequest, completion: @escaping @Sendable (Result<[[Float]], SessionError>) -> Void) {
        self.prompts = prompts
        self.request = request
        self.completion = completion
    }

    /// Whether nobody wants it any more; it has ended then.
    func endsIfStopped() -> Bool {
        request.isStopped && finish(.failure(SessionError(.unsupportedPrompt, "The request was cancelled.")))
    }

    /// Takes the next tokens through the model.
    ///
    /// - Returns: Whether that was all.
    func step(_ model: TextModel, _ batch: TextBatch, limit: Int, makeSequence: () -> TextSequence) -> Bool {
        guard vectors.count < prompts.count else { return finish(.success(vectors)) }
        let tokens = prompts[vectors.count]
        let sequence = sequence ?? makeSequence()
        self.sequence = sequence
        if sequence.position == 0 { sum = [Double](repeating: 0, count: model.configuration.hiddenSize) }
        let count = min(tokens.count - sequence.position, limit, batch.room, sequence.chunk)
        do throws(GenerationError) {
            try batch.add(Array(tokens[sequence.position..<sequence.position + count]), to: sequence, wanted: .all)
        } catch {
            return finish(.failure(SessionError(error)))
        }
        batch.runForStates(model) { _, _, state in
            for i in 0..<state.count { sum[i] += Double(state[i]) }
        }
        if sequence.position == tokens.count {
            let length = sum.reduce(0) { $0 + $1 * $1 }.squareRoot()
            vectors.append(sum.map { Float(length > 0 ? $0 / length : 0) })
            sequence.reset()
        }
        return vectors.count == prompts.count ? finish(.success(vectors)) : false
    }

    private func finish(_ result: Result<[[Float]], SessionError>) -> Bool {
        completion(result)
        return true
    }
}
