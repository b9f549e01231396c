import Checkpoint
import Foundation
import Gemma3n
import Gemma3nHost
import Tensors
import TestSupport
import Testing

/// Files of slices: they compute what views compute, and are the same bytes however they came to be.
@Suite(.serialized) struct SlicingTests {
    private static let tokens = [Int32](arrayLiteral: 2, 618, 15, 330, 700, 9, 617, 40, 255, 101, 766, 3)

    /// Bits of all logits of a prompt, by a view if there is a slice.
    private func logits(_ path: String, _ slice: ModelSlice? = nil) throws -> [UInt32] {
        let model = try Gemma3nModel(ModelFiles(path: path).source(modalities: []), modalities: [])
        let decoder = TextDecoder(model.text, contextLength: 32, chunk: 5)
        if let slice { decoder.use(try model.text.sliced(slice)) }
        var bits: [UInt32] = []
        try decoder.prefill(Self.tokens, wanted: .all) { _, row in bits += row.map(\.bitPattern) }
        return bits
    }

    @discardableResult
    private func slice(
        _ from: String, to path: String, _ slice: ModelSlice, replace: Bool = false, durable: Int? = nil,
        progress: (ModelConverter.Progress) -> Bool = { _ in true }
    ) throws -> SlicingReport {
        var slicer = try ModelSlicer(SlicingSource(ModelFiles(path: from)), to: slice)
        if let durable { slicer.durableBytes = durable }
        return try slicer.write(to: path, replace: replace, progress: progress)
    }

    private func message(_ body: () throws -> Void) -> String {
        do { try body() } catch { return "\(error)" }
        return ""
    }

    private func names(_ folder: String) throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder).sorted() }

    private func contents(_ path: String) throws -> [String: [UInt8]] {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue else { return ["": try readBytes(path)] }
        var files: [String: [UInt8]] = [:]
        for name in try names(path) { files[name] = try readBytes("\(path)/\(name)") }
        return files
    }

    /// The stored bytes of every tensor of a packed directory.
    private func tensors(_ path: String) throws -> [String: [UInt8]] {
        let file = try SafeTensorsFile(bytes: ByteRegion(copying: try readBytes("\(path)/model.safetensors")), name: "model.safetensors")
        var bytes: [String: [UInt8]] = [:]
        for tensor in file.tensors { bytes[tensor.name] = Array(tensor.region.bytes[tensor.offset..<tensor.offset + tensor.byteCount]) }
        return bytes
    }

    // MARK: The same model

    enum Container: String, CaseIterable {
        case f32, bf16, gguf8, gguf4, ggufK, packed8, packed4, packedK

        var isGGUF: Bool { rawValue.hasPrefix("gguf") }
    }

    /// A checkpoint of 7 layers, the last 3 without K/V, in the container; the path it has.
    private func checkpoint(_ container: Container, in folder: String) throws -> String {
        try FileManager.default.createDirectory(atPath: "\(folder)/hf", withIntermediateDirectories: true)
        var checkpoint = RandomCheckpoint()
        (checkpoint.layers, checkpoint.shared, checkpoint.width) = (7, 3, 160)
        if [.ggufK, .packedK].contains(container) {
            (checkpoint.hiddenSize, checkpoint.width, checkpoint.headDim, checkpoint.perLayer) = (256, 1024, 128, 256)
        }
        if container == .bf16 { checkpoint.format = "BF16" }
        try checkpoint.write(to: "\(folder)/hf")
        let mix: QuantizationMix
        switch container {
        case .f32, .bf16: return "\(folder)/hf"
        case .gguf8, .packed8: mix = .q8_0
        case .gguf4, .packed4: mix = .q4_0
        case .ggufK, .packedK: mix = .q4_k_m
        }
        let path = container.isGGUF ? "\(folder)/whole.gguf" : "\(folder)/whole"
        let options = ConversionOptions(mix: mix, container: container.isGGUF ? .gguf : .packed)
        _ = try ModelConverter(ConversionSource(ModelFiles(path: "\(folder)/hf")), options, threads: 2).write(to: path)
        return path
    }

    @Test(arguments: Container.allCases)
    func filesComputeWhatViewsCompute(_ container: Container) throws {
        try withTemporaryDirectory { folder in
            let whole = try checkpoint(container, in: folder)
            let source = try SlicingSource(ModelFiles(path: whole))
            let c = source.configuration.text
            let grain = source.widthGrain
            #expect(grain == (container.rawValue.hasSuffix("K") ? 256 : [.f32, .bf16].contains(container) ? 1 : 32))
            let odd = grain == 1 ? 77 : grain
            // Widths of whole and of half records, layers left out at the end, in the middle and not at all.
            let slices = [
                ModelSlice(widths: (0..<7).map { $0 % 2 == 0 ? odd : 2 * grain }, leavingOut: [5]), ModelSlice(widths: Array(repeating: 3 * grain, count: 7), leavingOut: [4, 6]),
                ModelSlice(widths: c.intermediateSize), ModelSlice(widths: (0..<7).map { $0 < 3 ? grain : c.intermediateSize[$0] }, leavingOut: [4, 5, 6]),
            ]
            for (index, slice) in slices.enumerated() {
                let path = container.isGGUF ? "\(folder)/\(index).gguf" : "\(folder)/\(index)"
                let report = try self.slice(whole, to: path, slice)
                let same = try logits(path) == logits(whole, slice)
                #expect(same, "slice \(index)")
                #expect(try contents(path).values.reduce(0) { $0 + $1.count } == report.fileBytes)
                #expect(try SlicingSource(ModelFiles(path: path)).configuration.text == c.sliced(slice))
                // A slice of all holds the file's own bytes.
                if index == 2, container == .packed4 {
                    let same = try tensors(path) == tensors(whole)
                    #expect(same)
                }
            }
        }
    }

    /// Panels cut from a packed file are those packed from a cut one: the half of a record that is left is zero.
    @Test(arguments: [Container.packed4, .packed8])
    func cuttingAndPackingCommute(_ container: Container) throws {
        try withTemporaryDirectory { folder in
            let whole = try checkpoint(container, in: folder)
            let slice = ModelSlice(widths: [32, 96, 160, 64, 32, 128, 96], leavingOut: [5])
            try self.slice(whole, to: "\(folder)/packed-cut", slice)
            let mix: QuantizationMix = container == .packed4 ? .q4_0 : .q8_0
            // Blocks are made row by row and 32 columns at a time: a cut at their borders commutes with quantising, too.
            try self.slice("\(folder)/hf", to: "\(folder)/cut", slice)
            _ = try ModelConverter(ConversionSource(ModelFiles(path: "\(folder)/cut")), ConversionOptions(mix: mix, container: .packed), threads: 2).write(to: "\(folder)/cut-packed")
            let same = try tensors("\(folder)/packed-cut") == tensors("\(folder)/cut-packed")
            #expect(same)
        }
    }

    /// Shards, towers, unused tensors and other files go along; the released layout of config.json stays what it is.
    @Test func multimodalCheckpointsStayMultimodal() throws {
        try withTemporaryDirectory { folder in
            let whole = "\(folder)/whole"
            try FileManager.default.copyItem(atPath: Fixtures.path("checkpoints/tiny-bf16"), toPath: whole)
            try make("\(whole)/README.md", Array("a model".utf8))
            try make("\(whole)/pytorch_model.bin", [1, 2, 3])
            try FileManager.default.createDirectory(atPath: "\(whole)/original", withIntermediateDirectories: true)
            let slice = ModelSlice(widths: [128, 100, 77, 128, 96, 0, 40, 64], leavingOut: [5])
            let report = try self.slice(whole, to: "\(folder)/cut", slice)
            #expect(report.notes == ["pytorch_model.bin is not copied: it holds weights that are not part of this checkpoint."])
            #expect(try names("\(folder)/cut") == names(whole).filter { $0 != "pytorch_model.bin" && $0 != "original" })
            #expect(try readBytes("\(folder)/cut/README.md") == Array("a model".utf8))
            let same = try logits("\(folder)/cut") == logits(whole, slice)
            #expect(same)

            let index = try JSONValue.parse(readBytes("\(folder)/cut/model.safetensors.index.json"), file: "index")
            let shards = try names("\(folder)/cut").filter { $0.hasSuffix(".safetensors") }
            var total = 0
            for shard in shards {
                for tensor in try SafeTensorsFile(bytes: ByteRegion(copying: readBytes("\(folder)/cut/\(shard)")), name: shard).tensors {
                    #expect(index["weight_map"]?[tensor.name]?.string == shard)
                    total += tensor.byteCount
                }
            }
            #expect(index["metadata"]?["total_size"]?.int == total && shards.count == 3)
            let (before, after) = (try JSONValue.parse(readBytes("\(whole)/config.json"), file: "a"), try JSONValue.parse(readBytes("\(folder)/cut/config.json"), file: "b"))
            #expect(before["vision_config"] == after["vision_config"] && before["audio_config"] == after["audio_config"] && before.object?.keys == after.object?.keys)
            #expect(after["text_config"]?["rope_local_base_freq"] == before["text_config"]?["rope_local_base_freq"])
            #expect(after["text_config"]?["intermediate_size"] == [128, 100, 77, 128, 96, 40, 64])
            #expect(after["text_config"]?["num_kv_shared_layers"] == 2 && after["text_config"]?["num_hidden_layers"] == 7)

            // Readers that tell 30.0 from 30 find what they found before.
            let written = String(decoding: try readBytes("\(folder)/cut/config.json"), as: UTF8.self)
            #expect(written.contains("\"final_logit_softcapping\": 30.0,") && written.contains("\"rope_theta\": 1000000.0") && written.contains("0.95,\n"))

            let image = RGBImage(width: 40, height: 30, pixels: (0..<3600).map { UInt8(truncatingIfNeeded: $0 * 7) })
            let (a, b) = (try Gemma3nModel(ModelFiles(path: whole).source()), try Gemma3nModel(ModelFiles(path: "\(folder)/cut").source()))
            #expect(try a.vision?.softTokens(for: [image]) == b.vision?.softTokens(for: [image]) && b.vision != nil && b.audio != nil)
        }
    }

    /// The metadata that llama.cpp reads, and the rest as it was.
    @Test func metadataOfGGUFFiles() throws {
        try withTemporaryDirectory { folder in
            let whole = try checkpoint(.gguf4, in: folder)
            func open(_ path: String) throws -> GGUFFile { try GGUFFile(bytes: ByteRegion(copying: readBytes(path)), name: "m.gguf") }
            try slice(whole, to: "\(folder)/a.gguf", ModelSlice(widths: Array(repeating: 64, count: 7), leavingOut: [4]))
            try slice(whole, to: "\(folder)/b.gguf", ModelSlice(widths: [32, 64, 96, 128, 160, 32, 64]))
            let (before, even, uneven) = (try open(whole), try open("\(folder)/a.gguf"), try open("\(folder)/b.gguf"))
            #expect(even["gemma3n.block_count"]?.integer == 6 && even["gemma3n.feed_forward_length"]?.integer == 64)
            #expect(even["gemma3n.attention.shared_kv_layers"]?.integer == 2)
            #expect(even["gemma3n.activation_sparsity_scale"]?.doubles == before["gemma3n.activation_sparsity_scale"]?.doubles.map { Array($0[..<4] + $0[5...]) })
            #expect(even["gemma3n.attention.sliding_window_pattern"]?.bools == [true, true, false, true, false, true])
            #expect(uneven["gemma3n.feed_forward_length"]?.integers == [32, 64, 96, 128, 160, 32, 64])
            #expect(Set(before.keys) == Set(even.keys))
            #expect(even["tokenizer.ggml.tokens"]?.strings == before["tokenizer.ggml.tokens"]?.strings)
            #expect(even.tensor("blk.4.attn_q.weight") != nil && even.tensor("blk.6.attn_q.weight") == nil)
            let same = even.tensor("blk.4.attn_q.weight")?.decoded() == before.tensor("blk.5.attn_q.weight")?.decoded()
            #expect(same)
        }
    }

    // MARK: Interruptions

    /// Stopped at any place, at places that are not on record, and more than once: the same bytes in the end.
    @Test(arguments: [Container.bf16, .gguf4, .packed8])
    func resumedRunsGiveTheSameBytes(_ container: Container) throws {
        try withTemporaryDirectory { folder in
            let whole = try checkpoint(container, in: folder)
            let slice = ModelSlice(widths: Array(repeating: 64, count: 7), leavingOut: [5])
            let ending = container.isGGUF ? ".gguf" : ""
            try self.slice(whole, to: "\(folder)/once\(ending)", slice)
            let expected = try contents("\(folder)/once\(ending)")
            let (target, partial) = ("\(folder)/out\(ending)", "\(folder)/.out\(ending).partial")
            var stops = 0
            var resumed: [Int] = []
            for share in [0.1, 0.3, 0.31, 0.8] {
                #expect(throws: CancellationError.self) {
                    try self.slice(whole, to: target, slice, durable: 10_000) { progress in Double(progress.done) < share * Double(progress.total) }
                }
                stops += 1
                #expect(!FileManager.default.fileExists(atPath: target) && FileManager.default.fileExists(atPath: partial))
                // As if the machine had stopped before the last bytes were written: they are there, but nothing says so.
                let content = container.isGGUF ? "\(partial)/content" : "\(partial)/content/model.safetensors"
                let handle = try #require(FileHandle(forWritingAtPath: content))
                try handle.seekToEnd()
                try handle.write(contentsOf: Data([9, 9, 9]))
                try handle.close()
                if container != .gguf4 { try make("\(partial)/content/.config.json.77-1.tmp", [1]) }
            }
            let report = try self.slice(whole, to: target, slice)
            resumed.append(report.resumedAt)
            #expect(Double(report.resumedAt) > 0.5 * Double(report.fileBytes) && report.resumedAt < report.fileBytes)
            let same = try contents(target) == expected
            #expect(same)
            #expect(try names(folder).filter { $0.hasPrefix(".") } == [])
        }
    }

    @Test func anotherSliceOrSourceStartsAnew() throws {
        try withTemporaryDirectory { folder in
            let whole = try checkpoint(.bf16, in: folder)
            let (first, second) = (ModelSlice(widths: Array(repeating: 64, count: 7)), ModelSlice(widths: Array(repeating: 65, count: 7)))
            func stop() throws {
                #expect(throws: CancellationError.self) { try self.slice(whole, to: "\(folder)/out", first, durable: 1000) { $0.done < $0.total / 2 } }
            }
            try stop()
            #expect(try slice(whole, to: "\(folder)/out", second).resumedAt == 0)
            let same = try logits("\(folder)/out") == logits(whole, second)
            #expect(same)
            try FileManager.default.removeItem(atPath: "\(folder)/out")
            try stop()
            // Written again a moment later, the same bytes in all.
            let bytes = try readBytes("\(whole)/model.safetensors")
            try FileManager.default.removeItem(atPath: "\(whole)/model.safetensors")
            try make("\(whole)/model.safetensors", bytes)
            #expect(try slice(whole, to: "\(folder)/out", first).resumedAt == 0)
            try FileManager.default.removeItem(atPath: "\(folder)/out")
            // What lies there is too short for what was noted.
            try stop()
            try make("\(folder)/.out.partial/content/model.safetensors", [1])
            #expect(try slice(whole, to: "\(folder)/out", first).resumedAt == 0)
            let again = try logits("\(folder)/out") == logits(whole, first)
            #expect(again)
            // Nonsense in the state.
            try FileManager.default.removeItem(atPath: "\(folder)/out")
            try stop()
            try make("\(folder)/.out.partial/state", Array("gemma3n slice 1 7\n-1 x\n".utf8))
            #expect(try slice(whole, to: "\(folder)/out", first).resumedAt == 0)
        }
    }

    @Test func oneRunAtATime() throws {
        try withTemporaryDirectory { folder in
            let whole = try checkpoint(.bf16, in: folder)
            let slice = ModelSlice(widths: Array(repeating: 64, count: 7))
            var second = ""
            try self.slice(whole, to: "\(folder)/out", slice) { _ in
                if second.isEmpty { second = message { _ = try self.slice(whole, to: "\(folder)/out", slice) } }
                return true
            }
            #expect(second == "another run is writing '\(folder)/out' now. Wait for it, or give another name.")
        }
    }

    // MARK: Refusals

    @Test func refusals() throws {
        try withTemporaryDirectory { folder in
            let whole = try checkpoint(.gguf4, in: folder)
            func refused(_ slice: ModelSlice, _ path: String = "out.gguf", from source: String? = nil) -> String {
                message { _ = try self.slice(source ?? whole, to: "\(folder)/\(path)", slice) }
            }
            let widths = Array(repeating: 64, count: 7)
            #expect(refused(ModelSlice(widths: widths, leavingOut: [3])) == "Layer 3 cannot be left out: it makes keys and values that other layers read. Only layers 4 to 6 can.")
            #expect(refused(ModelSlice(widths: [64])) == "The slice has widths for 1 layers, but the model has 7. Give one for each.")
            #expect(refused(ModelSlice(widths: Array(repeating: 80, count: 7))) == "Layer 0 cannot be 80 wide: its down_proj is stored in Q4_0, which can be cut at multiples of 32 only.")
            try make("\(folder)/there.gguf", [1])
            #expect(refused(ModelSlice(widths: widths), "there.gguf") == "'\(folder)/there.gguf' exists already. Give another name, or pass --force to replace it.")
            #expect(refused(ModelSlice(widths: widths), "nowhere/out.gguf").contains("no such file or directory"))
            try FileManager.default.createDirectory(atPath: "\(folder)/there", withIntermediateDirectories: true)
            try make("\(folder)/there/notes.txt", [1])
            #expect(refused(ModelSlice(widths: widths), "there", from: "\(folder)/hf") == "'\(folder)/there' exists already. Give another name, or pass --force to replace it.")
            #expect(message { _ = try self.slice("\(folder)/hf", to: "\(folder)/there", ModelSlice(widths: widths), replace: true) } == "'\(folder)/there' holds other things than a model's files, and is not replaced. Give another name.")
            #expect(try names(folder).filter { $0.hasPrefix(".") } == [])
            // Replacing, even the source itself.
            let view = try logits("\(folder)/hf", ModelSlice(widths: widths))
            try slice("\(folder)/hf", to: "\(folder)/hf", ModelSlice(widths: widths), replace: true)
            let same = try logits("\(folder)/hf") == view
            #expect(same)
            try slice(whole, to: "\(folder)/there.gguf", ModelSlice(widths: widths), replace: true)
            #expect(throws: Never.self) { _ = try logits("\(folder)/there.gguf") }
        }
    }

    /// A table whose rows are blocks over several layers, and rows of a projection that begin inside a panel.
    @Test func layersThatCannotBeTakenOut() throws {
        try withTemporaryDirectory { folder in
            try FileManager.default.createDirectory(atPath: "\(folder)/hf", withIntermediateDirectories: true)
            var checkpoint = RandomCheckpoint()
            (checkpoint.layers, checkpoint.shared, checkpoint.perLayer) = (8, 4, 24)
            try checkpoint.write(to: "\(folder)/hf")
            func packed(_ keep: [TensorKind: ElementFormat]) throws -> String {
                let options = ConversionOptions(mix: .bf16, keep: keep, container: .packed)
                let path = "\(folder)/packed-\(keep.count)-\(keep.keys.first?.rawValue ?? "")"
                _ = try ModelConverter(ConversionSource(ModelFiles(path: "\(folder)/hf")), options, threads: 2).write(to: path)
                return path
            }
            func refused(_ from: String, _ leftOut: [Int]) -> String {
                message { _ = try self.slice(from, to: "\(folder)/out", ModelSlice(widths: Array(repeating: 64, count: 8), leavingOut: leftOut)) }
            }
            let table = try packed([.ple: .q8_0])
            #expect(refused(table, [5]) == "No layer can be left out: model.embed_tokens_per_layer.weight is stored in Q8_0, which can be cut at multiples of 32 only, and hidden_size_per_layer_input is 24.")
            #expect(refused(table, []) == "")
            let projection = try packed([.pleProjection: .q8_0])
            #expect(refused(projection, [5]) == "These layers cannot be left out: model.per_layer_model_projection.weight is packed in rows of 16, and hidden_size_per_layer_input is 24.")
            try FileManager.default.removeItem(atPath: "\(folder)/out")
            #expect(refused(projection, [6, 7]) == "")
        }
    }

    /// A checkpoint whose tensors are not what config.json says is refused before anything is written.
    @Test func wrongCheckpoints() throws {
        try withTemporaryDirectory { folder in
            let whole = try checkpoint(.f32, in: folder)
            let config = String(decoding: try readBytes("\(whole)/config.json"), as: UTF8.self)
            try make("\(whole)/config.json", Array(config.replacingOccurrences(of: "\"intermediate_size\": 160", with: "\"intermediate_size\": 161").utf8))
            #expect(message { _ = try self.slice(whole, to: "\(folder)/out", ModelSlice(widths: Array(repeating: 64, count: 7))) }.contains("has shape [160, 64], expected [161, 64]. Is config.json from the same checkpoint?"))
            try make("\(whole)/config.json", Array(config.replacingOccurrences(of: "\"num_hidden_layers\": 7", with: "\"num_hidden_layers\": 6").utf8))
            #expect(message { _ = try self.slice(whole, to: "\(folder)/out", ModelSlice(widths: Array(repeating: 64, count: 6))) } != "")
            #expect(try names(folder) == ["hf"])
        }
    }
}
