internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost
internal import Tensors

/// What Ollama's clients are told about the model.
struct OllamaModelCard: Sendable {
    let desk: Desk

    var tags: [JSONValue] {
        ([desk.settings.modelName] + desk.settings.aliases).map { name in
            [
                "name": .string(name), "model": .string(name), "modified_at": .string(TimeStamp(seconds: desk.created, nanoseconds: 0).text),
                "size": .number(JSONNumber(byteCount)), "digest": .string(desk.identity), "details": details,
            ]
        }
    }

    /// It is always there, until the server ends.
    var running: [JSONValue] {
        tags.prefix(1).map { tag in
            tag.adding("expires_at", "2999-12-31T23:59:59.000Z").adding("size_vram", 0).adding("context_length", .number(JSONNumber(desk.room.contextLength)))
        }
    }

    var show: JSONValue {
        let c = desk.model.model.configuration.text
        var capabilities: [JSONValue] = ["completion", "tools", "embedding"]
        if desk.model.model.vision != nil { capabilities.append("vision") }
        if desk.model.model.audio != nil { capabilities.append("audio") }
        return [
            "modelfile": "", "parameters": "", "template": "", "license": "", "details": details,
            "model_info": [
                "general.architecture": "gemma3n", "general.basename": .string(desk.settings.modelName),
                "general.parameter_count": .number(JSONNumber(parameterCount)),
                "gemma3n.block_count": .number(JSONNumber(c.numHiddenLayers)), "gemma3n.embedding_length": .number(JSONNumber(c.hiddenSize)),
                "gemma3n.context_length": .number(JSONNumber(desk.room.contextLength)),
                "gemma3n.vocab_size": .number(JSONNumber(c.vocabSize)),
            ],
            "capabilities": .array(capabilities), "modified_at": .string(TimeStamp(seconds: desk.created, nanoseconds: 0).text),
        ]
    }

    private var details: JSONValue {
        [
            "parent_model": "", "format": desk.model.files.gguf == nil ? "safetensors" : "gguf", "family": "gemma3n", "families": ["gemma3n"],
            "parameter_size": .string(parameterSize), "quantization_level": .string(quantization),
        ]
    }

    private var tensors: [StoredTensor] { desk.model.model.tensors }
    private var parameterCount: Int { tensors.reduce(0) { $0 + $1.elementCount } }
    private var byteCount: Int { tensors.reduce(0) { $0 + $1.byteCount } }

    private var parameterSize: String {
        let millions = Double(parameterCount) / 1e6
        return millions >= 1000 ? "\((millions / 100).rounded() / 10)B" : "\((millions * 10).rounded() / 10)M"
    }

    /// The format most bytes of the weights are in.
    private var quantization: String {
        var bytes: [String: Int] = [:]
        for tensor in tensors { bytes["\(tensor.format)".uppercased(), default: 0] += tensor.byteCount }
        return bytes.max { ($0.value, $0.key) < ($1.value, $1.key) }?.key ?? "unknown"
    }
}
