public import Tensors

/// Rows of several sequences that go through a model together, and the memory they need on the way.
///
///     try batch.add(prompt, to: first, wanted: .last)
///     try batch.add([token], to: second, wanted: .all)
///     batch.run(model) { part, index, logits in … }
///
/// The weights are read once for all rows. A row's results depend on its own sequence and on nothing beside it, bit for bit. Not
/// thread safe: one caller at a time.
public final class TextBatch {
    /// Rows at most.
    public let capacity: Int
    private let whole: TextModel
    private let parallelism: Parallelism
    private let activations: TextActivations
    private var logitsBuffer: FloatBuffer
    /// Rows of logits computed together.
    private let logitRows: Int

    /// - Parameters:
    ///   - capacity: Rows at most: tokens of all sequences.
    ///   - logitRows: Rows of logits computed together; memory grows as they are wanted.
    public init(_ model: TextModel, capacity: Int, logitRows: Int = 8, parallelism: Parallelism = .serial) {
        whole = model.whole
        self.capacity = max(1, capacity)
        self.logitRows = max(1, logitRows)
        self.parallelism = parallelism
        activations = TextActivations(whole, capacity: self.capacity)
        logitsBuffer = FloatBuffer(count: whole.configuration.vocabSize)
    }

    /// Rows that may still be added.
    public var room: Int { capacity - activations.rows.count }

    /// Bytes of weights that products have read; see `TextDecoder.weightBytesRead`.
    public var weightBytesRead: Int { activations.weightBytesRead }

    /// Forgets what was added.
    public func clear() { activations.rows.clear() }

    /// Adds tokens that follow what is in a sequence.
    ///
    /// - Parameters:
    ///   - wanted: Whose logits are computed. Above the last layer that makes K/V only those tokens are carried on.
    ///   - embedding: Called at once for every token in order with its index; writes `D` values and returns true where the token's
    ///     embedding is not the row of the table (soft tokens, hard tokens of the other modalities).
    /// - Returns: The number of the part, from 0 on.
    /// - Throws: `contextFull` if they do not fit, `unknownToken` for an id outside the vocabulary; nothing is added then.
    /// - Precondition: There is room for them, the sequence takes so many at once and is not in the batch yet.
    @discardableResult
    public func add(
        _ tokens: [Int32], to sequence: TextSequence, wanted: LogitsRequest,
        embedding: (_ index: Int, _ e: UnsafeMutablePointer<Float>) -> Bool = { _, _ in false }
    ) throws(GenerationError) -> Int {
        try sequence.checkRoom(for: tokens.count)
        try whole.check(tokens)
        return tokens.withUnsafeBufferPointer { add($0, to: sequence, wanted: wanted, embedding: embedding) }
    }

    /// As `add` of an array, of tokens that were checked.
    func add(
        _ tokens: UnsafeBufferPointer<Int32>, to sequence: TextSequence, wanted: LogitsRequest,
        embedding: (_ index: Int, _ e: UnsafeMutablePointer<Float>) -> Bool
    ) -> Int {
        precondition(sequence.whole === whole, "a batch runs sequences of one model")
        precondition(tokens.count <= sequence.chunk, "\(tokens.count) tokens at once of a sequence that takes \(sequence.chunk)")
        let a = activations
        let d = whole.configuration.hiddenSize
        let first = a.rows.count
        let part = a.rows.add(tokens, sequence, wanted)
        for (index, token) in tokens.enumerated() {
            let e = a.streams.pointer + (first + index) * d
            if !embedding(index, e) {
                whole.embed(token, into: e)
                a.weightBytesRead += whole.embedTokens.byteCount(ofColumns: d)
            }
        }
        return part
    }

    /// Takes everything that was added through the model; the batch is empty afterwards.
    ///
    /// - Parameters:
    ///   - model: The model, or a slice of it.
    ///   - onLogits: Called with the part, the token's index in it and its `V` logits, valid during the call and free to be changed; in the
    ///     order in which they were added.
    public func run(
        _ model: TextModel, taps: Taps? = nil, onLogits: (_ part: Int, _ index: Int, _ logits: UnsafeMutableBufferPointer<Float>) -> Void
    ) {
        pass(model, taps)
        let rows = activations.rows
        let vocabulary = model.configuration.vocabSize
        let slab = min(rows.count, logitRows)
        if logitsBuffer.count < slab * vocabulary { logitsBuffer = FloatBuffer(count: slab * vocabulary) }
        var start = 0
        while start < rows.count {
            let count = min(slab, rows.count - start)
            model.logits(
                activations.normed.pointer + start * model.configuration.hiddenSize, tokens: count, activations.input,
                into: logitsBuffer.pointer, parallelism)
            activations.weightBytesRead += model.head.byteCount
            for r in 0..<count {
                let (part, index) = rows.place(start + r)
                onLogits(part, index, UnsafeMutableBufferPointer(start: logitsBuffer.pointer + r * vocabulary, count: vocabulary))
            }
            start += count
        }
        rows.clear()
    }

    /// As `run`, but gives what logits are computed from: the normed hidden states, `D` values each.
    public func runForStates(
        _ model: TextModel, onState: (_ part: Int, _ index: Int, _ state: UnsafeBufferPointer<Float>) -> Void
    ) {
        pass(model, nil)
        let rows = activations.rows
        let d = model.configuration.hiddenSize
        for r in 0..<rows.count {
            let (part, index) = rows.place(r)
            onState(part, index, UnsafeBufferPointer(start: activations.normed.pointer + r * d, count: d))
        }
        rows.clear()
    }

    /// From the embeddings in stream 0 to the normed hidden states of the rows that are wanted.
    private func pass(_ model: TextModel, _ taps: Taps?) {
        precondition(model.whole === whole, "a batch runs slices of one model")
        let c = model.configuration
        let a = activations
        let d = c.hiddenSize
        let count = a.rows.count
        if count == 0 { return }
        a.layerCount = c.numHiddenLayers
        taps?.record("text.embeddings", shape: [count, d], a.streams.pointer)

        // Per-layer inputs: those of the K/V-sharing layers only for rows that get there.
        let ple = model.perLayerEmbedding
        let keepsAll = a.rows.wantedCount == count
        let split = keepsAll || !ple.canBegin(at: c.firstSharedLayer) ? c.numHiddenLayers : c.firstSharedLayer
        let e = UnsafePointer(a.streams.pointer)
        a.weightBytesRead += ple(
            e, a.input, tokens: a.rows.tokens, layers: 0..<split, rows: 0..<count, into: a.perLayerInputs.pointer, parallelism)
        var end = 0
        while let run = a.rows.wantedRun(from: end), split < c.numHiddenLayers {
            a.weightBytesRead += ple(
                e, a.input, tokens: a.rows.tokens, layers: split..<c.numHiddenLayers, rows: run, into: a.perLayerInputs.pointer, parallelism)
            end = run.upperBound
        }
        if keepsAll {
            taps?.record(
                "text.per_layer_inputs", shape: [count, c.numHiddenLayers, c.hiddenSizePerLayerInput], a.perLayerInputs.pointer)
        }

        model.spread(a.streams.pointer, stride: a.streamStride, tokens: count, a.input, parallelism)
        for matrix in model.altupProjections { a.weightBytesRead += matrix.byteCount }
        taps?.recordStreams("text.streams", a.streams.pointer, a, c.altupNumInputs, d)

        for (index, layer) in model.layers.enumerated() {
            let isLastOwner = index == c.firstSharedLayer - 1
            let next = index + 1 < model.layers.count ? model.layers[index + 1].attention.query : model.altupUnembedProjections.first ?? model.head
            layer(a, source: model.keyValueSources[index], endsUnwanted: isLastOwner && !keepsAll, next: next, taps: taps, parallelism)
            if a.rows.count == 0 { break }
        }
        a.rows.advanceSequences()

        let rows = a.rows.count
        if rows == 0 { return }
        model.join(
            a.streams.pointer, stride: a.streamStride, tokens: rows, a.input, scratch: a.hidden.pointer, into: a.normed.pointer, parallelism)
        for matrix in model.altupUnembedProjections { a.weightBytesRead += matrix.byteCount }
        taps?.record("text.norm", shape: [rows, d], a.normed.pointer)
    }
}
