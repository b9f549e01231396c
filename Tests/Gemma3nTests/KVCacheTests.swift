import Checkpoint
import Gemma3n
import Tensors
import TestSupport
import Testing

/// Caches in every format, and contexts of several blocks of keys.
struct KVCacheTests {
    static func prompt() throws -> (fixture: FixtureFile, ids: [Int32]) {
        let fixture = try FixtureFile("activations/tiny/context.safetensors")
        return (fixture, try fixture.integers("input_ids").map { Int32($0) })
    }

    static func logits(
        _ model: TextModel, _ ids: [Int32], chunk: Int = 128, _ format: KVFormat?, _ parallelism: Parallelism = .serial
    ) throws -> [Float] {
        let decoder = TextDecoder(model, contextLength: ids.count, chunk: chunk, keyValues: format, parallelism: parallelism)
        var logits: [Float] = []
        try decoder.prefill(ids, wanted: .all) { _, row in logits += row }
        return logits
    }

    /// How far logits may be from the reference's (standard deviation 6). Float32: other orders of summation. Half precision
    /// rounds keys and values by 2^-12 of themselves, 8 bits by up to 2^-8 of a head's largest; measured 0.0053 and 0.19 (float32: 2.2e-5).
    @Test(arguments: [(KVFormat.f32, Float(5e-4)), (.f16, 0.02), (.q8_0, 0.6)])
    func longContextMatchesTheReference(format: KVFormat, tolerance: Float) throws {
        let (fixture, ids) = try Self.prompt()
        let model = try TextModelTests.model("tiny")
        let logits = try Self.logits(model, ids, format)
        let vocabulary = model.configuration.vocabSize
        let positions = try fixture.integers("logits_positions")
        let picked = positions.flatMap { logits[$0 * vocabulary..<($0 + 1) * vocabulary] }
        let difference = maxDifference(picked, try fixture.floats("logits"))
        #expect(difference <= tolerance)
        // What is rounded must differ, or the format was not used.
        if format != .f32 { #expect(difference > 1e-3) }
    }

    /// Prefill in any chunks, decoding, any number and order of tasks: the same bits, in every format, for windows shorter
    /// and longer than a block of keys.
    @Test(arguments: KVFormat.allCases, [16, 300])
    func chunksAndThreadsChangeNoBit(format: KVFormat, window: Int) throws {
        let ids = try Self.prompt().ids
        let open = fixtureOpener("tiny")
        let config = try JSONValue.parse(readBytes(Fixtures.path("checkpoints/tiny/config.json")), file: "config.json")
        var c = try TextConfiguration(config["text_config"] ?? config)
        c.slidingWindow = window
        let store = try WeightStore(open: open)
        let model = try TextModel(store.root["model"]["language_model"], head: store.root["lm_head"], c)
        let backwards = Parallelism(threadCount: 3) { count, task in for i in (0..<count).reversed() { task(i) } }
        let expected = try Self.logits(model, ids, format)
        #expect(try Self.logits(model, ids, chunk: 100, format, backwards) == expected)
        #expect(try Self.logits(model, ids, chunk: 700, format, backwards) == expected)
        #expect(try Self.logits(model, ids, chunk: 1, format, backwards) == expected)
        #expect(try Self.logits(model, ids, chunk: 3, format) == expected)
    }

    /// The context decides what a full cache takes; a short one never pays for the whole window.
    @Test func cachesAreSizedToTheContext() throws {
        let ids = try Self.prompt().ids
        let model = try TextModelTests.model("tiny")
        // 5 layers with K/V, 1 of them full; 2 heads of 16; a ring holds 15 + chunk + 16 positions.
        for (format, row) in [(KVFormat.f32, 64), (.f16, 32), (.q8_0, 20)] {
            let decoder = TextDecoder(model, contextLength: 700, chunk: 50, keyValues: format)
            try decoder.prefill(ids, wanted: .none) { _, _ in }
            #expect(decoder.cacheByteCount == 2 * 2 * row * (4 * 81 + 768))
            let short = TextDecoder(model, contextLength: 20, chunk: 50, keyValues: format)
            try short.prefill(Array(ids[..<20]), wanted: .none) { _, _ in }
            #expect(short.cacheByteCount == 2 * 2 * row * (4 * 20 + 256))
        }
    }

    /// Float checkpoints keep float32 unless asked.
    @Test(arguments: ["tiny", "tiny-bf16", "tiny-text"])
    func floatCheckpointsKeepFloat32(_ name: String) throws {
        #expect(try TextModelTests.model(name).defaultKVFormat == .f32)
    }
}
