import Checkpoint
import Gemma3n
import Tensors
import TestSupport
import Testing

/// The counter of weight bytes against sums over the matrices' shapes.
struct WeightBytesTests {
    /// Bytes of what a token reads but for units of layers with a cutoff, and the bytes of one such unit's row of `up`.
    private func fixedBytes(_ c: TextConfiguration, whole: TextConfiguration, bytes: Int) -> Int {
        let (d, p, a) = (c.hiddenSize, c.hiddenSizePerLayerInput, c.altupNumInputs)
        let (q, kv) = (c.numAttentionHeads * c.headDim, c.numKeyValueHeads * c.headDim)
        var values = c.vocabSize * d + d + 2 * (a - 1) * d * d
        // Projection and the looked-up row of the per-layer embeddings.
        values += c.numHiddenLayers * p * (d + 1)
        for layer in 0..<c.numHiddenLayers {
            let f = c.intermediateSize[layer]
            values += 2 * d * q + 2 * c.laurelRank * d + 2 * p * d + f * d + d * f
            if layer < c.firstSharedLayer { values += 2 * kv * d }
            if c.activationSparsityPattern[layer] == 0 { values += f * d }
        }
        return values * bytes
    }

    /// Layers 4 to 7 have no cutoff; the first four keep a share of their units.
    @Test(arguments: ["tiny", "tiny-bf16"]) func countsWhatIsMultiplied(_ name: String) throws {
        let model = try TextModelTests.model(name)
        let bytes = name == "tiny" ? 4 : 2
        let whole = model.configuration
        let half = ModelSlice(widths: whole.intermediateSize.map { $0 / 2 })
        let slices = [model.slice, half, ModelSlice(widths: whole.intermediateSize, leavingOut: [5, 6])]
        let decoder = TextDecoder(model, contextLength: 200)
        var perToken: [Double] = []
        for slice in slices {
            decoder.use(try model.sliced(slice))
            decoder.reset()
            let c = try whole.sliced(slice)
            let fixed = fixedBytes(c, whole: whole, bytes: bytes)
            var units = 0
            let count = 60
            for index in 0..<count {
                let before = decoder.weightBytesRead
                try decoder.decode(Int32(20 + index * 11)) { _ in }
                let more = decoder.weightBytesRead - before - fixed
                #expect(more >= 0 && more % (c.hiddenSize * bytes) == 0)
                units += more / (c.hiddenSize * bytes)
            }
            let expected = zip(c.intermediateSize, c.activationSparsityPattern).reduce(0.0) { $1.1 > 0 ? $0 + Double($1.0) * (1 - $1.1) : $0 }
            // A normal distribution is promised, not kept exactly: gates of a random model are near it.
            #expect(abs(Double(units) / Double(count) - expected) < 0.3 * expected)
            perToken.append(Double(units * c.hiddenSize * bytes) / Double(count) + Double(fixed))
            // The arithmetic leaves the two rows of tables out.
            let arithmetic = TextWork(try model.sliced(slice)).bytesPerToken
            #expect(abs(perToken[perToken.count - 1] - arithmetic) < 0.03 * arithmetic)
        }
        #expect(perToken[1] < perToken[0] && perToken[2] < perToken[0])
    }

    /// A chunk of a prompt reads weights once, and none above the last layer that makes keys and values but for the last token.
    @Test func promptsReadWeightsOnce() throws {
        let model = try TextModelTests.model("tiny-bf16")
        let tokens = (0..<40).map { Int32(20 + $0 * 11) }
        func read(chunk: Int, _ wanted: LogitsRequest) throws -> Int {
            let decoder = TextDecoder(model, contextLength: 200, chunk: chunk)
            try decoder.prefill(tokens, wanted: wanted) { _, _ in }
            return decoder.weightBytesRead
        }
        let one = try read(chunk: 40, .last), two = try read(chunk: 20, .last)
        #expect(two > one && two < 2 * one)
        #expect(try read(chunk: 40, .none) < one && read(chunk: 40, .all) > one)
    }

    /// Every block format: between the least and the most a token can read, and less of a slice.
    @Test(arguments: QuantizedTextModelTests.formats) func quantisedWeightsCountAsTheyLie(_ format: ElementFormat) throws {
        let model = try QuantizedTextModelTests.model(format)
        func perToken(_ part: TextModel) throws -> Double {
            let decoder = TextDecoder(part, contextLength: 100)
            for token in 0..<40 { try decoder.decode(Int32(token * 7)) { _ in } }
            return Double(decoder.weightBytesRead) / 40
        }
        let half = try model.sliced(ModelSlice(widths: model.configuration.intermediateSize.map { $0 / 2 }))
        let (all, less) = (try perToken(model), try perToken(half))
        #expect(less < all)
        // Within the share of units that a random model's gates keep more or less than promised.
        #expect(abs(all / TextWork(model).bytesPerToken - 1) < 0.05)
        #expect(abs(less / TextWork(half).bytesPerToken - 1) < 0.05)
    }
}
