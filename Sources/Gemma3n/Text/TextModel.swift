internal import CKernels
public import Checkpoint
public import Tensors

/// The weights of the text decoder, and the steps before its first and after its last layer.
///
/// Immutable; any number of `TextDecoder`s share one.
///
/// - Source: `Gemma3nTextModel`, `Gemma3nForCausalLM` in transformers 5.23.0.
public final class TextModel: Sendable {
    public let configuration: TextConfiguration
    let embedTokens: Matrix  // [V, D]
    let perLayerEmbedding: PerLayerEmbedding
    let altupProjections: [Matrix]  // A - 1 of [D, D]
    let altupUnembedProjections: [Matrix]  // A - 1 of [D, D]
    let layers: [TextDecoderLayer]
    /// For every layer the number of the cache it reads: its own or its source's.
    let keyValueSources: [Int]
    let norm: Vector  // [D]
    let head: Matrix  // [V, D]
    /// The slice this is of the model that was read; that model's whole for itself.
    public let slice: ModelSlice
    /// What was read; nil if this is it.
    private let read: TextModel?
    /// The model this is a slice of; itself if it is none.
    public var whole: TextModel { read ?? self }

    /// Reads the weights below `scope` (`model.language_model` or `model`) and checks every shape.
    ///
    /// - Parameter prepare: How quantised weights are brought into the kernels' order.
    /// - Throws: `missingTensor`, `wrongShape`, `unsupportedFormat`.
    public init(
        _ scope: WeightScope, head headScope: WeightScope, _ c: TextConfiguration, _ prepare: WeightPreparation = WeightPreparation()
    ) throws(CheckpointError) {
        configuration = c
        let d = c.hiddenSize
        let square = "hidden_size \(d) in config.json"
        let embeddings = try scope["embed_tokens"].matrix(rows: c.vocabSize, columns: d, reason: "vocab_size \(c.vocabSize), \(square)")
        // The largest first: while it is copied into the kernels' order, both copies take memory.
        if headScope.tensor != nil, !c.tieWordEmbeddings {
            head = prepare(try headScope.matrix(rows: c.vocabSize, columns: d, reason: "vocab_size \(c.vocabSize)"), .panels)
            embedTokens = embeddings
        } else {
            head = prepare(embeddings, .panels)
            embedTokens = head
        }
        perLayerEmbedding = try PerLayerEmbedding(scope, c, prepare)
        var projections: [Matrix] = []
        var unembeddings: [Matrix] = []
        for i in 0..<c.altupNumInputs - 1 {
            projections.append(prepare(try scope["altup_projections"][i].matrix(rows: d, columns: d, reason: square), .panels))
            unembeddings.append(prepare(try scope["altup_unembed_projections"][i].matrix(rows: d, columns: d, reason: square), .panels))
        }
        altupProjections = projections
        altupUnembedProjections = unembeddings
        var layers: [TextDecoderLayer] = []
        for i in 0..<c.numHiddenLayers {
            layers.append(try TextDecoderLayer(scope["layers"][i], c, layer: i, prepare))
        }
        self.layers = layers
        keyValueSources = (0..<c.numHiddenLayers).map { c.keyValueSource(of: $0) }
        norm = try scope["norm"].vector(count: d)
        slice = ModelSlice(wholeOf: c)
        read = nil
    }

    /// A slice of the model as a model of its own, without copying a weight: the same logits, bit for bit, as a checkpoint that holds
    /// nothing but the slice. Takes some microseconds.
    ///
    /// - Parameter slice: In numbers of the whole model's layers, also where this is a slice already.
    /// - Throws: `wrongLayerCount`, `wrongWidth`, `ownsKeyValues`; `uncuttable` where the weights' format does not allow it.
    public func sliced(_ slice: ModelSlice) throws(SliceError) -> TextModel {
        if slice == whole.slice { return whole }
        return try TextModel(whole, slice)
    }

    /// What widths of slices must be multiples of, so that every layer's weights can be cut there.
    public var widthGrain: Int { whole.layers.reduce(1) { max($0, $1.mlp.down.format.blockLength) } }

    private init(_ whole: TextModel, _ slice: ModelSlice) throws(SliceError) {
        configuration = try whole.configuration.sliced(slice)
        var layers: [TextDecoderLayer] = []
        layers.reserveCapacity(configuration.numHiddenLayers)
        for layer in slice.layers { layers.append(try whole.layers[layer].sliced(slice.widths[layer], index: layers.count)) }
        self.layers = layers
        let c = configuration
        keyValueSources = (0..<c.numHiddenLayers).map { c.keyValueSource(of: $0) }
        perLayerEmbedding = try whole.perLayerEmbedding.sliced(slice.layers)
        embedTokens = whole.embedTokens
        altupProjections = whole.altupProjections
        altupUnembedProjections = whole.altupUnembedProjections
        norm = whole.norm
        head = whole.head
        self.slice = slice
        read = whole
    }

    /// The format of keys and values unless another is asked for: half precision where weights are quantised, since its error
    /// is far below theirs and it halves what a long context costs; float32 where they are not, so that results stay exact.
    public var defaultKVFormat: KVFormat {
        isQuantized ? .f16 : .f32
    }

    /// Whether the layers' weights are quantised.
    public var isQuantized: Bool { layers.contains { $0.attention.query.format.isQuantized || $0.mlp.gate.format.isQuantized } }
    var hasSparseLayers: Bool { layers.contains { $0.mlp.standardDeviations != nil } }
    var skipsUnits: Bool { layers.contains { $0.mlp.skipsUnits } }

    /// Keeps what is in memory of the per-layer table, which lies in a mapped file, below so many bytes (64 MiB unless said).
    public func limitTableMemory(to bytes: Int) { perLayerEmbedding.residentRows.setBudget(bytes) }

    /// - Throws: `unknownToken` for an id outside the vocabulary.
    func check(_ tokens: [Int32]) throws(GenerationError) {
        for (index, token) in tokens.enumerated() where token < 0 || Int(token) >= configuration.vocabSize {
            throw GenerationError(
                .unknownToken, "Token \(index) of the prompt is \(token), outside the vocabulary of \(configuration.vocabSize).")
        }
    }

    /// `E[token] * sqrt(D)`, `[D]`.
    func embed(_ token: Int32, into e: UnsafeMutablePointer<Float>) {
        let d = configuration.hiddenSize
        embedTokens.decodeRow(Int(token), into: e)
        ck_scale_f32(Float(d).squareRoot(), e, e, d)
    }

    /// The AltUp streams of the input: `streams[0]` is given, the others are projected to its magnitude.
    func spread(_ streams: UnsafeMutablePointer<Float>, stride: Int, tokens: Int, _ input: LinearInput, _ parallelism: Parallelism) {
        input.set(streams, tokens: tokens, columns: configuration.hiddenSize)
        for first in Swift.stride(from: 0, to: altupProjections.count, by: 3) {
            func product(_ i: Int) -> LinearProduct? {
                i < altupProjections.count ? LinearProduct(altupProjections[i], input, into: streams + (i + 1) * stride) : nil
            }
            if let one = product(first) { multiplyTogether(parallelism, one, product(first + 1), product(first + 2)) }
        }
        parallelism.forEach(tokens) { r in
            for i in 0..<altupProjections.count { matchMagnitude(of: streams, streams + (i + 1) * stride, row: r) }
        }
    }

    /// Joins the streams after the last layer: the mean of stream 0 and the others unprojected to its magnitude, normed.
    ///
    /// - Parameters:
    ///   - y: `[T, D]`; the result.
    ///   - scratch: `[T, D]`.
    func join(
        _ streams: UnsafePointer<Float>, stride: Int, tokens: Int, _ input: LinearInput, scratch: UnsafeMutablePointer<Float>,
        into y: UnsafeMutablePointer<Float>, _ parallelism: Parallelism
    ) {
        let d = configuration.hiddenSize
        y.update(from: streams, count: tokens * d)
        for (i, projection) in altupUnembedProjections.enumerated() {
            input.set(streams + (i + 1) * stride, tokens: tokens, columns: d)
            projection.multiply(input, into: scratch, parallelism)
            parallelism.forEach(tokens) { r in
                matchMagnitude(of: streams, scratch, row: r)
                ck_add_f32(scratch + r * d, y + r * d, d)
            }
        }
        parallelism.forEach(tokens) { r in
            ck_scale_f32(1 / Float(configuration.altupNumInputs), y + r * d, y + r * d, d)
            ck_rms_norm_f32(y + r * d, norm.pointer, configuration.rmsNormEps, y + r * d, d)
        }
    }

    /// Scales row `r` of `x` to the root mean square of row `r` of `target`.
    private func matchMagnitude(of target: UnsafePointer<Float>, _ x: UnsafeMutablePointer<Float>, row r: Int) {
        let d = configuration.hiddenSize
        let wanted = (ck_sum_squares_f32(target + r * d, d) / Float(d)).squareRoot()
        let found = max(ck_sum_squares_f32(x + r * d, d) / Float(d), 1e-5).squareRoot()
        ck_scale_f32(wanted / found, x + r * d, x + r * d, d)
    }

    /// `logits = cap * tanh(W x / cap)`, `[T, V]`.
    func logits(
        _ x: UnsafePointer<Float>, tokens: Int, _ input: LinearInput, into y: UnsafeMutablePointer<Float>, _ parallelism: Parallelism
    ) {
        input.set(x, tokens: tokens, columns: head.columns)
        head.multiply(input, into: y, parallelism)
        guard let cap = configuration.finalLogitSoftcapping else { return }
        parallelism.forEachRange(tokens * head.rows, by: 1 << 13) { range in
            ck_softcap_f32(y + range.lowerBound, cap, y + range.lowerBound, range.count)
        }
    }
}
