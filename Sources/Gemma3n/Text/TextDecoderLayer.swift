internal import CKernels
internal import Checkpoint
internal import Tensors

/// One layer of the text model: AltUp predict, attention beside LAuReL, feed-forward, AltUp correct, per-layer input.
///
/// - Source: `Gemma3nTextDecoderLayer` in transformers 5.23.0.
struct TextDecoderLayer {
    /// Its place among the layers that run.
    private(set) var index: Int
    let altup: AltUp
    let inputNorm: Vector  // [D]
    let attention: TextAttention
    let postAttentionNorm: Vector  // [D]
    let laurel: LaurelBlock
    let preFeedforwardNorm: Vector  // [D]
    private(set) var mlp: TextMLP
    let postFeedforwardNorm: Vector  // [D]
    let perLayerInputGate: Matrix  // [P, D]
    let perLayerProjection: Matrix  // [D, P]
    let postPerLayerInputNorm: Vector  // [D]
    let epsilon: Float

    init(_ scope: WeightScope, _ c: TextConfiguration, layer: Int, _ prepare: WeightPreparation) throws(CheckpointError) {
        let (d, p) = (c.hiddenSize, c.hiddenSizePerLayerInput)
        index = layer
        altup = try AltUp(scope["altup"], c)
        inputNorm = try scope["input_layernorm"].vector(count: d)
        attention = try TextAttention(scope["self_attn"], c, layer: layer, prepare)
        postAttentionNorm = try scope["post_attention_layernorm"].vector(count: d)
        laurel = try LaurelBlock(scope["laurel"], c, prepare)
        preFeedforwardNorm = try scope["pre_feedforward_layernorm"].vector(count: d)
        mlp = try TextMLP(scope["mlp"], c, layer: layer, prepare)
        postFeedforwardNorm = try scope["post_feedforward_layernorm"].vector(count: d)
        perLayerInputGate = prepare(try scope["per_layer_input_gate"].matrix(rows: p, columns: d), .panels)
        perLayerProjection = prepare(try scope["per_layer_projection"].matrix(rows: d, columns: p), .panels)
        postPerLayerInputNorm = try scope["post_per_layer_input_norm"].vector(count: d)
        epsilon = c.rmsNormEps
    }

    /// The layer as number `index` of a slice, sharing the bytes.
    ///
    /// - Throws: `uncuttable`.
    func sliced(_ width: Int, index: Int) throws(SliceError) -> TextDecoderLayer {
        var layer = self
        layer.mlp = try mlp.sliced(width, layer: self.index)
        layer.index = index
        return layer
    }

    /// Runs the layer on all rows of `a`, streams to streams.
    ///
    /// - Parameters:
    ///   - source: The number of the layer's own cache in each sequence, or of its source's when it shares K/V.
    ///   - endsUnwanted: Whether rows whose logits are not wanted end here: they only leave their keys and values in the cache.
    ///   - next: The matrix that is multiplied after the layer.
    func callAsFunction(_ a: TextActivations, source: Int, endsUnwanted: Bool = false, next: Matrix, taps: Taps?, _ parallelism: Parallelism) {
        let d = inputNorm.count
        let active = altup.active * a.streamStride
        func tap(_ name: String, _ values: UnsafePointer<Float>) {
            taps?.record("text.layers.\(index).\(name)", shape: [a.rows.count, d], values)
        }

        // Predict; x = predictions[active].
        parallelism.forEach(a.rows.count) { r in
            altup.predict(
                a.streams.pointer + r * d, stride: a.streamStride, into: a.predictions.pointer + r * d, scratch: a.normed.pointer + r * d)
            ck_rms_norm_f32(a.predictions.pointer + active + r * d, inputNorm.pointer, epsilon, a.normed.pointer + r * d, d)
        }
        taps?.recordStreams("text.layers.\(index).altup_predict", a.predictions.pointer, a, altup.streamCount, d)

        // The products that need nothing but the normed input. Keys and values first where the other rows end.
        let input = a.input
        input.set(a.normed.pointer, tokens: a.rows.count, columns: d)
        let (keys, values) = (a.projected.pointer, a.projected.pointer + a.rows.count * (attention.keyValue?.key.rows ?? 0))
        let keyProduct = attention.keyValue.map { LinearProduct($0.key, input, into: keys) }
        let valueProduct = attention.keyValue.map { LinearProduct($0.value, input, into: values) }
        if endsUnwanted {
            if let keyProduct { multiplyTogether(parallelism, keyProduct, valueProduct) }
            attention.storeKeyValues(keys, values, a.rows, source: source, parallelism)
            if let keyValue = attention.keyValue { a.weightBytesRead += keyValue.key.byteCount + keyValue.value.byteCount }
            dropUnwanted(a)
            if a.rows.count == 0 { return }
            input.set(a.normed.pointer, tokens: a.rows.count, columns: d)
        }
        if a.rows.count == 1 { expectTogether(parallelism, attention.output, laurel.right) }
        multiplyTogether(
            parallelism, LinearProduct(attention.query, input, into: a.queries.pointer), LinearProduct(laurel.left, input, into: a.low.pointer),
            endsUnwanted ? nil : keyProduct, endsUnwanted ? nil : valueProduct)
        if !endsUnwanted {
            attention.storeKeyValues(keys, values, a.rows, source: source, parallelism)
            if let keyValue = attention.keyValue { a.weightBytesRead += keyValue.key.byteCount + keyValue.value.byteCount }
        }
        let rows = a.rows
        let n = rows.count

        // Attention beside LAuReL: y = (x + attention + laurel) / sqrt(2).
        attention.mix(a.queries.pointer, rows, into: a.mixed.pointer, scores: a.scores, source: source, parallelism)
        a.mixedInput.set(a.mixed.pointer, tokens: n, columns: attention.output.columns)
        a.lowInput.set(a.low.pointer, tokens: n, columns: laurel.right.columns)
        if n == 1 { mlp.expect(parallelism) }
        multiplyTogether(
            parallelism, LinearProduct(attention.output, a.mixedInput, into: a.attended.pointer),
            LinearProduct(laurel.right, a.lowInput, into: a.laurel.pointer))
        parallelism.forEach(n) { r in laurel.finish(a.normed.pointer, row: r, a.laurel.pointer) }
        tap("laurel", a.laurel.pointer)
        tap("attention", a.attended.pointer)
        parallelism.forEach(n) { r in
            let y = a.attended.pointer + r * d
            ck_rms_norm_f32(y, postAttentionNorm.pointer, epsilon, y, d)
            ck_add_f32(a.predictions.pointer + active + r * d, y, d)
            ck_add_f32(a.laurel.pointer + r * d, y, d)
            ck_scale_f32(0.70710678, y, y, d)
            ck_rms_norm_f32(y, preFeedforwardNorm.pointer, epsilon, a.normed.pointer + r * d, d)
        }

        // Feed-forward: out = y + norm(mlp(norm(y))).
        input.set(a.normed.pointer, tokens: n, columns: d)
        a.weightBytesRead += mlp(
            input, gated: a.gated.pointer, upped: a.upped.pointer, survivors: a.survivors, hidden: a.gatedInput, into: a.hidden.pointer,
            next: perLayerInputGate, parallelism)
        tap("mlp", a.hidden.pointer)

        // Correct, then the gated input of the per-layer embedding.
        parallelism.forEach(n) { r in
            let out = a.hidden.pointer + r * d
            ck_rms_norm_f32(out, postFeedforwardNorm.pointer, epsilon, out, d)
            ck_add_f32(a.attended.pointer + r * d, out, d)
            altup.correct(
                a.predictions.pointer + r * d, stride: a.streamStride, activated: out, scratch: a.normed.pointer + r * d)
            let corrected = a.predictions.pointer + active + r * d
            if let scale = altup.correctOutputScale {
                ck_multiply_f32(corrected, scale.pointer, a.normed.pointer + r * d, d)
            } else {
                (a.normed.pointer + r * d).update(from: corrected, count: d)
            }
        }
        taps?.recordStreams("text.layers.\(index).altup_correct", a.predictions.pointer, a, altup.streamCount, d)
        addPerLayerInput(a, next: next, parallelism)
        a.weightBytesRead += attention.query.byteCount + attention.output.byteCount + laurel.left.byteCount + laurel.right.byteCount
        a.weightBytesRead += perLayerInputGate.byteCount + perLayerProjection.byteCount
        a.swapStreams()
        taps?.recordStreams("text.layers.\(index)", a.streams.pointer, a, altup.streamCount, d)
    }

    /// `streams[1...] += norm(W_projection (gelu(W_gate f) * ple))`, `f` the scaled active stream. By index: never stream 0.
    private func addPerLayerInput(_ a: TextActivations, next: Matrix, _ parallelism: Parallelism) {
        let d = inputNorm.count
        let p = perLayerInputGate.rows
        let n = a.rows.count
        a.input.set(a.normed.pointer, tokens: n, columns: d)
        if n == 1 { expectTogether(parallelism, perLayerProjection) }
        perLayerInputGate.multiply(a.input, into: a.perLayerGate.pointer, parallelism)
        for r in 0..<n {
            let gate = a.perLayerGate.pointer + r * p
            let input = a.perLayerInputs.pointer + (a.rows.source[r] * a.layerCount + index) * p
            ck_gelu_multiply_f32(gate, input, gate, p)
        }
        a.lowInput.set(a.perLayerGate.pointer, tokens: n, columns: p)
        if n == 1 { expectTogether(parallelism, next) }
        perLayerProjection.multiply(a.lowInput, into: a.hidden.pointer, parallelism)
        parallelism.forEach(n) { r in
            let f = a.hidden.pointer + r * d
            ck_rms_norm_f32(f, postPerLayerInputNorm.pointer, epsilon, f, d)
            for stream in 1..<max(1, altup.streamCount) {
                ck_add_f32(f, a.predictions.pointer + stream * a.streamStride + r * d, d)
            }
        }
    }

    /// Moves the rows that go on of what the rest of the layer reads to the front.
    private func dropUnwanted(_ a: TextActivations) {
        let d = inputNorm.count
        a.rows.dropUnwanted { old, new in
            (a.normed.pointer + new * d).update(from: a.normed.pointer + old * d, count: d)
            for stream in 0..<altup.streamCount {
                let base = a.predictions.pointer + stream * a.streamStride
                (base + new * d).update(from: base + old * d, count: d)
            }
        }
    }
}

extension Taps {
    /// All streams of the current rows, `[A, T, D]`.
    func recordStreams(_ name: String, _ streams: UnsafePointer<Float>, _ a: TextActivations, _ streamCount: Int, _ d: Int) {
        var values: [Float] = []
        for stream in 0..<streamCount {
            values += UnsafeBufferPointer(start: streams + stream * a.streamStride, count: a.rows.count * d)
        }
        record(name, shape: [streamCount, a.rows.count, d], values)
    }
}
