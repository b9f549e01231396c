internal import Checkpoint
internal import Tensors

/// A projector file (`mmproj`): the encoders of pictures and sound, and what prepares their input.
///
/// - Source: `Gemma3nVisionAudioModel` in llama.cpp's `conversion/gemma.py`.
struct GGUFProjector {
    private let gguf: GGUFFile

    init(_ gguf: GGUFFile) throws(CheckpointError) {
        self.gguf = gguf
        guard gguf["general.architecture"]?.string == "clip" else {
            throw CheckpointError(
                .unsupportedFormat, file: gguf.name,
                "general.architecture is \(gguf["general.architecture"]?.summary ?? "missing"), expected \"clip\": a projector file (mmproj).")
        }
        for (key, known) in [("clip.vision.projector_type", "gemma3nv"), ("clip.audio.projector_type", "gemma3na"), ("clip.projector_type", "gemma3nv")] {
            if let type = gguf[key], type.string != known {
                throw CheckpointError(
                    .unsupportedFormat, file: gguf.name, "\(key) is \(type.summary), expected \"\(known)\": the projector file of a Gemma 3n.")
            }
        }
    }

    var hasEncoders: Bool { hasVision || hasAudio }
    private var hasVision: Bool { gguf.tensor("v.conv_stem.conv.weight") != nil }
    private var hasAudio: Bool { gguf.tensor("a.blk.0.attn_q.weight") != nil }

    /// Members of `config.json` besides those of the text.
    func configuration(_ tokens: MediaTokenIDs) throws(CheckpointError) -> [(String, JSONValue)] {
        let keys = GGUFKeys(gguf, prefix: "clip.")
        var members: [(String, JSONValue)] = [
            ("boi_token_id", JSONValue(tokens["<start_of_image>"])), ("eoi_token_id", JSONValue(tokens["<end_of_image>"])),
            ("image_token_id", JSONValue(tokens["<image_soft_token>"])), ("boa_token_id", JSONValue(tokens["<start_of_audio>"])),
            ("eoa_token_id", JSONValue(tokens["<end_of_audio>"])), ("audio_token_id", JSONValue(tokens["<audio_soft_token>"])),
        ]
        if hasVision {
            let embedding = try keys.tensor("mm.embedding.weight").shape
            members.append(("vision_soft_tokens_per_image", JSONValue(try softTokensPerImage())))
            members.append(
                ("vision_config", JSONValue([
                    ("hidden_size", JSONValue(embedding.last ?? 0)), ("vocab_size", JSONValue(embedding.first ?? 0)),
                    ("vocab_offset", JSONValue(tokens.visionOffset)),
                ])))
        }
        if hasAudio {
            let embedding = try keys.tensor("mm.a.embedding.weight").shape
            let convolutions = [try keys.tensor("a.conv1d.0.weight").shape, try keys.tensor("a.conv1d.1.weight").shape]
            let depthwise = try keys.tensor("a.blk.0.conv_dw.weight").shape
            for (index, shape) in convolutions.enumerated() where shape.count != 4 {
                throw CheckpointError(
                    .wrongShape, file: gguf.name, "tensor 'a.conv1d.\(index).weight' has shape \(shape), expected four dimensions: a convolution.")
            }
            members.append(
                ("audio_config", JSONValue([
                    ("hidden_size", JSONValue(try keys.integer("audio.embedding_length"))), ("vocab_size", JSONValue(embedding.first ?? 0)),
                    ("vocab_offset", JSONValue(tokens.audioOffset)),
                    ("input_feat_size", JSONValue(try keys.integer("audio.num_mel_bins", default: 128))),
                    ("conf_num_hidden_layers", JSONValue(try keys.integer("audio.block_count"))),
                    ("conf_num_attention_heads", JSONValue(try keys.integer("audio.attention.head_count"))),
                    ("conf_conv_kernel_size", JSONValue(depthwise.last ?? 0)),
                    ("sscp_conv_channel_size", .array(convolutions.map { JSONValue($0[0]) })),
                    ("sscp_conv_kernel_size", .array(convolutions.map { .array([JSONValue($0[2]), JSONValue($0[3])]) })),
                ])))
        }
        return members
    }

    /// Pictures have `clip.vision.image_size` pixels a side. The encoder makes features of 1/16 of that, which a step of 3 makes soft
    /// tokens of: 768 pixels give 16 x 16.
    private func softTokensPerImage() throws(CheckpointError) -> Int {
        let keys = GGUFKeys(gguf, prefix: "clip.")
        let size = try keys.integer("vision.image_size", default: 768)
        guard size >= 48, size <= 1 << 16 else { throw keys.wrong("vision.image_size", "48 to 65536 pixels") }
        let side = size / 48
        return side * side
    }

    /// `processor_config.json`.
    func processor() throws(CheckpointError) -> JSONValue {
        let keys = GGUFKeys(gguf, prefix: "clip.")
        var members: [(String, JSONValue)] = []
        if hasVision {
            let size = JSONValue(try keys.integer("vision.image_size", default: 768))
            let mean = try keys.doubles("vision.image_mean", count: 3) ?? [0, 0, 0]
            let std = try keys.doubles("vision.image_std", count: 3) ?? [1, 1, 1]
            // No Gemma 3n normalises; the converter writes what leaves pixels as they are.
            let isNeutral = mean == [0, 0, 0] && std == [1, 1, 1]
            members.append(
                ("image_processor", JSONValue([
                    ("size", JSONValue([("height", size), ("width", size)])), ("resample", 2), ("do_normalize", .bool(!isNeutral)),
                    ("image_mean", .array(mean.map { JSONValue($0) })), ("image_std", .array(std.map { JSONValue($0) })),
                ])))
        }
        if hasAudio {
            members.append(("feature_extractor", JSONValue([("feature_size", JSONValue(try keys.integer("audio.num_mel_bins", default: 128)))])))
        }
        return JSONValue(members)
    }
}
