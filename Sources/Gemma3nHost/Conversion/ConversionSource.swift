public import Checkpoint
public import Gemma3n
public import Tensors
public import Tokenization

/// A checkpoint as a conversion sees it: its tensors under their Hugging Face names, and what describes them.
public struct ConversionSource: Sendable {
    /// How messages call it.
    public let name: String
    public let configuration: Gemma3nConfiguration
    public let generation: GenerationConfiguration
    public let tokenizer: Tokenizer
    /// Text first, layer by layer; the encoders; the table of per-layer embeddings last.
    public let tensors: [StoredTensor]
    /// The files of a checkpoint directory besides its weights, by name.
    public let files: [(name: String, region: ByteRegion)]
    /// The GGUF file it comes from, or the metadata of the one a packed checkpoint was made from.
    let gguf: GGUFFile?
    let chatTemplate: String?
    private let imageSettings: (json: JSONValue, file: String)?

    /// Looks at a model's files; no weight is read.
    ///
    /// - Throws: What reading configuration, tokenizer and the headers of the weights throws.
    public init(_ files: ModelFiles) throws(CheckpointError) {
        let model = try files.source()
        if let gguf = files.gguf {
            let documents = model.documents.map { ($0.name, ByteRegion(copying: Array($0.json.serialized(indent: 2).utf8))) }
            let file = try GGUFFile(bytes: try files.region(gguf.model), name: gguf.model)
            try self.init(model, name: files.name, files: documents, gguf: file)
            return
        }
        var others: [(name: String, region: ByteRegion)] = []
        for name in ModelFiles.knownNames where name != ModelFiles.weights && name != ModelFiles.weightIndex {
            if let region = try files.regionIfPresent(name) { others.append((name, region)) }
        }
        // The tokenizer of a checkpoint that was packed from a GGUF file.
        let names = others.map(\.name)
        let metadata = names.contains(ModelFiles.tokenizerJSON) || names.contains(ModelFiles.tokenizerModel) ? nil : ModelFiles.tokenizerGGUF
        let region = others.first { $0.name == metadata }?.region
        let gguf = try region.map { (bytes) throws(CheckpointError) in try GGUFFile(bytes: bytes, name: ModelFiles.tokenizerGGUF) }
        try self.init(model, name: files.name, files: others, gguf: gguf)
    }

    private init(
        _ model: ModelSource, name: String, files: [(name: String, region: ByteRegion)], gguf: GGUFFile?
    ) throws(CheckpointError) {
        self.name = name
        self.files = files
        self.gguf = gguf
        configuration = model.configuration
        generation = model.generationConfiguration
        tokenizer = model.tokenizer
        tensors = Self.ordered(model.weights.tensors.values.sorted { $0.name < $1.name })
        chatTemplate = model.chatTemplate
        imageSettings = model.part("image_processor")
    }

    /// The bytes of one of the files besides the weights.
    func file(_ name: String) -> ByteRegion? { files.first { $0.name == name }?.region }

    /// How pictures are prepared.
    func imageProcessor() throws(CheckpointError) -> ImageProcessorConfiguration { try ImageProcessorConfiguration(settings: imageSettings) }

    private static func ordered(_ tensors: [StoredTensor]) -> [StoredTensor] {
        func rank(_ tensor: StoredTensor) -> (Int, Int) {
            let kind = TensorKind(name: tensor.name)
            if kind == .ple { return (3, 0) }
            if !kind.isText { return (2, layer(tensor.name) ?? -1) }
            guard let layer = layer(tensor.name) else { return (0, 0) }
            return (1, layer)
        }
        return tensors.sorted { a, b in
            let (x, y) = (rank(a), rank(b))
            return x == y ? a.name < b.name : x < y
        }
    }

    /// The number of the layer a tensor belongs to.
    static func layer(_ name: String) -> Int? {
        let parts = name.split(separator: ".")
        guard let index = parts.firstIndex(where: { $0 == "layers" || $0 == "conformer" }), index + 1 < parts.count else { return nil }
        return Int(parts[index + 1])
    }

    /// Whether the head is the token embedding.
    var hasTiedHead: Bool { configuration.text.tieWordEmbeddings }

    /// Whether matrices are in block formats already.
    public var isQuantized: Bool { tensors.contains { $0.format.blockLength > 1 } }

    /// Whether there are encoders.
    public var hasMedia: Bool { tensors.contains { !TensorKind(name: $0.name).isText } }

    /// Tensors nothing computes with: K, V and their norm in layers that use others', and a tied head stored twice.
    func isUnused(_ name: String) -> Bool {
        if name == "lm_head.weight" { return hasTiedHead }
        guard let layer = Self.layer(name), layer >= configuration.text.firstSharedLayer, TensorKind(name: name).isText else { return false }
        return ["k_proj", "v_proj", "k_norm", "v_norm"].contains { name.utf8.reversed().starts(with: ".self_attn.\($0).weight".utf8.reversed()) }
    }

    func unknown(_ tensor: StoredTensor) -> CheckpointError {
        CheckpointError(
            .leftoverTensors, file: tensor.file, "tensor '\(tensor.name)' belongs to no part of Gemma 3n; it has no name in a GGUF file.")
    }

    /// Checks that the language model is whole and has the shapes its configuration says, so that nothing is found missing after hours.
    func checkComplete() throws(CheckpointError) {
        let c = configuration.text
        let prefix = configuration.layout == .multimodal ? "model.language_model." : "model."
        var shapes: [String: [Int]] = [:]
        for tensor in tensors { shapes[tensor.name] = tensor.shape }
        func check(_ name: String, _ expected: [Int]) throws(CheckpointError) {
            guard let found = shapes[prefix + name] else {
                throw CheckpointError(
                    .missingTensor, file: self.name,
                    "tensor '\(prefix + name)' is missing, expected with shape \(expected). Is the checkpoint complete and config.json from the same checkpoint?")
            }
            guard found == expected else {
                throw CheckpointError(
                    .wrongShape, file: self.name,
                    "tensor '\(prefix + name)' has shape \(found), expected \(expected). Is config.json from the same checkpoint?")
            }
        }
        let (d, l, p, n, r, a) = (c.hiddenSize, c.numHiddenLayers, c.hiddenSizePerLayerInput, c.headDim, c.laurelRank, c.altupNumInputs)
        try check("embed_tokens.weight", [c.vocabSize, d])
        try check("embed_tokens_per_layer.weight", [c.vocabSizePerLayerInput, l * p])
        try check("per_layer_model_projection.weight", [l * p, d])
        try check("per_layer_projection_norm.weight", [p])
        try check("norm.weight", [d])
        for i in 0..<a - 1 {
            try check("altup_projections.\(i).weight", [d, d])
            try check("altup_unembed_projections.\(i).weight", [d, d])
        }
        for i in 0..<l {
            let f = c.intermediateSize[i]
            func layer(_ name: String, _ expected: [Int]) throws(CheckpointError) { try check("layers.\(i).\(name)", expected) }
            for norm in ["input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm", "post_per_layer_input_norm", "altup.router_norm", "laurel.post_laurel_norm"] {
                try layer("\(norm).weight", [d])
            }
            try layer("self_attn.q_proj.weight", [c.numAttentionHeads * n, d])
            try layer("self_attn.o_proj.weight", [d, c.numAttentionHeads * n])
            try layer("self_attn.q_norm.weight", [n])
            if i < c.firstSharedLayer {
                try layer("self_attn.k_proj.weight", [c.numKeyValueHeads * n, d])
                try layer("self_attn.v_proj.weight", [c.numKeyValueHeads * n, d])
                try layer("self_attn.k_norm.weight", [n])
            }
            try layer("mlp.gate_proj.weight", [f, d])
            try layer("mlp.up_proj.weight", [f, d])
            try layer("mlp.down_proj.weight", [d, f])
            try layer("laurel.linear_left.weight", [r, d])
            try layer("laurel.linear_right.weight", [d, r])
            try layer("per_layer_input_gate.weight", [p, d])
            try layer("per_layer_projection.weight", [d, p])
            try layer("altup.correction_coefs.weight", [a, a])
            try layer("altup.prediction_coefs.weight", [a * a, a])
            try layer("altup.modality_router.weight", [a, d])
            if c.altupCorrectScale { try layer("altup.correct_output_scale", [d]) }
        }
    }
}
