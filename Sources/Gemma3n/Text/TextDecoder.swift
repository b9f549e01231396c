public import Tensors

/// Which tokens of a prefill the caller wants logits for.
public enum LogitsRequest: Sendable, Equatable {
    case none
    case last
    case all
}

/// A running conversation with a `TextModel`: one sequence, and the memory to compute it.
///
/// `prefill` takes many tokens at once in chunks, `decode` one; both leave the same bits in the caches and give the same
/// logits, whatever the chunks and threads. Not thread safe: one caller at a time.
public final class TextDecoder {
    public private(set) var model: TextModel
    public let sequence: TextSequence
    private let batch: TextBatch

    /// - Parameters:
    ///   - contextLength: Tokens the caches may hold; memory grows as they fill.
    ///   - chunk: Tokens handled together during prefill; changes speed and memory, not results.
    ///   - keyValues: How keys and values are kept; `TextModel.defaultKVFormat` if nil.
    public init(
        _ model: TextModel, contextLength: Int, chunk: Int = 128, keyValues: KVFormat? = nil, parallelism: Parallelism = .serial
    ) {
        self.model = model
        sequence = TextSequence(model, contextLength: contextLength, chunk: chunk, keyValues: keyValues)
        batch = TextBatch(model, capacity: sequence.chunk, parallelism: parallelism)
    }

    /// A copy that goes on by itself.
    init(copying other: TextDecoder, _ parallelism: Parallelism) {
        model = other.model
        sequence = other.sequence.fork(at: other.position)
        batch = TextBatch(other.model, capacity: sequence.chunk, parallelism: parallelism)
    }

    /// Positions at most.
    public var contextLength: Int { sequence.contextLength }
    /// Tokens in the caches so far.
    public var position: Int { sequence.position }
    /// Tokens handled together during prefill.
    public var chunk: Int { sequence.chunk }

    /// Goes on with another slice of the same model. What is in the caches stays: keys and values made by one slice are an
    /// approximation to those of another. For the other's own, `reset()` and feed the tokens again.
    ///
    /// - Precondition: `model` is a slice of what this decoder was made with, or that itself.
    public func use(_ model: TextModel) {
        precondition(model.whole === self.model.whole, "a decoder runs slices of one model")
        self.model = model
    }

    /// Bytes of weights that products have read since this decoder was made: matrices and rows of tables, counted where they are
    /// multiplied. A product counts its weights once, however many tokens it takes; of layers with a cutoff the units count that
    /// survived. Norms and AltUp's coefficients, some thousandths, do not count.
    public var weightBytesRead: Int { batch.weightBytesRead }

    /// Bytes of K/V held now.
    public var cacheByteCount: Int { sequence.cacheByteCount }

    /// Forgets everything.
    public func reset() { sequence.reset() }

    /// Forgets the tokens from `newPosition` on, if the sliding caches still hold the window before it.
    ///
    /// - Returns: False, and nothing changes, when they do not: the caller must start again from `reset()`.
    public func rewind(to newPosition: Int) -> Bool { sequence.rewind(to: newPosition) }

    /// Feeds tokens.
    ///
    /// - Parameters:
    ///   - tokens: Ids below `vocab_size`.
    ///   - wanted: Whose logits are computed. Above the last layer that makes K/V only those tokens are carried on.
    ///   - embedding: Called for every token in order with its index; writes `D` values and returns true where the
    ///     token's embedding is not the row of the table (soft tokens, hard tokens of the other modalities).
    ///   - shouldContinue: Asked before every chunk; false ends early.
    ///   - onLogits: Called with the index of the token and its `V` logits, valid during the call.
    /// - Returns: The number of tokens fed: all of them unless `shouldContinue` said no.
    /// - Throws: `contextFull` if they do not fit, `unknownToken` for an id outside the vocabulary; nothing is fed then.
    @discardableResult
    public func prefill(
        _ tokens: [Int32], wanted: LogitsRequest = .last,
        embedding: (_ index: Int, _ e: UnsafeMutablePointer<Float>) -> Bool = { _, _ in false },
        taps: Taps? = nil, shouldContinue: (_ fed: Int) -> Bool = { _ in true },
        onLogits: (_ index: Int, _ logits: UnsafeMutableBufferPointer<Float>) -> Void
    ) throws(GenerationError) -> Int {
        try feed(tokens, wanted, embedding, shouldContinue) { start in
            batch.run(model, taps: taps) { _, index, logits in onLogits(start + index, logits) }
        }
    }

    /// Feeds tokens and gives what the model makes of each: the normed hidden state that logits are computed from.
    ///
    /// - Parameter onState: Called in order with the index of the token and its `D` values, valid during the call.
    /// - Returns: As `prefill`.
    /// - Throws: As `prefill`.
    @discardableResult
    public func states(
        of tokens: [Int32], shouldContinue: (_ fed: Int) -> Bool = { _ in true },
        onState: (_ index: Int, _ state: UnsafeBufferPointer<Float>) -> Void
    ) throws(GenerationError) -> Int {
        try feed(tokens, .all, { _, _ in false }, shouldContinue) { start in
            batch.runForStates(model) { _, index, state in onState(start + index, state) }
        }
    }

    /// - Parameter run: Runs the batch, which holds the tokens from its argument on.
    private func feed(
        _ tokens: [Int32], _ wanted: LogitsRequest, _ embedding: (Int, UnsafeMutablePointer<Float>) -> Bool, _ shouldContinue: (Int) -> Bool,
        _ run: (_ start: Int) -> Void
    ) throws(GenerationError) -> Int {
        try sequence.checkRoom(for: tokens.count)
        try model.check(tokens)
        var fed = 0
        while fed < tokens.count {
            guard shouldContinue(fed) else { return fed }
            let (start, count) = (fed, min(chunk, tokens.count - fed))
            let part: LogitsRequest = wanted == .last && start + count < tokens.count ? .none : wanted
            tokens.withUnsafeBufferPointer { all in
                _ = batch.add(UnsafeBufferPointer(rebasing: all[start..<start + count]), to: sequence, wanted: part) { embedding(start + $0, $1) }
            }
            run(start)
            fed += count
        }
        return fed
    }

    /// Feeds one token and gives the logits of the next, valid during the call of `body`.
    ///
    /// - Throws: `contextFull`, `unknownToken`.
    public func decode<R>(_ token: Int32, taps: Taps? = nil, _ body: (UnsafeMutableBufferPointer<Float>) -> R) throws(GenerationError) -> R {
        try sequence.checkRoom(for: 1)
        guard token >= 0, Int(token) < model.configuration.vocabSize else {
            throw GenerationError(.unknownToken, "The token is \(token), outside the vocabulary of \(model.configuration.vocabSize).")
        }
        withUnsafePointer(to: token) { pointer in
            _ = batch.add(UnsafeBufferPointer(start: pointer, count: 1), to: sequence, wanted: .all) { _, _ in false }
        }
        var result: R?
        batch.run(model, taps: taps) { _, _, logits in result = body(logits) }
        guard let result else { preconditionFailure("one token gives one row of logits") }
        return result
    }
}
