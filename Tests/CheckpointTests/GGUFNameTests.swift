import Checkpoint
import Tensors
import TestSupport
import Testing

@Suite struct GGUFNameTests {
    /// Names as llama.cpp's converter writes them, one of every kind.
    @Test(arguments: [
        ("model.language_model.embed_tokens.weight", "token_embd.weight"),
        ("model.language_model.layers.17.self_attn.o_proj.weight", "blk.17.attn_output.weight"),
        ("model.language_model.layers.0.altup.correct_output_scale", "blk.0.altup_correct_scale.weight"),
        ("model.language_model.layers.29.per_layer_input_gate.weight", "blk.29.inp_gate.weight"),
        ("model.embed_audio.soft_embedding_norm.weight", "mm.a.soft_emb_norm.weight"),
        ("model.vision_tower.timm_model.blocks.2.11.attn.key.down_conv.weight", "v.blk.2.11.attn.key.down_conv.weight"),
        ("model.audio_tower.conformer.11.ffw_layer_end.ffw_layer_2.weight", "a.blk.11.ffn_down_1.weight"),
        ("model.audio_tower.subsample_conv_projection.conv_1.norm.weight", "a.conv1d.1.norm.weight"),
        ("lm_head.weight", "output.weight"),
    ])
    func bothWays(huggingFace: String, gguf: String) {
        #expect(GGUFTensorNames.gguf(huggingFace: huggingFace) == GGUFTensorNames.Place(gguf))
        #expect(GGUFTensorNames.huggingFace(gguf: gguf) == huggingFace)
    }

    @Test func textOnlyPrefix() {
        #expect(GGUFTensorNames.gguf(huggingFace: "model.layers.3.mlp.up_proj.weight") == GGUFTensorNames.Place("blk.3.ffn_up.weight"))
        #expect(GGUFTensorNames.huggingFace(gguf: "blk.3.ffn_up.weight", textPrefix: "model.") == "model.layers.3.mlp.up_proj.weight")
    }

    @Test func stackedMatricesHaveASlice() {
        let place = GGUFTensorNames.gguf(huggingFace: "model.language_model.altup_unembed_projections.2.weight")
        #expect(place == GGUFTensorNames.Place("altup_unembd_proj.weight", slice: 2))
        let pattern = GGUFTensorNames.huggingFace(gguf: "altup_proj.weight")
        #expect(pattern == "model.language_model.altup_projections.{}.weight")
        #expect(GGUFTensorNames.filled("a.{}.b", "12") == "a.12.b")
    }

    @Test func unknownNamesHaveNoPlace() {
        for name in ["", "model.", "model.language_model.layers.x.self_attn.q_proj.weight", "model.language_model.layers..mlp.up_proj.weight", "model.layers.1.mlp.up_proj.bias"] {
            #expect(GGUFTensorNames.gguf(huggingFace: name) == nil, "\(name)")
        }
        for name in ["", "blk.1.attn_qkv.weight", "blk.-1.attn_q.weight", "rope_freqs.weight"] {
            #expect(GGUFTensorNames.huggingFace(gguf: name) == nil, "\(name)")
        }
    }

    /// Every tensor of the tiny checkpoint has a place of its own, and comes back.
    @Test func everyTensorOfACheckpoint() throws {
        let file = try FixtureFile("checkpoints/tiny/model.safetensors").file
        var places: Set<String> = []
        for tensor in file.tensors {
            let place = try #require(GGUFTensorNames.gguf(huggingFace: tensor.name), "\(tensor.name)")
            #expect(places.insert("\(place.name) \(place.slice ?? -1)").inserted)
            let back = try #require(GGUFTensorNames.huggingFace(gguf: place.name))
            #expect(GGUFTensorNames.filled(back, "\(place.slice ?? 0)") == tensor.name)
        }
        #expect(places.count == file.tensors.count && places.count > 300)
    }
}

@Suite struct GGUFWriterTests {
    /// What is written is read again, value by value; numbers lie where the head says.
    @Test func roundTrip() throws {
        var metadata = GGUFMetadata()
        metadata.set("general.architecture", string: "gemma3n")
        metadata.set("a.count", uint32: 7)
        metadata.set("a.signed", int32: -7)
        metadata.set("a.scale", float32: 0.25)
        metadata.set("a.flag", bool: true)
        metadata.set("a.words", strings: [Array("one".utf8), [], [0xFF, 0x00]])
        metadata.set("a.numbers", int32s: [1, -2])
        metadata.set("a.floats", float32s: [1.5, -.infinity])
        metadata.set("a.flags", bools: [true, false, true])
        let tensors = [
            GGUFLayout.Tensor(name: "x", shape: [3], type: 0, byteCount: 12), GGUFLayout.Tensor(name: "y", shape: [2, 1, 2], type: 0, byteCount: 16),
        ]
        let layout = GGUFLayout(metadata: metadata, tensors: tensors)
        var bytes = layout.head
        for (tensor, values) in zip(layout.tensors, [[1, 2, 3], [4, 5, 6, 7]] as [[Float]]) {
            for value in values { withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 } }
            bytes += [UInt8](repeating: 0, count: tensor.paddedByteCount - tensor.byteCount)
        }
        #expect(bytes.count == layout.byteCount)
        let file = try GGUFFile(bytes: ByteRegion(copying: bytes), name: "x.gguf")
        #expect(file.version == 3 && file.keys == metadata.keys)
        #expect(file["a.count"]?.integer == 7 && file["a.signed"]?.integer == -7 && file["a.scale"]?.double == 0.25 && file["a.flag"]?.bool == true)
        #expect(file["a.words"]?.count == 3 && file["a.numbers"]?.integers == [1, -2] && file["a.floats"]?.doubles == [1.5, -.infinity])
        #expect(file["a.flags"]?.bools == [true, false, true])
        #expect(file.tensor("x")?.decoded() == [1, 2, 3] && file.tensor("y")?.shape == [2, 1, 2] && file.tensor("y")?.decoded() == [4, 5, 6, 7])
        // Copied metadata has the same bytes.
        let copy = GGUFLayout(metadata: GGUFMetadata(copying: file), tensors: tensors)
        #expect(copy.head == layout.head)
        #expect(GGUFMetadata(copying: file, except: ["a.count"]).keys.count == metadata.count - 1)
    }

    @Test func alignedSafeTensors() throws {
        let entries = [SafeTensorsWriter.Entry(name: "a", shape: [3]), SafeTensorsWriter.Entry(name: "b", shape: [2])]
        var bytes = SafeTensorsWriter.header(entries, alignment: 64)
        #expect(bytes.count % 64 == 0)
        for values in [[1, 2, 3], [4, 5]] as [[Float]] {
            for value in values { withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 } }
            bytes += [UInt8](repeating: 0, count: SafeTensorsWriter.padded(values.count * 4, to: 64) - values.count * 4)
        }
        let file = try SafeTensorsFile(bytes: ByteRegion(copying: bytes), name: "x.safetensors")
        #expect(file["a"]?.decoded() == [1, 2, 3] && file["b"]?.decoded() == [4, 5])
    }
}
