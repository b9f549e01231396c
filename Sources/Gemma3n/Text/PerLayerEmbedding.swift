internal import CKernels
internal import Checkpoint
internal import Tensors

/// Per-layer embeddings (PLE): a small vector for every token and layer, half looked up, half projected.
///
///     tok  = table[id] * sqrt(P)                      id outside the table: row 0
///     proj = norm(W e * D^-0.5)                       norm over P
///     ple  = (proj + tok) * 2^-0.5
///
/// The table is the largest tensor of the model and is read by row where it lies; it need never be resident.
///
/// - Source: `get_per_layer_inputs`, `project_per_layer_inputs` of `Gemma3nTextModel` in transformers 5.23.0.
struct PerLayerEmbedding {
    let table: Matrix  // [vocab_size_per_layer_input, L P]
    /// What of the table may be in memory.
    let residentRows: ResidentRows
    let projection: Matrix  // [L P, D]
    let norm: Vector  // [P]
    /// The layers that run, by their numbers in the table: runs of neighbours.
    private let runs: [Run]
    let epsilon: Float

    init(_ scope: WeightScope, _ c: TextConfiguration, _ prepare: WeightPreparation) throws(CheckpointError) {
        let (l, p) = (c.numHiddenLayers, c.hiddenSizePerLayerInput)
        let reason = "num_hidden_layers \(l) × hidden_size_per_layer_input \(p) in config.json"
        table = try scope["embed_tokens_per_layer"].matrix(rows: c.vocabSizePerLayerInput, columns: l * p, reason: reason)
        residentRows = ResidentRows(table)
        projection = prepare(try scope["per_layer_model_projection"].matrix(rows: l * p, columns: c.hiddenSize, reason: reason), .panels)
        norm = try scope["per_layer_projection_norm"].vector(count: p)
        runs = [Run(first: 0, stored: 0, count: l)]
        epsilon = c.rmsNormEps
    }

    /// Neighbouring layers that run: `count` of them, number `first` of those that run being number `stored` of the table.
    struct Run {
        let first: Int
        let stored: Int
        let count: Int
    }

    /// The embeddings of some layers (ascending, by their numbers here), sharing the bytes.
    ///
    /// - Throws: `uncuttable`.
    func sliced(_ layers: [Int]) throws(SliceError) -> PerLayerEmbedding {
        var runs: [Run] = []
        for (index, layer) in layers.enumerated() {
            if let last = runs.last, last.stored + last.count == layer {
                runs[runs.count - 1] = Run(first: last.first, stored: last.stored, count: last.count + 1)
            } else {
                runs.append(Run(first: index, stored: layer, count: 1))
            }
        }
        for run in runs where !projection.canBeCut(atRow: run.stored * norm.count) {
            throw SliceError(
                .uncuttable,
                "Layer \(run.stored - 1) cannot be left out: hidden_size_per_layer_input is \(norm.count), and per_layer_model_projection is packed in rows of 16.")
        }
        return PerLayerEmbedding(self, runs)
    }

    private init(_ whole: PerLayerEmbedding, _ runs: [Run]) {
        table = whole.table
        residentRows = whole.residentRows
        projection = whole.projection
        norm = whole.norm
        epsilon = whole.epsilon
        self.runs = runs
    }

    /// Layers that run.
    var layerCount: Int { runs.reduce(0) { $0 + $1.count } }

    /// Whether a call may begin with layer `layer`: interleaved rows of the projection cannot be cut anywhere.
    func canBegin(at layer: Int) -> Bool {
        guard let run = runs.last(where: { $0.first <= layer }) else { return true }
        return projection.canBeCut(atRow: (run.stored + layer - run.first) * norm.count)
    }

    /// - Parameters:
    ///   - e: The input embeddings, `[T, D]`.
    ///   - input: Scratch for the projection's input.
    ///   - layers: The layers to compute; the first of them where the projection can be cut (`canBegin`).
    ///   - rows: The rows to compute.
    ///   - ple: `[T, L, P]`.
    /// - Returns: Bytes of weights that were read.
    func callAsFunction(
        _ e: UnsafePointer<Float>, _ input: LinearInput, tokens: UnsafeBufferPointer<Int32>, layers: Range<Int>, rows: Range<Int>,
        into ple: UnsafeMutablePointer<Float>, _ parallelism: Parallelism
    ) -> Int {
        if layers.isEmpty || rows.isEmpty { return 0 }
        for run in runs {
            let part = max(run.first, layers.lowerBound)..<max(run.first, layers.lowerBound, min(run.first + run.count, layers.upperBound))
            compute(e, input, tokens: tokens, layers: part, stored: run.stored + part.lowerBound - run.first, rows: rows, into: ple, parallelism)
        }
        let columns = layers.count * norm.count
        return projection.byteCount * columns / projection.rows + rows.count * table.byteCount(ofColumns: columns)
    }

    /// Neighbouring layers, the first of them number `stored` of the table.
    private func compute(
        _ e: UnsafePointer<Float>, _ input: LinearInput, tokens: UnsafeBufferPointer<Int32>, layers: Range<Int>, stored: Int,
        rows: Range<Int>, into ple: UnsafeMutablePointer<Float>, _ parallelism: Parallelism
    ) {
        if layers.isEmpty { return }
        let p = norm.count
        let d = projection.columns
        let width = layerCount * p
        let columns = stored * p..<(stored + layers.count) * p
        let part = projection.rows(columns)
        input.set(e + rows.lowerBound * d, tokens: rows.count, columns: d)
        part.multiply(input, into: ple + rows.lowerBound * width + layers.lowerBound * p, yStride: width, parallelism)
        let (projectionScale, tokenScale) = (1 / Float(d).squareRoot(), Float(p).squareRoot())
        parallelism.forEach(rows.count) { index in
            let r = rows.lowerBound + index
            let out = ple + r * width + layers.lowerBound * p
            let id = Int(tokens[r])
            residentRows.willReadRow()
            let row = id >= 0 && id < table.rows ? id : 0
            // A layer at a time: so little room is on the stack.
            withUnsafeTemporaryAllocation(of: Float.self, capacity: p) { looked in
                guard let looked = looked.baseAddress else { return }
                ck_scale_f32(projectionScale, out, out, columns.count)
                for layer in 0..<layers.count {
                    let part = out + layer * p
                    let start = columns.lowerBound + layer * p
                    table.decodeRow(row, columns: start..<start + p, into: looked)
                    ck_rms_norm_f32(part, norm.pointer, epsilon, part, p)
                    ck_axpy_f32(tokenScale, looked, part, p)
                    ck_scale_f32(0.70710678, part, part, p)
                }
            }
        }
    }
}
