import Checkpoint
import Gemma3n
import Gemma3nHost
import TestSupport
import Testing

@Suite struct MemoryPlanTests {
    private func needs(_ modalities: Modalities = .all, held: Int = 50_000_000) throws -> MemoryNeeds {
        MemoryNeeds(try ModelFiles(directory: Fixtures.path("checkpoints/tiny")).source(), modalities: modalities, threads: 2, held: held)
    }

    @Test(arguments: [
        ("2GB", 2_000_000_000), ("1.5GiB", 1_610_612_736), ("800MB", 800_000_000), ("800m", 800_000_000), ("64 KiB", 65_536), ("123", 123),
        ("0.5g", 500_000_000), ("7B", 7),
    ])
    func sizesAreRead(text: String, bytes: Int) {
        #expect(MemoryLimit.parse(text) == bytes)
    }

    @Test(arguments: ["", "GB", "-1GB", "0", "1e3", "nan", "2 PB", "1.2.3GB", "0x10", "99999999999TB", "１GB"])
    func whatIsNoSizeIsRefused(text: String) {
        #expect(MemoryLimit.parse(text) == nil)
    }

    @Test func sizesAreWritten() {
        #expect(gigabytes(1_574_000_000) == "1.58GB" && gigabytes(1_574_000_000, roundingUp: false) == "1.57GB")
        #expect(gigabytes(1_500_000_000) == "1.5GB" && gigabytes(2_000_000_000) == "2GB" && gigabytes(1_050_000_000) == "1.05GB")
        #expect(gigabytes(84_100_000) == "85MB" && gigabytes(999_999_999) == "1GB")
        for bytes in [1, 999_999, 84_100_000, 1_574_000_001] { #expect(MemoryLimit.parse(gigabytes(bytes)).map { $0 >= bytes } == true) }
    }

    /// The tightest group counts, in either version of control groups.
    #if os(Linux)
    @Test func controlGroupsAreRead() {
        let files = [
            "/proc/self/cgroup": "4:cpu:/x\n9:memory:/a\n0::/u/v\n", "/sys/fs/cgroup/u/v/memory.max": "max\n",
            "/sys/fs/cgroup/u/memory.max": "3000000000\n", "/sys/fs/cgroup/memory/a/memory.limit_in_bytes": "2500000000\n",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        ]
        #expect(MemoryLimit.controlGroup { files[$0] } == 2_500_000_000)
        #expect(MemoryLimit.controlGroup { $0 == "/proc/self/cgroup" ? "0::/\n" : nil } == nil)
        #expect(MemoryLimit.controlGroup { _ in nil } == nil)
    }
    #endif

    /// The less memory, the more is given up, in the order that costs least.
    @Test func lessMemoryMeansSlowerSettings() throws {
        let needs = try needs()
        func plan(_ limit: Int, context: Int? = 2048, _ keyValues: KVFormat? = nil) -> MemoryPlan {
            needs.plan(limit: limit, contextLength: context, longest: 2048, keyValues: keyValues)
        }
        let ample = plan(1 << 40)
        #expect(ample.chunk == 128 && ample.keyValues == .f32 && ample.tableBudget == 64 << 20 && !ample.releasesEncoders)
        #expect(ample.parts.contains { $0.name == "program and tokenizer" && $0.byteCount == 50_000_000 })
        var last = ample
        var formats: Set<KVFormat> = [.f32]
        while true {
            let next = plan(last.byteCount - 1)
            if next.byteCount >= last.byteCount { break }
            #expect(next.contextLength == 2048)
            #expect(next.keyValues != .q8_0 || next.byteCount < plan(last.byteCount - 1, .f16).byteCount || last.keyValues != .f32)
            formats.insert(next.keyValues)
            last = next
        }
        #expect(formats == [.f32, .f16, .q8_0])
        #expect(last.keyValues == .q8_0 && last.chunk == 16 && last.releasesEncoders)
        // Asked for is asked for.
        #expect(plan(1, .f32).keyValues == .f32)
        // Without a context the longest that fits.
        let tight = plan(1, context: nil, .f32)
        #expect(tight.contextLength == 1024 && plan(tight.byteCount, context: nil, .f32) == tight)
        #expect(plan(1 << 40, context: nil).contextLength == 2048)
    }

    /// What is refused says what would do, and that does.
    @Test func refusalsSayWhatWouldFit() throws {
        let files = try ModelFiles(directory: Fixtures.path("checkpoints/tiny"))
        let error = #expect(throws: SessionError.self) {
            try Gemma3nLanguageModel(files: files, contextLength: 2048, memoryLimit: 1_000_000)
        }
        #expect(error?.code == .insufficientMemory)
        let message = error?.message ?? ""
        #expect(message.contains("tiny needs ") && message.contains(" for a context of 2048 tokens (") && message.contains("but the limit is 1MB. Give --memory "))
        let words = message.split(separator: " ")
        let size = words.firstIndex(of: "--memory").map { words[$0 + 1] } ?? ""
        let bytes = try #require(MemoryLimit.parse(String(size.hasSuffix(".") ? size.dropLast() : size)))
        // Other tests of this process take memory meanwhile.
        let model = try Gemma3nLanguageModel(files: files, contextLength: 2048, memoryLimit: bytes + 500_000_000)
        #expect(model.memoryPlan.map { $0.byteCount <= bytes + 500_000_000 } == true)

        // A shorter context, fewer modalities: only where they help.
        let needs = try needs()
        func refusal(_ limit: Int, _ format: KVFormat? = nil) -> String {
            let plan = needs.plan(limit: limit, contextLength: 2048, longest: 2048, keyValues: format)
            return needs.refusal(plan, limit: limit, granted: "the limit is", contextLength: 2048, keyValues: format, modalities: .all, name: "m")
        }
        let smallest = needs.plan(limit: 1, contextLength: 2048, longest: 2048, keyValues: nil).byteCount
        #expect(refusal(smallest - 1).contains(" or --context 1792"))
        #expect(refusal(smallest - 1).contains(" or --modalities text."))
        #expect(!refusal(1).contains(" or "))
        #expect(refusal(smallest, .f32).contains(" or --kv "))
    }

    /// Copies in 8 bits stand in the plan in place of what they are copied from, and hold what it says.
    @Test func encodersInEightBits() throws {
        let source = try ModelFiles(directory: Fixtures.path("checkpoints/tiny")).source()
        func encoders(_ precision: EncoderPrecision?) -> Int {
            let needs = MemoryNeeds(source, modalities: .all, encoders: precision, threads: 2, held: 0)
            return needs.plan(limit: 1 << 40, contextLength: 64, longest: 64, keyValues: nil).parts.first { $0.name == "encoders" }?.byteCount ?? 0
        }
        #expect(encoders(nil) == encoders(.exact) && encoders(.fast) < encoders(.exact))
        let model = try Gemma3nModel(source, encoders: .fast)
        let picture = RGBImage(width: 40, height: 30, pixels: (0..<3600).map { UInt8(truncatingIfNeeded: $0 * 7) })
        _ = try model.encodeMedia(EncodedPrompt(tokens: [], images: [picture], clips: [AudioClip(samples: [Float](repeating: 0.1, count: 16_000))]))
        let stored = source.weights.tensors.values.filter { tensor in
            ["model.vision_tower", "model.audio_tower"].contains { tensor.name.hasPrefix($0) } && tensor.shape.count >= 2
                && tensor.elementCount / tensor.shape[0] % 32 == 0
        }
        let saved = stored.reduce(0) { $0 + $1.byteCount } - model.encoderCopyBytes
        // Matrices that are used once, while the model is opened, have no copy.
        #expect(abs(saved - (encoders(.exact) - encoders(.fast))) < 20_000)
    }

    /// A part of a model whose weights are used where they lie needs memory for that part only, and a refusal says so.
    @Test func smallerPartsNeedLess() throws {
        try withTemporaryDirectory { folder in
            var checkpoint = RandomCheckpoint()
            (checkpoint.layers, checkpoint.shared, checkpoint.width, checkpoint.format) = (35, 15, 1024, "BF16")
            try checkpoint.write(to: folder)
            let files = try ModelFiles(directory: folder)
            let source = try files.source()
            let c = source.configuration.text
            let e2b = try ModelSize.e2b.slice(of: c)
            func weights(_ slice: ModelSlice?) -> Int {
                let needs = MemoryNeeds(source, modalities: .text, threads: 1, held: 0, slice: slice)
                return needs.plan(limit: 1 << 40, contextLength: 256, longest: 256, keyValues: nil).parts.first { $0.name == "weights" }?.byteCount ?? 0
            }
            // Half of gate and up, all of down: its rows are shorter than the windows that systems map. Five layers and their share of the
            // projection are gone.
            let (d, f) = (c.hiddenSize, 1024)
            let layer = 3 * d * f + 2 * (2 * 32 * d) + 2 * d * 32 + 2 * d * 32 + 4 * d + 16 * 4 + 4 * 4 + 8 * d + 32
            let gone = 5 * layer + 30 * (2 * d * f / 2) + 5 * 32 * d
            let difference = weights(nil) - weights(e2b)
            // Norms of a layer are counted roughly above.
            #expect(abs(difference - 2 * gone) < 2 * 5 * 4 * d)
            #expect(weights(ModelSlice(wholeOf: c)) == weights(nil))

            let needs = MemoryNeeds(source, modalities: .text, threads: 1, held: 0)
            let small = MemoryNeeds(source, modalities: .text, threads: 1, held: 0, slice: e2b)
            let limit = small.plan(limit: 1, contextLength: 256, longest: 256, keyValues: nil).byteCount
            let plan = needs.plan(limit: limit, contextLength: 256, longest: 256, keyValues: nil)
            #expect(plan.byteCount > limit)
            let refusal = needs.refusal(
                plan, limit: limit, granted: "the limit is", contextLength: 256, keyValues: nil, modalities: .text, name: "m", smaller: ("E2B", small))
            #expect(refusal.hasSuffix(" or --size E2B."))
            let none = needs.refusal(
                plan, limit: limit - 1, granted: "the limit is", contextLength: 256, keyValues: nil, modalities: .text, name: "m", smaller: ("E2B", small))
            #expect(!none.contains("--size"))

            // The ladder of a model like E4B: published slices, each better than all smaller ones.
            let model = try Gemma3nLanguageModel(files: files, threads: 1)
            #expect(model.sizes.map(\.name) == ["E2B", "E1.96B", "E2.49B-block", "E2.54B", "E2.69B", "E2.98B", "E3.18B", "E3.39B", "E3.59B", "E4B"])
            #expect(model.sizes.map(\.mappedBytes) == model.sizes.map(\.mappedBytes).sorted())
        }
    }

    /// Encoders whose memory was given up give the same answer.
    @Test func releasedEncodersComeBack() async throws {
        let model = try tinyModel()
        let picture = RGBImage(width: 40, height: 30, pixels: (0..<3600).map { UInt8(truncatingIfNeeded: $0 * 7) })
        func answer() async throws -> [Float] {
            try await LanguageModelSession(model: model).respond(to: Prompt(parts: [.image(.pixels(picture)), .text("hello")]), options: exactly(3)).chosen
        }
        let before = try await answer()
        model.releaseEncoders()
        #expect(try await answer() == before)
    }
}
