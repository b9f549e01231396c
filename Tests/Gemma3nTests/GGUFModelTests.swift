import Checkpoint
import Gemma3n
import Tensors
import TestSupport
import Testing
import Tokenization

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

private let allFiles = getenv("GEMMA3N_GGUF").map { String(cString: $0) }

/// GGUF files that llama.cpp's converter wrote, against the checkpoints that they were made from (`Oracle/gguf_files.py`).
struct GGUFModelTests {
    static func gguf(_ name: String) throws -> GGUFFile {
        try GGUFFile(bytes: ByteRegion(copying: readBytes(Fixtures.path("gguf/\(name)"))), name: name)
    }

    private static func source(_ projector: Bool) throws -> ModelSource {
        try ModelSource(gguf: gguf("tiny-bf16.gguf"), projector: projector ? gguf("mmproj-tiny-bf16.gguf") : nil)
    }

    /// Everything that the metadata of both files says, or that follows from the tensors.
    @Test func configurationComesBack() throws {
        let original = try Gemma3nModel(open: fixtureOpener("tiny-bf16"))
        let source = try Self.source(true)
        #expect(source.warnings == [])
        let (c, o) = (source.configuration, original.configuration)
        #expect(c.layout == .multimodal)
        #expect(c.text == o.text)
        #expect(c.vision == o.vision)
        #expect(c.audio == o.audio)
        #expect(c.visionSoftTokensPerImage == o.visionSoftTokensPerImage)
        #expect(c.eosTokenIDs == o.eosTokenIDs)
        #expect(c.imageTokenID == o.imageTokenID && c.endOfImageTokenID == o.endOfImageTokenID && c.beginOfImageTokenID == o.beginOfImageTokenID)
        #expect(c.audioTokenID == o.audioTokenID && c.endOfAudioTokenID == o.endOfAudioTokenID && c.beginOfAudioTokenID == o.beginOfAudioTokenID)
        #expect(source.generationConfiguration == original.generationConfiguration)
        // The released checkpoints' number: no key says otherwise.
        #expect(c.audioSoftTokensPerClip == 188)

        let text = try Self.source(false).configuration
        #expect(text.layout == .textOnly)
        #expect(text.text == o.text)
        #expect(text.vision == nil && text.audio == nil)
    }

    /// Every tensor comes back under its name, in its shape, with its numbers.
    @Test func tensorsComeBack() throws {
        let original = try WeightStore(open: fixtureOpener("tiny-bf16")).tensors
        let read = try Self.source(true).weights.tensors
        #expect(read.keys.sorted() == original.keys.sorted())
        for (name, tensor) in original {
            let other = try #require(read[name])
            #expect(other.shape == tensor.shape, "\(name)")
            let difference = maxDifference(other.decoded(), tensor.decoded())
            // The converter stores this matrix in half precision whatever is asked for: what is below its normal range rounds to
            // multiples of 2^-24.
            let tolerance: Float = name == "model.audio_tower.subsample_conv_projection.input_proj_linear.weight" ? 0x1p-25 : 0
            #expect(difference <= tolerance, "\(name) differs by \(difference)")
        }
    }

    /// The same numbers in the same order: the same bits.
    @Test(arguments: ["text", "long"]) func logitsAreThoseOfTheCheckpoint(_ name: String) throws {
        let ids = try FixtureFile("activations/tiny-bf16/\(name).safetensors").integers("input_ids").map { Int32($0) }
        func logits(_ model: Gemma3nModel) throws -> [Float] {
            var logits: [Float] = []
            try Conversation(model, contextLength: 512).feed(EncodedPrompt(tokens: ids), wanted: .all, onLogits: { _, row in logits += row })
            return logits
        }
        let expected = try logits(Gemma3nModel(open: fixtureOpener("tiny-bf16")))
        #expect(expected.count > 1000)
        #expect(try logits(Gemma3nModel(Self.source(false))) == expected)
        #expect(try logits(Gemma3nModel(Self.source(true))) == expected)
    }

    @Test(arguments: ["image", "audio"]) func encodersAreThoseOfTheCheckpoint(_ name: String) throws {
        let prompt = try WholePromptTests.prompt(FixtureFile("activations/tiny-bf16/\(name).safetensors"))
        let original = try Gemma3nModel(open: fixtureOpener("tiny-bf16")).encodeMedia(prompt)
        let read = try Gemma3nModel(Self.source(true)).encodeMedia(prompt)
        #expect(read.images == original.images)
        // Without a key for the number of soft tokens a clip has 188; those of the checkpoint's 20 come first. One matrix is in half
        // precision, see above: weights wrong by at most 2^-25.
        #expect(maxDifference(Array(read.clips.prefix(original.clips.count)), original.clips) <= 1e-4)
        #expect(original.images.count + original.clips.count > 0)
    }

    // MARK: Tokenizer

    @Test func idsAreThoseOfTheCheckpoint() throws {
        let original = try Tokenizer(json: ByteRegion(copying: readBytes(Fixtures.path("checkpoints/tiny/tokenizer.json"))))
        // The projector's tensors say how many ids belong to pictures.
        let read = try Self.source(true).tokenizer
        let cases = try #require(JSONValue.parse(readBytes(Fixtures.path("tokenizer/corpus.json")), file: "corpus.json").array)
        for entry in cases {
            let text = try #require(entry["text"]?.string)
            let ids = try #require(entry["ids"]?.array).map { Int32(try #require($0.int)) }
            #expect(read.encode(text) == ids, "\(text.debugDescription)")
            #expect(read.decode(ids, skipSpecialTokens: false) == entry["decoded"]?.string, "\(text.debugDescription)")
            #expect(read.decode(ids) == entry["decoded_without_special"]?.string, "\(text.debugDescription)")
        }
        for id in 0..<Int32(original.vocabularySize) {
            #expect(read.piece(id) == original.piece(id) && read.isSpecial(id) == original.isSpecial(id), "id \(id)")
        }
        #expect(read.bosToken == original.bosToken)
    }

    /// A packed checkpoint made from a GGUF file: the tokenizer is the metadata alone.
    @Test func aTokenizerFileBesideTheWeights() throws {
        let open = fixtureOpener("tiny-bf16")
        let gguf = try readBytes(Fixtures.path("gguf/tiny-bf16.gguf"))
        // The metadata lies in front; a file without tensors says so.
        var metadata = gguf
        for i in 8..<16 { metadata[i] = 0 }
        let tokenizer = try ModelSource { (name: String) throws(CheckpointError) in
            switch name {
            case "tokenizer.json", "tokenizer.model": nil
            case "tokenizer.gguf": ByteRegion(copying: metadata)
            default: try open(name)
            }
        }.tokenizer
        let original = try Gemma3nModel(open: open).tokenizer
        for text in ["hello world<image_soft_token>", "a\n\n\n b  c", "<start_of_turn>user"] {
            #expect(tokenizer.encode(text) == original.encode(text), "\(text)")
        }
    }

    // MARK: What cannot be opened

    private static func sentence(_ body: () throws -> ModelSource) -> String? {
        #expect(throws: CheckpointError.self) { try body() }?.description
    }

    @Test func otherFiles() throws {
        let (model, projector) = (try Self.gguf("tiny-bf16.gguf"), try Self.gguf("mmproj-tiny-bf16.gguf"))
        #expect(
            Self.sentence { try ModelSource(gguf: projector) }
                == "mmproj-tiny-bf16.gguf: general.architecture is \"clip\"; this program runs \"gemma3n\". Give the file of the language model, and this one with --mmproj."
        )
        #expect(
            Self.sentence { try ModelSource(gguf: model, projector: model) }
                == "tiny-bf16.gguf: general.architecture is \"gemma3n\", expected \"clip\": a projector file (mmproj).")
    }

    /// Keys that are missing, of another type or of another length are named.
    @Test(arguments: [
        ("gemma3n.block_count", "gemma3n.block_counx", "there is no gemma3n.block_count, expected an integer."),
        ("gemma3n.attention.head_count", "gemma3n.attention.head_counx", "there is no gemma3n.attention.head_count, expected an integer."),
        ("tokenizer.ggml.tokens", "tokenizer.ggml.tokenx", "there is no list of strings tokenizer.ggml.tokens."),
        ("tokenizer.ggml.model", "tokenizer.ggml.modex", "there is no tokenizer.ggml.model."),
        ("blk.0.laurel_l.weight", "blk.0.laurel_x.weight", "tensor 'blk.0.laurel_l.weight' is missing."),
        ("blk.3.proj.weight", "blk.3.prox.weight", "tensor 'blk.3.prox.weight' belongs to no part of a Gemma 3n GGUF file that this version knows."),
        ("general.architecture", "general.architecturx", "general.architecture is missing; this program runs \"gemma3n\"."),
    ])
    func missingParts(name: String, other: String, sentence: String) throws {
        var bytes = try readBytes(Fixtures.path("gguf/tiny-bf16.gguf"))
        let (from, to) = (Array(name.utf8), Array(other.utf8))
        let at = try #require((0..<bytes.count - from.count).first { bytes[$0] == from[0] && Array(bytes[$0..<$0 + from.count]) == from && bytes[$0 - 8] == from.count })
        bytes.replaceSubrange(at..<at + from.count, with: to)
        let error = Self.sentence {
            try ModelSource(gguf: GGUFFile(bytes: ByteRegion(copying: bytes), name: "x"))
        }
        #expect(error?.hasPrefix("x: " + sentence) == true, "\(error ?? "")")
    }

    /// Damaged metadata: a typed error or a model, never a trap.
    @Test func damage() throws {
        let whole = try readBytes(Fixtures.path("gguf/tiny-bf16.gguf"))
        // Metadata and tensor table; the numbers behind them may be anything.
        var random = Mutations(seed: 41)
        let head = Array(whole[..<48_000])
        var opened = 0
        for _ in 0..<400 {
            let damaged = random.mutate(head) + whole[48_000...]
            guard let gguf = try? GGUFFile(bytes: ByteRegion(copying: damaged), name: "x") else { continue }
            if let source = try? ModelSource(gguf: gguf), let model = try? Gemma3nModel(source) {
                _ = try? Conversation(model, contextLength: 16).feed(EncodedPrompt(tokens: [2, 300, 301]))
                opened += 1
            }
        }
        #expect(opened > 10, "the damage reaches beyond the first check")
    }
}

/// Quantised files: the reference computes with the numbers that the `gguf` package reads from them, so that the difference is that of
/// the arithmetic. This program rounds the inputs of a product to 8 bits with one scale for 32 of them.
struct QuantizedGGUFTests {
    /// Root of the mean square of the differences over that of the logits. Rounding errors of 8 bits are independent: about 0.4 % in
    /// every product, which the norms behind products and the 4 layers of these models bring to the order of a per cent. A wrong nibble
    /// order or scale in any one tensor gives more than 20 %.
    static let tolerance: Double = 0.02

    static func compare(_ file: String, _ recorded: FixtureFile, _ kind: String, tolerance: Double) throws {
        let gguf = try GGUFFile(bytes: ByteRegion(copying: readBytes(file)), name: file)
        let model = try Gemma3nModel(ModelSource(gguf: gguf))
        let ids = try recorded.integers("input_ids").map { Int32($0) }
        var logits: [Float] = []
        try Conversation(model, contextLength: 64).feed(EncodedPrompt(tokens: ids), wanted: .all, onLogits: { _, row in logits += row })
        let expected = try recorded.floats(kind)
        let got = Array(logits.suffix(expected.count))
        let difference = zip(got, expected).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
        let scale = expected.reduce(0.0) { $0 + Double($1) * Double($1) }
        let relative = (difference / scale).squareRoot()
        print("\(kind): \(relative * 100) % (largest \(maxDifference(got, expected)))")
        #expect(relative <= tolerance, "\(file)")

        // One token at a time: the same bits as all at once.
        let steps = Conversation(model, contextLength: 64)
        var stepped: [Float] = []
        for id in ids { try steps.feed(EncodedPrompt(tokens: [id]), wanted: .all, onLogits: { _, row in stepped += row }) }
        #expect(stepped == logits)
    }

    @Test func fourBits() throws {
        try Self.compare(Fixtures.path("gguf/blocks-q4_0.gguf"), FixtureFile("gguf/blocks.safetensors"), "q4_0", tolerance: Self.tolerance)
    }

    /// Every type of file that llama.cpp writes: `python Oracle/gguf_files.py LLAMA.CPP --all DIR`, then `GEMMA3N_GGUF=DIR swift test`.
    @Test(.enabled(if: allFiles != nil), arguments: [64, 256]) func everyFile(_ width: Int) throws {
        let directory = try #require(allFiles)
        let recorded = try FixtureFile(at: "\(directory)/blocks\(width).safetensors")
        // Plain numbers are multiplied as they are: only the order of sums differs from the reference's.
        for kind in ["f32", "f16", "bf16"] {
            try Self.compare("\(directory)/blocks\(width)-\(kind).gguf", recorded, kind, tolerance: 1e-5)
        }
        for kind in ["q8_0", "q4_0", "q5_0"] + (width == 256 ? ["q4_k_m", "q5_k_m", "q6_k"] : []) {
            try Self.compare("\(directory)/blocks\(width)-\(kind).gguf", recorded, kind, tolerance: Self.tolerance)
        }
    }

    /// The file in float32 gives the bits of the checkpoint it was made from.
    @Test(.enabled(if: allFiles != nil)) func float32() throws {
        let directory = try #require(allFiles)
        let ids = try FixtureFile("activations/tiny/long.safetensors").integers("input_ids").map { Int32($0) }
        func logits(_ model: Gemma3nModel) throws -> [Float] {
            var logits: [Float] = []
            try Conversation(model, contextLength: 512).feed(EncodedPrompt(tokens: ids), wanted: .all, onLogits: { _, row in logits += row })
            return logits
        }
        let gguf = try GGUFFile(bytes: ByteRegion(copying: readBytes("\(directory)/tiny-f32.gguf")), name: "tiny-f32.gguf")
        let projector = try GGUFFile(bytes: ByteRegion(copying: readBytes("\(directory)/mmproj-tiny-f32.gguf")), name: "mmproj-tiny-f32.gguf")
        let original = try Gemma3nModel(open: fixtureOpener("tiny"))
        let read = try Gemma3nModel(ModelSource(gguf: gguf, projector: projector))
        #expect(try logits(read) == logits(original))
        for name in ["image", "audio"] {
            let prompt = try WholePromptTests.prompt(FixtureFile("activations/tiny/\(name).safetensors"))
            let (a, b) = (try read.encodeMedia(prompt), try original.encodeMedia(prompt))
            #expect(a.images == b.images, "\(name)")
            // One matrix is in half precision: rounding of 2^-12 relative.
            #expect(maxDifference(Array(a.clips.prefix(b.clips.count)), b.clips) <= 5e-3)
        }
    }
}
