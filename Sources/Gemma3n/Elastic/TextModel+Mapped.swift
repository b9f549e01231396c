internal import Tensors

extension TextModel {
    /// Bytes of the matrices every token reads that lie in mapped files; what was copied into the kernels' order does not count.
    package var mappedByteCount: Int {
        var sum = 0
        func add(_ matrix: Matrix) { if matrix.region.isFileMapping { sum += matrix.byteCount } }
        add(head)
        for matrix in altupProjections + altupUnembedProjections { add(matrix) }
        let projection = perLayerEmbedding.projection
        add(projection.rows(0..<configuration.numHiddenLayers * configuration.hiddenSizePerLayerInput))
        for layer in layers {
            for matrix in [
                layer.attention.query, layer.attention.output, layer.laurel.left, layer.laurel.right, layer.mlp.gate, layer.mlp.up, layer.mlp.down,
                layer.perLayerInputGate, layer.perLayerProjection,
            ] { add(matrix) }
            if let keyValue = layer.attention.keyValue {
                add(keyValue.key)
                add(keyValue.value)
            }
        }
        return sum
    }
}
