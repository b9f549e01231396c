import Checkpoint
import Gemma3n
import TestSupport
import Testing

/// Bytes and multiply-adds against sums over the tensors' names and shapes.
struct TextWorkTests {
    /// Matrices of the text model that a step reads, with the layer they belong to.
    private func matrices(_ c: TextConfiguration) throws -> [(name: String, layer: Int?, count: Int, bytes: Int)] {
        let store = try WeightStore(open: fixtureOpener("tiny-bf16"))
        return store.tensors.values.compactMap { tensor in
            let parts = tensor.name.split(separator: ".")
            guard parts.count > 2, parts[1] == "language_model", tensor.shape.count == 2 else { return nil }
            // One row of the table; coefficients are vectors to us.
            if ["embed_tokens_per_layer", "altup.prediction", "altup.correction", "altup.modality"].contains(where: { tensor.name.contains($0) }) {
                return nil
            }
            let layer = parts.firstIndex(of: "layers").flatMap { Int(parts[$0 + 1]) }
            if let layer, layer >= c.firstSharedLayer, tensor.name.contains("k_proj") || tensor.name.contains("v_proj") { return nil }
            return (tensor.name, layer, tensor.elementCount, tensor.byteCount)
        }
    }

    @Test func bytesOfADecodedToken() throws {
        let model = try TextModelTests.model("tiny-bf16")
        let c = model.configuration
        let expected = try matrices(c).reduce(0.0) { sum, matrix in
            // Of layers with a cutoff only the rows of units above it.
            let kept = matrix.name.contains("mlp.up_proj") ? 1 - c.activationSparsityPattern[matrix.layer ?? 0] : 1
            return sum + kept * Double(matrix.bytes)
        }
        // Sums of the same numbers in another order.
        #expect(abs(TextWork(model).bytesPerToken - expected) < 1e-6 * expected)
    }

    @Test func multiplyAddsOfAPrompt() throws {
        let model = try TextModelTests.model("tiny-bf16")
        let c = model.configuration
        let work = TextWork(model)
        let all = try matrices(c).reduce(0) { $0 + $1.count }
        // Four layers below the last of the five that make keys and values: three see 16 positions, one sees all.
        let perPosition = Double(2 * c.numAttentionHeads * c.headDim)
        #expect(work.prefill(1).float == Double(all) + 4 * perPosition && work.prefill(1).integer == 0)
        let positions = { (n: Int) -> Double in
            (1...n).reduce(0) { $0 + Double($1) + 3 * Double(min($1, 16)) }
        }
        // Every further token costs the same but for the positions it sees.
        let plain = { (n: Int) in work.prefill(n).float - perPosition * positions(n) }
        let step = plain(2) - plain(1)
        #expect(step > 0 && step < 0.8 * Double(all))
        #expect(abs(plain(40) - plain(1) - 39 * step) < 1)
    }
}
