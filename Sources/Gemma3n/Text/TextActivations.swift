internal import Tensors

/// The working memory of the text model, allocated once for passes of at most `capacity` tokens.
final class TextActivations {
    let capacity: Int
    /// Floats from one AltUp stream to the next, `capacity * D`.
    let streamStride: Int
    /// `[A, capacity, D]`: the streams between layers, and a layer's predictions of them.
    var streams: FloatBuffer
    var predictions: FloatBuffer
    /// `[capacity, D]` each.
    let normed: FloatBuffer
    let laurel: FloatBuffer
    let hidden: FloatBuffer
    let attended: FloatBuffer
    /// `[capacity, L, P]`, with room for all layers of the whole model.
    let perLayerInputs: FloatBuffer
    /// `[capacity, P]`
    let perLayerGate: FloatBuffer
    /// `[capacity, R]`
    let low: FloatBuffer
    /// `[capacity, H N]` each.
    let queries: FloatBuffer
    let mixed: FloatBuffer
    /// Keys, then values, `[rows, K N]` each.
    let projected: FloatBuffer
    /// `[capacity, F]` each, F the widest layer's.
    let gated: FloatBuffer
    let upped: FloatBuffer
    let survivors: Survivors
    /// Inputs of products: of hidden size, of the heads, of low rank, of the feed-forward's width.
    let input = LinearInput()
    let mixedInput = LinearInput()
    let lowInput = LinearInput()
    let gatedInput = LinearInput()
    let scores = AttentionScores()
    let rows: TextRows
    /// Layers that run: `L` of `perLayerInputs`.
    var layerCount: Int
    /// Bytes of weights that products have read; see `TextDecoder.weightBytesRead`.
    var weightBytesRead = 0

    init(_ model: TextModel, capacity: Int) {
        let c = model.configuration
        self.capacity = capacity
        layerCount = c.numHiddenLayers
        let d = c.hiddenSize
        let f = c.intermediateSize.max() ?? 1
        streamStride = capacity * d
        streams = FloatBuffer(count: c.altupNumInputs * streamStride)
        predictions = FloatBuffer(count: c.altupNumInputs * streamStride)
        normed = FloatBuffer(count: capacity * d)
        laurel = FloatBuffer(count: capacity * d)
        hidden = FloatBuffer(count: capacity * d)
        attended = FloatBuffer(count: capacity * d)
        perLayerInputs = FloatBuffer(count: capacity * c.numHiddenLayers * c.hiddenSizePerLayerInput)
        perLayerGate = FloatBuffer(count: capacity * c.hiddenSizePerLayerInput)
        low = FloatBuffer(count: capacity * c.laurelRank)
        queries = FloatBuffer(count: capacity * c.numAttentionHeads * c.headDim)
        mixed = FloatBuffer(count: capacity * c.numAttentionHeads * c.headDim)
        projected = FloatBuffer(count: 2 * capacity * c.numKeyValueHeads * c.headDim)
        gated = FloatBuffer(count: capacity * f)
        upped = FloatBuffer(count: capacity * f)
        survivors = Survivors(capacity: model.hasSparseLayers ? (model.skipsUnits ? capacity : 1) : 0, width: f)
        if model.isQuantized {
            input.reserve(tokens: capacity, columns: d)
            mixedInput.reserve(tokens: capacity, columns: c.numAttentionHeads * c.headDim)
            lowInput.reserve(tokens: capacity, columns: max(c.laurelRank, c.hiddenSizePerLayerInput))
            gatedInput.reserve(tokens: capacity, columns: f)
        }
        rows = TextRows(capacity: capacity, c)
    }

    /// The layer's predictions become the streams of the next one.
    func swapStreams() { swap(&streams, &predictions) }
}
