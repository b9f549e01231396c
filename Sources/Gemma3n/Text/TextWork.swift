internal import Tensors

/// What the text model has to read and to compute: the yardsticks that measured speeds are held against.
///
/// Only matrices count; vectors (norms, AltUp coefficients) and the one row of each table are some thousandths of them. In the layers
/// with a cutoff the units that it keeps are taken as a share of `1 - activation_sparsity_pattern`, as the normal distribution
/// behind the cutoff promises, and the others as neither read nor multiplied where the layout of the weights allows that.
package struct TextWork: Sendable, Equatable {
    /// Multiply-adds, apart by the arithmetic that computes them.
    package struct MultiplyAdds: Sendable, Equatable {
        /// Products in float32: weights stored in 32 or 16 bits, units of sparse layers, attention.
        package var float = 0.0
        /// Products of 8-bit integers: quantised weights.
        package var integer = 0.0

        static func += (a: inout MultiplyAdds, b: MultiplyAdds) {
            a.float += b.float
            a.integer += b.integer
        }
    }

    /// Bytes of weights that one decoded token reads.
    package private(set) var bytesPerToken = 0.0
    /// Multiply-adds for every token of a prompt: the layers up to the last one that makes keys and values.
    private var perPromptToken = MultiplyAdds()
    /// Multiply-adds for the one token of a prompt whose logits are wanted: the layers above and the head.
    private var once = MultiplyAdds()
    /// Multiply-adds of attention for one token and one position it sees, in layers of either kind up to the last owner.
    private var fullAttention = 0.0
    private var slidingAttention = 0.0
    private let window: Int

    package init(_ model: TextModel) {
        let c = model.configuration
        window = c.slidingWindow
        let lastOwner = c.firstSharedLayer - 1
        let perPosition = Double(2 * c.numAttentionHeads * c.headDim)

        for matrix in model.altupProjections { add(matrix, perToken: true) }
        for matrix in model.altupUnembedProjections { add(matrix, perToken: false) }
        add(model.head, perToken: false)
        // Rows of the projection for the layers of each side; of the table one row.
        let projection = model.perLayerEmbedding.projection
        let stored = Double(model.whole.configuration.numHiddenLayers)
        add(projection, perToken: true, share: Double(c.firstSharedLayer) / stored)
        add(projection, perToken: false, share: Double(c.numKVSharedLayers) / stored)

        for (index, layer) in model.layers.enumerated() {
            // The last owner's keys and values are all that later tokens need of it.
            let perToken = index < lastOwner
            if let keyValue = layer.attention.keyValue {
                add(keyValue.key, perToken: true)
                add(keyValue.value, perToken: true)
            }
            for matrix in [
                layer.attention.query, layer.attention.output, layer.laurel.left, layer.laurel.right, layer.mlp.gate,
                layer.perLayerInputGate, layer.perLayerProjection,
            ] { add(matrix, perToken: perToken) }
            // In layers with a cutoff: rows of `up` one by one for one token; units of `down` always, and of `up` with them.
            let (mlp, kept) = (layer.mlp, 1 - c.activationSparsityPattern[index])
            let skips = mlp.down.layout == .units
            add(mlp.up, perToken: perToken, share: mlp.up.layout == .rows ? kept : 1, multiplied: skips ? kept : 1)
            add(mlp.down, perToken: perToken, share: skips ? kept : 1)
            if perToken {
                switch c.layerTypes[index] {
                case .full: fullAttention += perPosition
                case .sliding: slidingAttention += perPosition
                }
            }
        }
    }

    /// - Parameters:
    ///   - share: Of the bytes, what a token reads.
    ///   - multiplied: Of the multiply-adds, what a token of a prompt needs; `share` by default.
    private mutating func add(_ matrix: Matrix, perToken: Bool, share: Double = 1, multiplied: Double? = nil) {
        bytesPerToken += share * Double(matrix.byteCount)
        let count = (multiplied ?? share) * Double(matrix.rows * matrix.columns)
        var work = MultiplyAdds()
        if matrix.format.isQuantized && matrix.layout != .units { work.integer = count } else { work.float = count }
        if perToken { perPromptToken += work } else { once += work }
    }

    /// Multiply-adds of a prompt of `count` tokens from an empty cache, logits of the last one wanted.
    package func prefill(_ count: Int) -> MultiplyAdds {
        let n = Double(count)
        var result = MultiplyAdds()
        result.integer = perPromptToken.integer * n + once.integer
        result.float = perPromptToken.float * n + once.float
        // Positions seen by all tokens together: 1 + 2 + … and, of a window, no more than its length each.
        let w = Double(min(window, count))
        result.float += fullAttention * n * (n + 1) / 2
        result.float += slidingAttention * (w * (w + 1) / 2 + (n - w) * w)
        return result
    }
}
