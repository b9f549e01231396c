public import Checkpoint
public import Tensors
public import Tokenization

/// What a model is made of, whatever files it comes in: configuration, tokenizer, weights and the settings around them.
///
/// The core opens no files: it is given their bytes.
public struct ModelSource {
    public let configuration: Gemma3nConfiguration
    public let generationConfiguration: GenerationConfiguration
    public let tokenizer: Tokenizer
    public let weights: WeightStore
    /// The chat template that the checkpoint holds, whatever renders prompts.
    package let chatTemplate: String?
    /// What was found odd but harmless, one sentence each.
    public private(set) var warnings: [String]
    /// `preprocessor_config.json` and `processor_config.json`.
    private let preprocessor: JSONValue?
    private let processor: JSONValue?
    /// The JSON files that say the same as a GGUF file's metadata, by name; empty for a checkpoint that has them.
    package let documents: [(name: String, json: JSONValue)]

    /// A checkpoint in the Hugging Face layout. The tokenizer may also be `tokenizer.gguf`, the metadata of a GGUF file, as in packed
    /// checkpoints made from one.
    ///
    /// - Parameter open: The bytes of a file of the checkpoint by name, nil if there is none.
    /// - Throws: What `open` throws, and every error of configuration, tokenizer and headers, naming key and file.
    public init(open: (_ name: String) throws(CheckpointError) -> ByteRegion?) throws(CheckpointError) {
        func json(_ name: String) throws(CheckpointError) -> JSONValue? {
            guard let region = try open(name) else { return nil }
            let json = try JSONValue.parse(region, file: name)
            guard json.object != nil else { throw CheckpointError(.wrongType, file: name, "the file holds \(json.summary), expected an object.") }
            return json
        }
        guard let configJSON = try json("config.json") else {
            throw CheckpointError(
                .missingFile, file: "config.json", "the checkpoint has no config.json, expected a Hugging Face checkpoint of Gemma 3n.")
        }
        let c = try Gemma3nConfiguration(configJSON)
        configuration = c
        generationConfiguration = try Self.generation(json("generation_config.json"), "generation_config.json", c)
        let template: (file: String, text: String)?
        (tokenizer, template) = try Self.tokenizer(c.mediaTokens, open)
        chatTemplate = template?.text
        warnings = Self.templateWarning(template).map { [$0] } ?? []
        weights = try WeightStore(quantization: configJSON["quantization"], open: open)
        preprocessor = try json("preprocessor_config.json")
        processor = try json("processor_config.json")
        documents = []
    }

    /// A GGUF file of a Gemma 3n model, as llama.cpp's converter writes it.
    ///
    /// - Parameter projector: The file of the encoders beside it (`mmproj`); without one the model takes text.
    /// - Throws: Every error of metadata, tokenizer and tensors, naming key and file.
    public init(gguf: GGUFFile, projector: GGUFFile? = nil) throws(CheckpointError) {
        let metadata = try GGUFConfiguration(gguf, projector: projector)
        let c = try Gemma3nConfiguration(metadata.config, file: gguf.name)
        configuration = c
        generationConfiguration = try Self.generation(metadata.generation, gguf.name, c)
        tokenizer = try Tokenizer(gguf: gguf, specialTokens: metadata.mediaTokens)
        let template = gguf["tokenizer.chat_template"]?.string
        chatTemplate = template
        warnings = Self.templateWarning(template.map { (gguf.name, $0) }).map { [$0] } ?? []
        let prefix = c.layout == .multimodal ? "model.language_model." : "model."
        weights = WeightStore(try GGUFWeights(gguf, prefix: prefix, perLayerRows: metadata.perLayerRows, projector: projector).tensors)
        preprocessor = metadata.preprocessor
        processor = metadata.processor
        let all: [(name: String, json: JSONValue?)] = [
            ("config.json", metadata.config), ("generation_config.json", metadata.generation),
            ("preprocessor_config.json", metadata.preprocessor), ("processor_config.json", metadata.processor),
        ]
        documents = all.compactMap { file in file.json.map { (file.name, $0) } }
    }

    /// Adds a sentence to `warnings`.
    package mutating func warn(_ sentence: String) { warnings.append(sentence) }

    /// Whether a GGUF file holds the encoders of a Gemma 3n.
    package static func isProjector(_ gguf: GGUFFile) -> Bool {
        do throws(CheckpointError) { return try GGUFProjector(gguf).hasEncoders } catch { return false }
    }

    // MARK: Parts

    /// The tokenizer of a checkpoint in the Hugging Face layout, or of a packed one; no weights are opened.
    /// - Throws: What `open` throws, `missingFile`, and every error of the tokenizer.
    public static func tokenizer(open: (_ name: String) throws(CheckpointError) -> ByteRegion?) throws(CheckpointError) -> Tokenizer {
        let mediaTokens = try open("config.json").map { region throws(CheckpointError) in
            try Gemma3nConfiguration(JSONValue.parse(region, file: "config.json")).mediaTokens
        }
        return try tokenizer(mediaTokens ?? [], open).0
    }

    /// The tokenizer of a GGUF file of Gemma 3n, or of any other model with a vocabulary of the same kind.
    /// - Throws: Every error of the tokenizer.
    public static func tokenizer(gguf: GGUFFile) throws(CheckpointError) -> Tokenizer {
        let isModel = gguf["general.architecture"]?.string == "gemma3n" && !gguf.tensors.isEmpty
        return try Tokenizer(gguf: gguf, specialTokens: isModel ? GGUFConfiguration(gguf, projector: nil).mediaTokens : [])
    }

    private static func generation(
        _ json: JSONValue?, _ file: String, _ c: Gemma3nConfiguration
    ) throws(CheckpointError) -> GenerationConfiguration {
        if let json { return try GenerationConfiguration(json, file: file) }
        var fallback = GenerationConfiguration()
        fallback.eosTokenIDs = c.eosTokenIDs
        return fallback
    }

    /// The tokenizer of a directory, and its chat template if there is one.
    private static func tokenizer(
        _ mediaTokens: [(content: String, id: Int32)], _ open: (_ name: String) throws(CheckpointError) -> ByteRegion?
    ) throws(CheckpointError) -> (Tokenizer, template: (file: String, text: String)?) {
        if let region = try open("tokenizer.json") {
            return (try Tokenizer(json: region, file: "tokenizer.json"), try template(open))
        }
        if let region = try open("tokenizer.model") {
            return (try Tokenizer(sentencePiece: region, file: "tokenizer.model", specialTokens: mediaTokens), try template(open))
        }
        if let region = try open("tokenizer.gguf") {
            let gguf = try GGUFFile(bytes: region, name: "tokenizer.gguf")
            let inside = gguf["tokenizer.chat_template"]?.string.map { (file: gguf.name, text: $0) }
            return (try Tokenizer(gguf: gguf, specialTokens: mediaTokens), try template(open) ?? inside)
        }
        throw CheckpointError(
            .missingFile, file: "tokenizer.json", "the checkpoint has neither tokenizer.json nor tokenizer.model; one is needed.")
    }

    private static func template(
        _ open: (_ name: String) throws(CheckpointError) -> ByteRegion?
    ) throws(CheckpointError) -> (file: String, text: String)? {
        if let region = try open("chat_template.jinja") {
            return ("chat_template.jinja", String(decoding: region.bytes, as: UTF8.self))
        }
        for file in ["chat_template.json", "tokenizer_config.json"] {
            guard let region = try open(file) else { continue }
            if let text = try JSONValue.parse(region, file: file)["chat_template"]?.string { return (file, text) }
        }
        return nil
    }

    /// A sentence if the checkpoint's own chat template is not the one this program renders.
    private static func templateWarning(_ found: (file: String, text: String)?) -> String? {
        guard let found, !ChatTemplate.isGemma(found.text) else { return nil }
        return
            "\(found.file) holds a chat template that differs from Gemma 3n's; prompts are rendered by Gemma 3n's. If the checkpoint was trained with another format, pass raw text instead of messages."
    }

    /// The settings of a processor: a key of a newer `processor_config.json`, or all of `preprocessor_config.json`.
    package func part(_ key: String) -> (json: JSONValue, file: String)? {
        if let part = processor?[key], part.object != nil { return (part, "processor_config.json") }
        return preprocessor.map { ($0, "preprocessor_config.json") }
    }

    /// A processor that writes another number of soft tokens than the encoder gives belongs to another checkpoint.
    func checkSoftTokens(_ key: String, _ configKey: String, _ count: Int) throws(CheckpointError) {
        guard let processor else { return }
        let written = try ConfigurationKeys(processor, file: "processor_config.json").integer(key, default: count, in: 0...1 << 28)
        if written != count {
            throw CheckpointError(
                .unsupportedValue, file: "processor_config.json",
                "\(key) is \(written), but \(configKey) in config.json is \(count). Are both files from the same checkpoint?")
        }
    }
}
