import Checkpoint
import Foundation
import Gemma3n
import Gemma3nHost
import Tensors
import Tokenization
import TestSupport
import Testing

@Suite(.serialized) struct ConversionTests {
    private func source(_ path: String) throws -> ConversionSource { try ConversionSource(ModelFiles(path: path)) }

    private func convert(_ from: String, to path: String, _ mix: QuantizationMix?, keep: [TensorKind: ElementFormat] = [:]) throws -> ConversionReport {
        let container: ConversionContainer = path.hasSuffix(".gguf") ? .gguf : .packed
        return try ModelConverter(source(from), ConversionOptions(mix: mix, keep: keep, container: container), threads: 2).write(to: path)
    }

    /// Logits of a prompt, every position.
    private func logits(_ path: String, below limit: Int32 = 808) throws -> [Float] {
        let model = try Gemma3nModel(ModelFiles(path: path).source(modalities: []), modalities: [])
        let tokens = [Int32](arrayLiteral: 2, 618, 15, 330, 700, 9, 617, 40, 255, 101, 766, 3).map { $0 % limit }
        let conversation = Conversation(model, contextLength: 32)
        var all = [Float](repeating: 0, count: tokens.count * model.configuration.text.vocabSize)
        let count = model.configuration.text.vocabSize
        try conversation.feed(EncodedPrompt(tokens: tokens), wanted: .all, onLogits: { index, row in
            for v in 0..<count { all[index * count + v] = row[v] }
        })
        return all
    }

    /// The three ways to the same file: packed from the checkpoint, packed from the GGUF file, the GGUF file itself.
    @Test(arguments: QuantizationMix.allCases)
    func everyContainerComputesTheSame(_ mix: QuantizationMix) throws {
        try withTemporaryDirectory { folder in
            try FileManager.default.createDirectory(atPath: "\(folder)/hf", withIntermediateDirectories: true)
            var checkpoint = RandomCheckpoint()
            // Whole blocks of 256 for the K formats.
            if [.q4_k_m, .q5_k_m, .q6_k].contains(mix) { (checkpoint.hiddenSize, checkpoint.width, checkpoint.headDim) = (256, 512, 128) }
            checkpoint.format = mix == .bf16 ? "BF16" : "F32"
            try checkpoint.write(to: "\(folder)/hf")
            // One format for what the containers treat differently.
            var keep: [TensorKind: ElementFormat] = [:]
            if !mix.isPlain { for kind in [TensorKind.altup, .laurel, .pleProjection, .pleGate] { keep[kind] = .q8_0 } }
            let report = try convert("\(folder)/hf", to: "\(folder)/m.gguf", mix, keep: keep)
            _ = try convert("\(folder)/hf", to: "\(folder)/direct", mix, keep: keep)
            let again = try convert("\(folder)/m.gguf", to: "\(folder)/packed", mix.isPlain ? mix : nil)
            let file = try logits("\(folder)/m.gguf")
            #expect(file.allSatisfy { $0.isFinite } && (file.max() ?? 0) > 0.5)
            #expect(file == (try logits("\(folder)/direct")))
            #expect(file == (try logits("\(folder)/packed")))
            #expect(again.total.squaredError == 0, "repacking moves no number")
            if mix == .f32 || mix == .bf16 {
                #expect(report.total.squaredError == 0)
                #expect(file == (try logits("\(folder)/hf")))
            }
            // Half a step of the block's scale bounds the error; relative to the numbers' size it is a constant of the format. The bounds
            // are twice what normally distributed weights show.
            let bound: [QuantizationMix: Double] = [.q8_0: 0.01, .q6_k: 0.04, .q5_0: 0.08, .q5_k_m: 0.08, .q4_0: 0.18, .q4_k_m: 0.16, .f16: 5e-4]
            for (kind, error) in report.kinds where kind.isText {
                #expect(error.relative <= bound[mix] ?? 0, "\(kind) \(error.relative)")
                #expect(error.bytesBefore == 0 || error.elements > 0)
            }
        }
    }

    @Test func mixturesOfLlamaCpp() {
        // use_more_bits for 30 layers: the first 3, the last 4, every third between.
        let more = (0..<30).filter { QuantizationMix.q4_k_m.format(.down, layer: $0, layerCount: 30, small: .f16) == .q6_K }
        #expect(more == [0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 27, 28, 29])
        #expect(QuantizationMix.q4_0.format(.down, layer: 0, layerCount: 30, small: .f16) == .q4_0)
        #expect(QuantizationMix.q4_0.format(.embed, layer: nil, layerCount: 30, small: .f16) == .q6_K)
        #expect(QuantizationMix.q8_0.format(.ple, layer: nil, layerCount: 30, small: .f16) == .q8_0)
        #expect(QuantizationMix.q4_0.format(.altup, layer: nil, layerCount: 30, small: .bf16) == .bf16)
        #expect(QuantizationMix.bf16.format(.altup, layer: nil, layerCount: 30, small: .f16) == .bf16)
        #expect(QuantizationMix.fitting(.q4_K, columns: 64) == .q5_0)
        #expect(QuantizationMix.fitting(.q6_K, columns: 96) == .q8_0)
        #expect(QuantizationMix.fitting(.q4_0, columns: 48) == .f16)
        #expect(QuantizationMix.fitting(.q6_K, columns: 512) == .q6_K)
    }

    /// Texts, vocabulary and template of a converted file are those of the checkpoint.
    @Test func tokenizerGoesAlong() throws {
        struct Case: Decodable {
            let text: String
            let ids: [Int32]
        }
        let cases = try JSONDecoder().decode([Case].self, from: Data(readBytes(Fixtures.path("tokenizer/corpus.json"))))
        #expect(cases.count > 20)
        try withTemporaryDirectory { folder in
            let tiny = Fixtures.path("checkpoints/tiny")
            _ = try convert(tiny, to: "\(folder)/tiny.gguf", .f16)
            let tokenizer = try ModelFiles(path: "\(folder)/tiny.gguf").tokenizer()
            for item in cases { #expect(tokenizer.encode(item.text) == item.ids, "\(item.text)") }
            // Without tokenizer.model scores come from the merges, and the file carries tokenizer.json.
            try FileManager.default.copyItem(atPath: tiny, toPath: "\(folder)/json")
            try FileManager.default.removeItem(atPath: "\(folder)/json/tokenizer.model")
            _ = try convert("\(folder)/json", to: "\(folder)/json.gguf", .f16)
            let other = try ModelFiles(path: "\(folder)/json.gguf").tokenizer()
            for item in cases { #expect(other.encode(item.text) == item.ids, "\(item.text)") }
            let gguf = try GGUFFile(bytes: MappedFile(path: "\(folder)/json.gguf").region, name: "json.gguf")
            #expect(gguf["tokenizer.chat_template"]?.string == String(decoding: try readBytes("\(tiny)/chat_template.jinja"), as: UTF8.self))
            #expect(gguf["tokenizer.ggml.eot_token_id"]?.integer == 10 && gguf["tokenizer.ggml.bos_token_id"]?.integer == 2)
        }
    }

    /// Encoders written as a projector file give the soft tokens of the checkpoint; in float32 to the bit.
    @Test func projectorFile() throws {
        try withTemporaryDirectory { folder in
            let files = try ModelFiles(path: Fixtures.path("checkpoints/tiny"))
            let converter = try ModelConverter(ConversionSource(files), ConversionOptions(mix: .f32), projector: true)
            _ = try converter.write(to: "\(folder)/m.gguf")
            // All in float32, so that nothing is rounded.
            let report = try converter.writeProjector(to: "\(folder)/mmproj-m.gguf")
            #expect(report.kinds.map(\.kind) == [.vision, .audio, .media] && report.total.squaredError == 0)
            let gguf = try Gemma3nModel(ModelFiles(path: "\(folder)/m.gguf", projector: "\(folder)/mmproj-m.gguf").source())
            let checkpoint = try Gemma3nModel(files.source())
            let image = RGBImage(width: 40, height: 30, pixels: (0..<3600).map { UInt8(truncatingIfNeeded: $0 * 7) })
            let (a, b) = (try #require(gguf.vision), try #require(checkpoint.vision))
            #expect(try a.softTokens(for: [image]) == b.softTokens(for: [image]))
            let clip = AudioClip(samples: (0..<8000).map { Float($0 % 50) / 50 - 0.5 })
            let (c, d) = (try #require(gguf.audio), try #require(checkpoint.audio))
            #expect(try c.softTokens(for: [clip]) == d.softTokens(for: [clip]))
        }
    }

    @Test func nothingIsLeftWhenStopped() throws {
        try withTemporaryDirectory { folder in
            for name in ["out.gguf", "out"] {
                let options = ConversionOptions(mix: .q8_0, container: name == "out" ? .packed : .gguf)
                let converter = try ModelConverter(source(Fixtures.path("checkpoints/tiny")), options)
                #expect(throws: CancellationError.self) { try converter.write(to: "\(folder)/\(name)") { $0.done < $0.total / 2 } }
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
            }
        }
    }

    @Test func nothingIsReplacedWithoutBeingTold() throws {
        try withTemporaryDirectory { folder in
            try make("\(folder)/a.gguf", [1])
            try FileManager.default.createDirectory(atPath: "\(folder)/b", withIntermediateDirectories: true)
            try make("\(folder)/b/notes.txt", [1])
            let source = try source(Fixtures.path("checkpoints/tiny"))
            let gguf = try ModelConverter(source, ConversionOptions(mix: .f16))
            let packed = try ModelConverter(source, ConversionOptions(mix: .f16, container: .packed))
            func message(_ body: () throws -> Void) -> String {
                do { try body() } catch { return "\(error)" }
                return ""
            }
            #expect(message { _ = try gguf.write(to: "\(folder)/a.gguf") } == "'\(folder)/a.gguf' exists already. Give another name, or pass --force to replace it.")
            #expect(message { _ = try packed.write(to: "\(folder)/b") } == "'\(folder)/b' exists already. Give another name, or pass --force to replace it.")
            // What is no model stays, whatever is said.
            #expect(message { _ = try packed.write(to: "\(folder)/b", replace: true) } == "'\(folder)/b' holds other things than a model's files, and is not replaced. Give another name.")
            #expect(FileManager.default.fileExists(atPath: "\(folder)/b/notes.txt"))
            _ = try gguf.write(to: "\(folder)/a.gguf", replace: true)
            _ = try packed.write(to: "\(folder)/c")
            _ = try packed.write(to: "\(folder)/c", replace: true)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["a.gguf", "b", "c"])
            #expect(try readBytes("\(folder)/a.gguf").count > 100_000)
            #expect(throws: FileError.self) { try checkFreeSpace(for: "\(folder)/x", bytes: .max) }
        }
    }

    @Test func damagedWeightsAreNamed() throws {
        try withTemporaryDirectory { folder in
            var checkpoint = RandomCheckpoint()
            checkpoint.damage = ("model.layers.1.mlp.gate_proj.weight", .infinity)
            try FileManager.default.createDirectory(atPath: "\(folder)/hf", withIntermediateDirectories: true)
            try checkpoint.write(to: "\(folder)/hf")
            let error = #expect(throws: CheckpointError.self) { try convert("\(folder)/hf", to: "\(folder)/m.gguf", .q4_0) }
            #expect(error?.message.hasPrefix("tensor 'model.layers.1.mlp.gate_proj.weight' holds numbers that are infinite or no numbers (row 0)") == true)
            checkpoint.damage = ("model.layers.1.laurel.linear_left.weight", 1e6)
            try checkpoint.write(to: "\(folder)/hf")
            let large = #expect(throws: CheckpointError.self) { try convert("\(folder)/hf", to: "\(folder)/m.gguf", .q4_0) }
            #expect(large?.message.contains("holds numbers too large for F16") == true)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["hf"])
        }
    }

    /// From rows to the kernels' order and back: the same bytes, whatever the format.
    @Test(arguments: QuantizationMix.allCases) func packedComesBack(_ mix: QuantizationMix) throws {
        try withTemporaryDirectory { folder in
            try FileManager.default.createDirectory(atPath: "\(folder)/hf", withIntermediateDirectories: true)
            var checkpoint = RandomCheckpoint()
            if [.q4_k_m, .q5_k_m, .q6_k].contains(mix) { (checkpoint.hiddenSize, checkpoint.width, checkpoint.headDim) = (256, 512, 128) }
            try checkpoint.write(to: "\(folder)/hf")
            var keep: [TensorKind: ElementFormat] = [:]
            if !mix.isPlain { for kind in [TensorKind.altup, .laurel, .pleProjection, .pleGate] { keep[kind] = .q8_0 } }
            _ = try convert("\(folder)/hf", to: "\(folder)/m.gguf", mix, keep: keep)
            // By way of the GGUF file, whose metadata go along: the whole file.
            _ = try convert("\(folder)/m.gguf", to: "\(folder)/packed", nil)
            let report = try convert("\(folder)/packed", to: "\(folder)/again.gguf", nil)
            #expect(report.total.squaredError == 0)
            let (first, again) = (try readBytes("\(folder)/m.gguf"), try readBytes("\(folder)/again.gguf"))
            let isSame = first == again
            #expect(isSame)
            // By way of the checkpoint: the tensors.
            _ = try convert("\(folder)/hf", to: "\(folder)/direct", mix, keep: keep)
            _ = try convert("\(folder)/direct", to: "\(folder)/direct.gguf", nil)
            func tensors(_ name: String) throws -> [String: [UInt8]] {
                let region = try MappedFile(path: "\(folder)/\(name)").region
                let file = try GGUFFile(bytes: region, name: name)
                return Dictionary(uniqueKeysWithValues: file.tensors.map { ($0.name, [UInt8](region.bytes[$0.offset..<$0.offset + $0.byteCount])) })
            }
            let (a, b) = (try tensors("m.gguf"), try tensors("direct.gguf"))
            #expect(a.keys.sorted() == b.keys.sorted())
            for (name, bytes) in a {
                let isSame = b[name] == bytes
                #expect(isSame, "\(name)")
            }
            // Packed from packed.
            _ = try convert("\(folder)/direct", to: "\(folder)/twice", nil)
            func weights(_ name: String) throws -> [String: String] {
                let region = try MappedFile(path: "\(folder)/\(name)/model.safetensors").region
                let file = try SafeTensorsFile(bytes: region, name: name)
                return Dictionary(
                    uniqueKeysWithValues: file.tensors.map {
                        ($0.name, "\($0.format) \($0.layout) \([UInt8](region.bytes[$0.offset..<$0.offset + $0.byteCount]).hashValue)")
                    })
            }
            let (direct, twice) = (try weights("direct"), try weights("twice"))
            #expect(direct == twice)
        }
    }

    /// From a packed model into other formats, as from the decoded weights.
    @Test func packedBecomesOtherTypes() throws {
        try withTemporaryDirectory { folder in
            try FileManager.default.createDirectory(atPath: "\(folder)/hf", withIntermediateDirectories: true)
            try RandomCheckpoint().write(to: "\(folder)/hf")
            _ = try convert("\(folder)/hf", to: "\(folder)/packed", .q4_0)
            _ = try convert("\(folder)/packed", to: "\(folder)/f32.gguf", .f32)
            _ = try convert("\(folder)/packed", to: "\(folder)/q8.gguf", .q8_0)
            _ = try convert("\(folder)/f32.gguf", to: "\(folder)/q8-too.gguf", .q8_0)
            func tensors(_ name: String) throws -> [String: [Float]] {
                let file = try GGUFFile(bytes: MappedFile(path: "\(folder)/\(name)").region, name: name)
                return Dictionary(uniqueKeysWithValues: file.tensors.map { ($0.name, $0.decoded()) })
            }
            let (q8, other) = (try tensors("q8.gguf"), try tensors("q8-too.gguf"))
            for (name, values) in q8 where !name.contains("altup") && !name.contains("laurel") && !name.contains("per_layer_model_proj") {
                let isSame = other[name] == values
                #expect(isSame, "\(name)")
            }
            // Float32 holds every number of the packed model.
            let packed = try ModelFiles(path: "\(folder)/packed").source().weights.tensors
            let plain = try ModelFiles(path: "\(folder)/f32.gguf").source().weights.tensors
            for (name, tensor) in packed {
                let (a, b) = (tensor.decoded(), plain[name]?.decoded())
                let isSame = a == b
                #expect(isSame, "\(name)")
            }
        }
    }

    /// An MLX checkpoint packed computes the same bits as opened where it lies.
    @Test func fromMLX() throws {
        try withTemporaryDirectory { folder in
            let mlx = Fixtures.path("mlx/text")
            let report = try convert(mlx, to: "\(folder)/packed", nil)
            #expect(report.total.squaredError == 0)
            let (a, b) = (try logits(mlx, below: 600), try logits("\(folder)/packed", below: 600))
            let isSame = a == b && a.allSatisfy { $0.isFinite }
            #expect(isSame)
            _ = try convert(mlx, to: "\(folder)/q8.gguf", .q8_0)
            let error = #expect(throws: CheckpointError.self) { try convert(mlx, to: "\(folder)/m.gguf", nil) }
            #expect(error?.message.contains("which GGUF does not know. Give a --type.") == true)
        }
    }

    @Test func packedLayouts() throws {
        try withTemporaryDirectory { folder in
            try FileManager.default.createDirectory(atPath: "\(folder)/hf", withIntermediateDirectories: true)
            try RandomCheckpoint().write(to: "\(folder)/hf")
            _ = try convert("\(folder)/hf", to: "\(folder)/packed", .q4_0)
            // Tensors lie at multiples of a cache line, where the kernels read them.
            let file = try SafeTensorsFile(bytes: MappedFile(path: "\(folder)/packed/model.safetensors").region, name: "model.safetensors")
            #expect(Set(file.tensors.map { "\($0.format.name) \($0.layout)" }) == ["F32 rows", "Q8_0 rows", "Q8_0 panels", "Q4_0 rows", "Q4_0 panels", "Q4_0 units"])
        }
    }
}
