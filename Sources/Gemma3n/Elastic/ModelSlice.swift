/// A part of a nested model that runs by itself: how wide the feed-forward block of every layer is, and which layers are left out.
///
///     let half = try ModelSlice.size("E2B", of: model.text.configuration)
///     let small = try model.text.sliced(half)        // a view: nothing is copied
///
/// A layer of width `n` uses the first `n` rows of `gate_proj` and `up_proj` and the first `n` columns of `down_proj`. Numbers
/// are those of the whole model's layers, whatever is left out.
///
/// - Source: MatFormer (arXiv:2310.07707), Mix-n-Match; Gemma 3n's published slices: `PublishedSlice`.
public struct ModelSlice: Sendable, Hashable {
    /// Feed-forward width of every layer of the whole model, 0 where the layer is left out.
    public let widths: [Int]

    /// - Parameters:
    ///   - widths: One for every layer of the whole model; those of layers left out do not matter.
    ///   - leftOut: Layers that do not run at all.
    public init(widths: [Int], leavingOut leftOut: [Int] = []) {
        var widths = widths
        for layer in leftOut where widths.indices.contains(layer) { widths[layer] = 0 }
        self.widths = widths
    }

    /// All of a model.
    public init(wholeOf c: TextConfiguration) { widths = c.intermediateSize }

    /// Layers that do not run, ascending.
    public var leftOut: [Int] { widths.indices.filter { widths[$0] == 0 } }

    /// Layers that run, ascending.
    public var layers: [Int] { widths.indices.filter { widths[$0] > 0 } }

    /// Whether every layer of the slice is in `other` and no wider there.
    public func isNested(in other: ModelSlice) -> Bool {
        widths.count == other.widths.count && zip(widths, other.widths).allSatisfy { $0 <= $1 }
    }

    /// Whether it makes the same keys and values, bit for bit: layers from the last one that makes any on do not count.
    ///
    /// - Parameter c: The whole model's configuration.
    public func makesSameKeyValues(as other: ModelSlice, in c: TextConfiguration) -> Bool {
        let below = max(0, c.firstSharedLayer - 1)
        return widths.prefix(below) == other.widths.prefix(below)
    }

    /// Checks the slice against a model's layers; whether the weights' format can be cut there, only the weights can say
    /// (`TextModel.sliced`).
    ///
    /// - Throws: `wrongLayerCount`, `wrongWidth`, `ownsKeyValues`.
    public func validate(_ c: TextConfiguration) throws(SliceError) {
        guard widths.count == c.numHiddenLayers else {
            throw SliceError(
                .wrongLayerCount, "The slice has widths for \(widths.count) layers, but the model has \(c.numHiddenLayers). Give one for each.")
        }
        for (layer, width) in widths.enumerated() {
            guard width >= 0, width <= c.intermediateSize[layer] else {
                throw SliceError(
                    .wrongWidth, "Layer \(layer) of the slice is \(width) wide, expected 1 to \(c.intermediateSize[layer]), the width the model has there.")
            }
            if width == 0, layer < c.firstSharedLayer {
                throw SliceError(
                    .ownsKeyValues,
                    "Layer \(layer) cannot be left out: it makes keys and values that other layers read. Only layers \(c.firstSharedLayer) to \(c.numHiddenLayers - 1) can.")
            }
        }
    }
}

/// Why a slice cannot be had.
public struct SliceError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A stable name for programs.
    public enum Code: String, Sendable {
        case wrongLayerCount = "wrong_layer_count"
        case wrongWidth = "wrong_width"
        case ownsKeyValues = "owns_key_values"
        /// The format of the weights cannot be cut there.
        case uncuttable = "uncuttable"
        case unknownSize = "unknown_size"
        case malformed = "malformed"
    }

    public let code: Code
    /// A whole sentence: what was found, what was expected, what to do.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}

extension TextConfiguration {
    /// The configuration of a slice as a model of its own: layers renumbered, fewer of them without keys and values.
    ///
    /// - Throws: `SliceError` if the slice is none of this model.
    public func sliced(_ slice: ModelSlice) throws(SliceError) -> TextConfiguration {
        try slice.validate(self)
        let layers = slice.layers
        var c = self
        c.numHiddenLayers = layers.count
        c.numKVSharedLayers = numKVSharedLayers - slice.leftOut.count
        c.intermediateSize = layers.map { slice.widths[$0] }
        c.layerTypes = layers.map { layerTypes[$0] }
        c.activationSparsityPattern = layers.map { activationSparsityPattern[$0] }
        return c
    }

    /// Parameters without the two embedding tables: the "4B" of E4B. Shapes alone decide, as they do for the published figures. The largest
    /// `Int` for a configuration of more parameters than that, which no weights can have.
    public var effectiveParameterCount: Int {
        let (d, p, n, a, r) = (hiddenSize, hiddenSizePerLayerInput, headDim, altupNumInputs, laurelRank)
        let largest = Double(max(numAttentionHeads, numKeyValueHeads)) * Double(n) + Double(intermediateSize.max() ?? 0) + Double(r + p + d)
        // Of such products the sums below have fewer than 64 a layer.
        if largest * Double(d) * Double(numHiddenLayers) * 64 > Double(Int.max) { return Int.max }
        // Norms of the layer, of LAuReL and of AltUp's router; q_norm and k_norm; coefficients and output scale of AltUp.
        let vectors = 7 * d + 2 * n + a * a + a * a * a + a * d + d
        let attention = 2 * d * numAttentionHeads * n + 2 * d * numKeyValueHeads * n
        let perLayer = vectors + attention + 2 * d * r + 2 * d * p + p * d
        let widths = intermediateSize.reduce(0, +)
        return numHiddenLayers * perLayer + 3 * d * widths + 2 * (a - 1) * d * d + p + d
    }
}
