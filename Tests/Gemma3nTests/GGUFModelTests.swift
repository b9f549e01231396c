import Checkpoint
import Gemma3n
import Tensors
import TestSupport
import Testing
import Tokenization

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
            let tolerance: Float = name == "model.embed_vision.embedding_projection.weight" ? 0x1p-25 : 0
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
        #expect(read.images.count == original.images.count)
        // The projection in half precision, see above: 2048 products of weights wrong by at most 2^-25, then a norm.
        #expect(maxDifference(read.images, original.images) <= 1e-4)
        // Without a key for the number of soft tokens a clip has 188; those of the checkpoint's 20 come first.
        if name == "audio" {
            let count = original.clips.count
            #expect(count > 0 && Array(read.clips.prefix(count)) == original.clips)
        }
    }

    // MARK: Tokenizer

    @Test func idsAreThoseOfTheCheckpoint() throws {
        let original = try Tokenizer(json: ByteRegion(copying: readBytes(Fixtures.path("checkpoints/tiny/tokenizer.json"))))
        let gguf = try Self.gguf("tiny-bf16.gguf")
        let read = try ModelSource.tokenizer(gguf: gguf)
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
