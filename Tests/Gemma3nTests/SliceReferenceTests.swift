import Checkpoint
import Gemma3n
import Tensors
import TestSupport
import Testing

/// Slices of one checkpoint against the reference on checkpoints that Python cut out of it (`Oracle/slices.py`).
struct SliceReferenceTests {
    private static func bytes(_ name: String) throws -> ByteRegion { ByteRegion(copying: try readBytes(Fixtures.path("slices/\(name)"))) }

    @Test func viewsAgreeWithTheReferenceOnCutCheckpoints() throws {
        let c = try TextConfiguration(JSONValue.parse(Self.bytes("config.json"), file: "config.json"))
        var tensors: [String: StoredTensor] = [:]
        for tensor in try SafeTensorsFile(bytes: Self.bytes("model.safetensors"), name: "model.safetensors").tensors { tensors[tensor.name] = tensor }
        let root = WeightStore(tensors).root
        let model = try TextModel(root["model"], head: root["lm_head"], c)
        let slices = try #require(try JSONValue.parse(Self.bytes("slices.json"), file: "slices.json").array)
        let expected = try FixtureFile("slices/logits.safetensors")
        let tokens = try expected.integers("input_ids").map { Int32($0) }
        #expect(slices.count == 8)
        let decoder = TextDecoder(model, contextLength: 64, chunk: 16)
        var first: [Float] = []
        for (index, json) in slices.enumerated() {
            let slice = try ModelSlice(json: json, of: c)
            decoder.reset()
            decoder.use(try model.sliced(slice))
            var logits: [Float] = []
            try decoder.prefill(tokens, wanted: .all) { _, row in logits += row }
            // Rounding of float32 in another order of summation, through up to 35 layers at a standard deviation of 6: the reference itself
            // is up to 4e-4 from float64 here.
            let difference = maxDifference(logits, try expected.floats("logits.\(index)"))
            #expect(difference <= 2e-3, "slice \(index): \(difference)")
            if index == 0 { first = logits } else { #expect(maxDifference(logits, first) > 1, "slice \(index) computes what the whole does") }
        }
        #expect(try ModelSlice(json: slices[0], of: c) == model.slice)
    }
}
