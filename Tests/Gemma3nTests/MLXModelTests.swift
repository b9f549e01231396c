import Checkpoint
import Gemma3n
import Tensors
import TestSupport
import Testing

/// Checkpoints as MLX writes them (`Oracle/mlx_checkpoints.py`).
struct MLXModelTests {
    private static func open(_ replaced: [String: [UInt8]] = [:]) -> (String) throws(CheckpointError) -> ByteRegion? {
        { (name: String) throws(CheckpointError) in
            (replaced[name] ?? (try? readBytes(Fixtures.path("mlx/text/\(name)")))).map { ByteRegion(copying: $0) }
        }
    }

    /// 4 and 8 bits, groups of 32, 64 and 128, scales in three formats: what is decoded is scale * number + bias, rounded as float32 does.
    @Test func numbersAreMLXs() throws {
        let recorded = try FixtureFile("mlx/text.safetensors")
        let tensors = try ModelSource(open: Self.open()).weights.tensors
        var kinds: Set<ElementFormat> = []
        for row in recorded.file.tensors where row.name.hasPrefix("row.model.") {
            let name = "model.language_model." + row.name.dropFirst(10)
            let tensor = try #require(tensors[name], "\(name)")
            #expect(tensor.layout == .groups && tensor.format.isQuantized)
            let columns = tensor.shape[1]
            let decoded = Array(tensor.decoded()[3 * columns..<4 * columns])
            let isSame = decoded == row.decoded()
            #expect(isSame, "\(name)")
            kinds.insert(tensor.format)
        }
        #expect(kinds == [.affine4, .affine8])
        #expect(tensors["model.language_model.altup_projections.1.weight"]?.format == .f32, "left out of the quantisation")
    }

    /// The reference computes with the numbers as they are read, so that the difference is that of the arithmetic: see
    /// `QuantizedGGUFTests.tolerance`.
    @Test func logitsAreTheReferences() throws {
        let recorded = try FixtureFile("mlx/text.safetensors")
        let model = try Gemma3nModel(open: Self.open())
        #expect(model.text.isQuantized && model.modalities.isEmpty)
        let ids = try recorded.integers("input_ids").map { Int32($0) }
        var logits: [Float] = []
        try Conversation(model, contextLength: 64).feed(EncodedPrompt(tokens: ids), wanted: .all, onLogits: { _, row in logits += row })
        let expected = try recorded.floats("logits")
        let error = FastEncoderTests.error(Array(logits.suffix(expected.count)), expected)
        print("MLX: \(error * 100) %")
        #expect(error <= QuantizedGGUFTests.tolerance)
        // One token at a time, on threads: the same bits as all at once.
        let steps = Conversation(model, contextLength: 64, parallelism: VisionTowerTests.threads(3))
        var stepped: [Float] = []
        for id in ids { try steps.feed(EncodedPrompt(tokens: [id]), wanted: .all, onLogits: { _, row in stepped += row }) }
        let isSame = stepped == logits
        #expect(isSame)
    }

    // MARK: mlx-vlm

    /// A tensor of `tiny-bf16` as mlx-vlm keeps it: its name, and input channels last.
    private static func vlm(_ tensor: StoredTensor) -> (name: String, shape: [Int], bytes: [UInt8]) {
        var name = String(tensor.name.dropFirst("model.".count))
        if name.hasPrefix("language_model.") { name = "language_model.model." + name.dropFirst("language_model.".count) }
        let bytes = Array(tensor.region.bytes[tensor.offset..<tensor.offset + tensor.byteCount])
        guard tensor.shape.count > 2 else { return (name, tensor.shape, bytes) }
        let (outputs, inputs) = (tensor.shape[0], tensor.shape[1])
        let kernel = Array(tensor.shape[2...])
        let size = kernel.reduce(1, *)
        var moved = bytes
        for o in 0..<outputs {
            for i in 0..<inputs {
                for k in 0..<size {
                    for byte in 0..<2 { moved[2 * ((o * size + k) * inputs + i) + byte] = bytes[2 * ((o * inputs + i) * size + k) + byte] }
                }
            }
        }
        return (name, [outputs] + kernel + [inputs], moved)
    }

    /// Matrices of 2048 columns in groups of 64, 8 bits: as plain numbers, and as MLX stores them.
    private static func quantised(_ rows: Int) -> (plain: [Float], parts: [(name: String, format: String, shape: [Int], bytes: [UInt8])]) {
        var plain: [Float] = []
        var (numbers, scales, biases): ([UInt8], [UInt8], [UInt8]) = ([], [], [])
        func append(_ value: Float, to bytes: inout [UInt8]) { withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 } }
        for group in 0..<rows * 32 {
            let (scale, bias) = (Float(group % 7 + 1) / 8192, Float(group % 5) / -64)
            append(scale, to: &scales)
            append(bias, to: &biases)
            for i in 0..<64 {
                let number = UInt8(truncatingIfNeeded: group &* 31 &+ i &* 37)
                numbers.append(number)
                plain.append(scale * Float(number) + bias)
            }
        }
        return (plain, [("weight", "U32", [rows, 512], numbers), ("scales", "F32", [rows, 32], scales), ("biases", "F32", [rows, 32], biases)])
    }

    @Test func visionAndSoundInMLXsOrder() throws {
        let original = try WeightStore(open: fixtureOpener("tiny-bf16")).tensors
        let projection = "model.embed_vision.embedding_projection.weight"
        let (plain, parts) = Self.quantised(48)
        var expected = original
        var bytes: [UInt8] = []
        for value in plain { withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 } }
        expected[projection] = StoredTensor(name: projection, format: .f32, shape: [48, 2048], file: "", region: ByteRegion(copying: bytes), offset: 0)
        func file(_ tensors: [(name: String, format: String, shape: [Int], bytes: [UInt8])]) -> [UInt8] {
            SafeTensorsWriter.header(
                tensors.map { SafeTensorsWriter.Entry(name: $0.name, format: $0.format, shape: $0.shape, byteCount: $0.bytes.count) })
                + tensors.flatMap(\.bytes)
        }
        let mlx = file(
            original.values.filter { $0.name != projection }.map { (tensor: StoredTensor) in
                let moved = Self.vlm(tensor)
                return (moved.name, tensor.format.name, moved.shape, moved.bytes)
            } + parts.map { ("embed_vision.embedding_projection." + $0.name, $0.format, $0.shape, $0.bytes) })
        let hf = file(
            expected.values.map { ($0.name, $0.format.name, $0.shape, Array($0.region.bytes[$0.offset..<$0.offset + $0.byteCount])) })
        let quantization = Array(#", "quantization": {"group_size": 64, "bits": 8}}"#.utf8)
        let config = try readBytes(Fixtures.path("checkpoints/tiny-bf16/config.json"))
        let end = try #require(config.lastIndex(of: UInt8(ascii: "}")))
        func model(_ weights: [UInt8], _ config: [UInt8]) throws -> Gemma3nModel {
            try Gemma3nModel(encoders: .exact) { (name: String) throws(CheckpointError) in
                switch name {
                case "model.safetensors": ByteRegion(copying: weights)
                case "config.json": ByteRegion(copying: config)
                default: try fixtureOpener("tiny-bf16")(name)
                }
            }
        }
        let (read, reference) = (try model(mlx, config[..<end] + quantization), try model(hf, config))
        #expect(read.tensors.map(\.name) == reference.tensors.map(\.name))
        for name in ["image", "audio", "text"] {
            let prompt = try WholePromptTests.prompt(FixtureFile("activations/tiny-bf16/\(name).safetensors"))
            func logits(_ model: Gemma3nModel) throws -> [Float] {
                var logits: [Float] = []
                try Conversation(model, contextLength: 512).feed(prompt, wanted: .all, onLogits: { _, row in logits += row })
                return logits
            }
            let (a, b) = (try read.encodeMedia(prompt), try reference.encodeMedia(prompt))
            let isEncodedTheSame = a.images == b.images && a.clips == b.clips
            #expect(isEncodedTheSame, "\(name)")
            let (found, expected) = (try logits(read), try logits(reference))
            let isSame = found == expected && found.allSatisfy { $0.isFinite }
            #expect(isSame, "\(name)")
        }
    }

    // MARK: What cannot be opened

    private static func sentence(_ change: (inout String) -> Void) throws -> String {
        var config = String(decoding: try readBytes(Fixtures.path("mlx/text/config.json")), as: UTF8.self)
        change(&config)
        let error = #expect(throws: CheckpointError.self) { try ModelSource(open: open(["config.json": Array(config.utf8)])) }
        return error?.description ?? ""
    }

    private static func replaced(_ text: String, by other: String) throws -> String {
        try sentence { config in
            let parts = config.split(separator: text, omittingEmptySubsequences: false)
            #expect(parts.count > 1)
            config = parts.joined(separator: other)
        }
    }

    @Test func otherQuantisationsAreNamed() throws {
        let advice = " Quantise with MLX's mode affine, 4 or 8 bits and groups of 32, 64 or 128."
        for bits in [2, 3, 5, 6] {
            let message = try Self.replaced("\"group_size\": 64,\n    \"bits\": 4", by: "\"group_size\": 64,\n    \"bits\": \(bits)")
            #expect(message == "config.json: bits in quantization is \(bits); this version reads 4 and 8." + advice)
        }
        for mode in ["mxfp4", "nvfp4"] {
            let message = try Self.replaced("\"mode\": \"affine\"", by: "\"mode\": \"\(mode)\"")
            #expect(message.hasSuffix("is \"\(mode)\"; this version reads \"affine\"." + advice) && message.hasPrefix("config.json: mode in quantization"))
        }
        let module = try Self.replaced("\"group_size\": 128,\n      \"bits\": 8", by: "\"group_size\": 128,\n      \"bits\": 6")
        #expect(module.hasPrefix("config.json: bits in quantization of 'model.language_model.layers.") && module.contains(".mlp.down_proj' is 6;"))
        #expect(try Self.replaced("\"group_size\": 64,\n    \"bits\": 4", by: "\"group_size\": 16,\n    \"bits\": 4").hasPrefix("config.json: group_size in quantization is 16;"))
        #expect(try Self.replaced("\"quantization\"", by: "\"quantisation\"").contains("there is no 'quantization', though tensor '"))
        // Bits and groups that the tensors contradict.
        #expect(try Self.replaced("\"group_size\": 64,\n    \"bits\": 4", by: "\"group_size\": 64,\n    \"bits\": 8").hasSuffix("Is config.json from the same checkpoint?"))
    }

    @Test func scalesThatAreMissing() throws {
        var weights = try readBytes(Fixtures.path("mlx/text/model.safetensors"))
        let name = Array("layers.0.self_attn.q_proj.biases".utf8)
        let at = try #require((0..<weights.count - name.count).first { Array(weights[$0..<$0 + name.count]) == name })
        weights[at + name.count - 1] = UInt8(ascii: "x")
        let error = #expect(throws: CheckpointError.self) { try ModelSource(open: Self.open(["model.safetensors": weights])) }
        #expect(error?.description.contains("q_proj.biases' is missing beside '") == true, "\(error?.description ?? "")")
    }

    /// Damaged headers and configurations: a typed error or a model, never a trap.
    @Test func damage() throws {
        let weights = try readBytes(Fixtures.path("mlx/text/model.safetensors"))
        let config = try readBytes(Fixtures.path("mlx/text/config.json"))
        let start = 8 + Int(weights[0]) + Int(weights[1]) << 8 + Int(weights[2]) << 16
        var random = Mutations(seed: 43)
        var opened = 0
        for turn in 0..<300 {
            var files: [String: [UInt8]] = [:]
            if turn % 2 == 0 { files["model.safetensors"] = weights[..<8] + random.mutate(Array(weights[8..<start])) + weights[start...] } else { files["config.json"] = random.mutate(config) }
            if let model = try? Gemma3nModel(open: Self.open(files)) {
                _ = try? Conversation(model, contextLength: 16).feed(EncodedPrompt(tokens: [2, 300, 301]))
                opened += 1
            }
        }
        #expect(opened > 5, "the damage reaches beyond the first check")
    }
}
