internal import CKernels
public import Tensors

/// Which tokens of a prefill the caller wants logits for.
public enum LogitsRequest: Sendable, Equatable {
    case none
    case last
    case all
}

/// A running conversation with a `TextModel`: its K/V caches and working memory.
///
/// `prefill` takes many tokens at once in chunks, `decode` one; both leave the same bits in the caches and give the same
/// logits, whatever the chunks and threads. Not thread safe: one caller at a time.
public final class TextDecoder {
    public private(set) var model: TextModel
    /// Positions at most.
    public let contextLength: Int
    /// Tokens in the caches so far.
    public private(set) var position = 0
    /// Tokens handled together during prefill.
    public let chunk: Int

    private let parallelism: Parallelism
    /// Those of the layers that make keys and values: the same ones in every slice.
    private let caches: [KVCache]
    /// The cache every layer reads: its own or its source's.
    private var sources: [KVCache]
    private let activations: TextActivations
    private var logitsBuffer: FloatBuffer
    private var tokenBuffer: [Int32] = []
    /// Positions below this were written at some time; a ring holds the newest of them.
    private var written = 0
    /// Where tokens stood that were taken back by `goBack`.
    private var drafted = 0

    /// Rows of logits computed together when all are asked for.
    private static let logitRows = 8

    /// - Parameters:
    ///   - contextLength: Tokens the caches may hold; memory grows as they fill.
    ///   - chunk: Tokens handled together during prefill; changes speed and memory, not results.
    ///   - keyValues: How keys and values are kept; `TextModel.defaultKVFormat` if nil.
    public init(
        _ model: TextModel, contextLength: Int, chunk: Int = 128, keyValues: KVFormat? = nil, parallelism: Parallelism = .serial
    ) {
        let c = model.configuration
        let format = keyValues ?? model.defaultKVFormat
        self.model = model
        self.contextLength = max(1, contextLength)
        self.chunk = max(1, min(chunk, self.contextLength))
        self.parallelism = parallelism
        let chunk = self.chunk
        // A window longer than the context sees all of it.
        let window = min(c.slidingWindow, self.contextLength)
        let contextLength = self.contextLength
        caches = (0..<c.firstSharedLayer).map { layer in
            KVCache(
                headCount: c.numKeyValueHeads, headDim: c.headDim, window: c.layerTypes[layer] == .sliding ? window : nil, chunk: chunk,
                contextLength: contextLength, format: format)
        }
        sources = Self.sources(caches, c)
        activations = TextActivations(model.whole, capacity: chunk)
        activations.layerCount = c.numHiddenLayers
        logitsBuffer = FloatBuffer(count: c.vocabSize)
    }

    private static func sources(_ caches: [KVCache], _ c: TextConfiguration) -> [KVCache] {
        (0..<c.numHiddenLayers).map { caches[c.keyValueSource(of: $0)] }
    }

    /// Goes on with another slice of the same model. What is in the caches stays: keys and values made by one slice are an
    /// approximation to those of another. For the other's own, `reset()` and feed the tokens again.
    ///
    /// - Precondition: `model` is a slice of what this decoder was made with, or that itself.
    public func use(_ model: TextModel) {
        if model === self.model { return }
        precondition(model.whole === self.model.whole, "a decoder runs slices of one model")
        self.model = model
        sources = Self.sources(caches, model.configuration)
        activations.layerCount = model.configuration.numHiddenLayers
    }

    /// Bytes of weights that products have read since this decoder was made: matrices and rows of tables, counted where they are
    /// multiplied. A product counts its weights once, however many tokens it takes; of layers with a cutoff the units count that
    /// survived. Norms and AltUp's coefficients, some thousandths, do not count.
    public var weightBytesRead: Int { activations.weightBytesRead }

    /// Bytes of K/V held now.
    public var cacheByteCount: Int { caches.reduce(0) { $0 + $1.byteCount } }

    /// Forgets everything.
    public func reset() {
        position = 0
        written = 0
    }

    /// Forgets the tokens from `newPosition` on, if the sliding caches still hold the window before it.
    ///
    /// - Returns: False, and nothing changes, when they do not: the caller must start again from `reset()`.
    public func rewind(to newPosition: Int) -> Bool {
        guard newPosition >= 0, newPosition <= position else { return false }
        for cache in caches {
            guard let ring = cache.ringLength, let window = cache.window else { continue }
            if max(0, newPosition - window + 1) < written - ring { return false }
        }
        position = newPosition
        return true
    }

    // MARK: Guesses

    /// Where the decoder stands, to come back to after tokens that may come to nothing.
    struct Bookmark {
        fileprivate let position: Int
        fileprivate let written: Int
    }

    var bookmark: Bookmark { Bookmark(position: position, written: written) }

    /// Makes what was fed since as if it had never been. Keys and values of the tokens lie where they were: `goForward` takes them again.
    ///
    /// - Precondition: At most `KVCache.draftRoom` tokens more than are taken again were fed since.
    func goBack(to bookmark: Bookmark) {
        drafted = position
        position = bookmark.position
        written = bookmark.written
    }

    /// Takes `count` tokens as fed that were fed before `goBack` by the slice that runs now, after the same tokens.
    func goForward(_ count: Int) {
        position += count
        written = max(written, position)
        precondition(position <= drafted, "\(position) tokens of \(drafted) that were fed")
    }

    // MARK: Feeding

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
        try check(tokens)
        var fed = 0
        while fed < tokens.count {
            guard shouldContinue(fed) else { return fed }
            let count = min(chunk, tokens.count - fed)
            let kept: Range<Int>? =
                switch wanted {
                case .all: nil
                case .last where fed + count == tokens.count: count - 1..<count
                case .last, .none: 0..<0
                }
            let start = fed
            tokens.withUnsafeBufferPointer { all in
                let part = UnsafeBufferPointer(rebasing: all[start..<start + count])
                feed(part, keeping: kept, taps: taps, embedding: { embedding(start + $0, $1) }) { rows in
                    emitLogits(rows) { row, logits in onLogits(start + row, logits) }
                }
            }
            fed += count
        }
        return fed
    }

    /// Feeds tokens and gives what the model makes of each: the normed hidden state that logits are computed from.
    ///
    /// - Parameter onState: Called in order with the index of the token and its `D` values, valid during the call.
    /// - Throws: As `prefill`.
    public func states(
        of tokens: [Int32], shouldContinue: (_ fed: Int) -> Bool = { _ in true }, onState: (_ index: Int, _ state: UnsafeBufferPointer<Float>) -> Void
    ) throws(GenerationError) {
        try check(tokens)
        let d = model.configuration.hiddenSize
        for start in stride(from: 0, to: tokens.count, by: chunk) {
            if !shouldContinue(start) { return }
            tokens.withUnsafeBufferPointer { all in
                let part = UnsafeBufferPointer(rebasing: all[start..<min(start + chunk, tokens.count)])
                feed(part, keeping: nil, taps: nil, embedding: { _, _ in false }) { rows in
                    for r in 0..<rows {
                        onState(start + r, UnsafeBufferPointer(start: activations.normed.pointer + r * d, count: d))
                    }
                }
            }
        }
    }

    /// - Throws: `contextFull`, `unknownToken`.
    private func check(_ tokens: [Int32]) throws(GenerationError) {
        guard position + tokens.count <= contextLength else {
            throw GenerationError(
                .contextFull,
                "The prompt needs \(position + tokens.count) tokens of context, but this session holds \(contextLength). Shorten the prompt or open the session with a longer context.")
        }
        for (index, token) in tokens.enumerated() where token < 0 || Int(token) >= model.configuration.vocabSize {
            throw GenerationError(
                .unknownToken, "Token \(index) of the prompt is \(token), outside the vocabulary of \(model.configuration.vocabSize).")
        }
    }

    /// Feeds one token and gives the logits of the next, valid during the call of `body`.
    ///
    /// - Throws: `contextFull`, `unknownToken`.
    public func decode<R>(_ token: Int32, taps: Taps? = nil, _ body: (UnsafeMutableBufferPointer<Float>) -> R) throws(GenerationError) -> R {
        guard position < contextLength else {
            throw GenerationError(
                .contextFull,
                "The prompt needs \(position + 1) tokens of context, but this session holds \(contextLength). Shorten the prompt or open the session with a longer context.")
        }
        guard token >= 0, Int(token) < model.configuration.vocabSize else {
            throw GenerationError(.unknownToken, "The token is \(token), outside the vocabulary of \(model.configuration.vocabSize).")
        }
        var result: R?
        withUnsafePointer(to: token) { pointer in
            feed(UnsafeBufferPointer(start: pointer, count: 1), keeping: 0..<1, taps: taps, embedding: { _, _ in false }) { rows in
                emitLogits(rows) { _, logits in result = body(logits) }
            }
        }
        guard let result else { preconditionFailure("one token gives one row of logits") }
        return result
    }

    /// One chunk through the whole model.
    ///
    /// - Parameter kept: The rows carried on above the last layer that makes K/V; nil for all.
    private func feed(
        _ tokens: UnsafeBufferPointer<Int32>, keeping kept: Range<Int>?, taps: Taps?, embedding: (Int, UnsafeMutablePointer<Float>) -> Bool,
        finish: (_ rows: Int) -> Void
    ) {
        let c = model.configuration
        let a = activations
        let d = c.hiddenSize
        let count = tokens.count
        let everyRow = 0..<count
        let kept = kept == everyRow ? nil : kept
        a.rows.start(at: position, count: count)

        // Input embeddings into stream 0.
        for (row, token) in tokens.enumerated() {
            let e = a.streams.pointer + row * d
            if !embedding(row, e) {
                model.embed(token, into: e)
                a.weightBytesRead += model.embedTokens.byteCount(ofColumns: d)
            }
        }
        taps?.record("text.embeddings", shape: [count, d], a.streams.pointer)

        // Per-layer inputs: those of the K/V-sharing layers only for rows that get there.
        let ple = model.perLayerEmbedding
        let split = kept == nil || !ple.canBegin(at: c.firstSharedLayer) ? c.numHiddenLayers : c.firstSharedLayer
        let e = UnsafePointer(a.streams.pointer)
        a.weightBytesRead += ple(
            e, a.input, tokens: tokens, layers: 0..<split, rows: everyRow, into: a.perLayerInputs.pointer, parallelism)
        a.weightBytesRead += ple(
            e, a.input, tokens: tokens, layers: split..<c.numHiddenLayers, rows: kept ?? everyRow, into: a.perLayerInputs.pointer,
            parallelism)
        if kept == nil {
            taps?.record(
                "text.per_layer_inputs", shape: [count, c.numHiddenLayers, c.hiddenSizePerLayerInput], a.perLayerInputs.pointer)
        }

        model.spread(a.streams.pointer, stride: a.streamStride, tokens: count, a.input, parallelism)
        for matrix in model.altupProjections { a.weightBytesRead += matrix.byteCount }
        taps?.recordStreams("text.streams", a.streams.pointer, a, c.altupNumInputs, d)

        for (index, layer) in model.layers.enumerated() {
            let isLastOwner = index == c.firstSharedLayer - 1
            let next = index + 1 < model.layers.count ? model.layers[index + 1].attention.query : model.altupUnembedProjections.first ?? model.head
            layer(a, cache: sources[index], keeping: isLastOwner ? kept : nil, next: next, taps: taps, parallelism)
            if isLastOwner, kept?.isEmpty == true { break }
        }
        position += count
        written = max(written, position)

        let rows = a.rows.count
        if rows == 0 { return }
        model.join(
            a.streams.pointer, stride: a.streamStride, tokens: rows, a.input, scratch: a.hidden.pointer, into: a.normed.pointer, parallelism)
        for matrix in model.altupUnembedProjections { a.weightBytesRead += matrix.byteCount }
        taps?.record("text.norm", shape: [rows, d], a.normed.pointer)
        finish(rows)
    }

    private func emitLogits(_ rows: Int, _ onLogits: (Int, UnsafeMutableBufferPointer<Float>) -> Void) {
        let vocabulary = model.configuration.vocabSize
        let slab = min(rows, Self.logitRows)
        if logitsBuffer.count < slab * vocabulary { logitsBuffer = FloatBuffer(count: slab * vocabulary) }
        var start = 0
        while start < rows {
            let count = min(slab, rows - start)
            model.logits(
                activations.normed.pointer + start * model.configuration.hiddenSize, tokens: count, activations.input,
                into: logitsBuffer.pointer, parallelism)
            activations.weightBytesRead += model.head.byteCount
            for r in 0..<count {
                onLogits(
                    activations.rows.source[start + r],
                    UnsafeMutableBufferPointer(start: logitsBuffer.pointer + r * vocabulary, count: vocabulary))
            }
            start += count
        }
    }
}
