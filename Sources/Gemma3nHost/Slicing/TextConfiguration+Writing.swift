internal import Checkpoint
internal import Gemma3n

extension TextConfiguration {
    /// A `config.json` with the keys that slices differ in set to what they are here.
    ///
    /// - Parameter isMultimodal: Whether they lie in `text_config`.
    func written(into config: JSONValue, isMultimodal: Bool) -> JSONValue {
        guard !isMultimodal else {
            return config.setting("text_config", to: written(into: config["text_config"] ?? .object(JSONObject([])), isMultimodal: false))
        }
        let isEven = intermediateSize.allSatisfy { $0 == intermediateSize[0] }
        let width: JSONValue =
            isEven && config["intermediate_size"]?.array == nil
            ? .number(JSONNumber(intermediateSize[0])) : .array(intermediateSize.map { .number(JSONNumber($0)) })
        return config.setting("num_hidden_layers", to: .number(JSONNumber(numHiddenLayers)))
            .setting("num_kv_shared_layers", to: .number(JSONNumber(numKVSharedLayers)))
            .setting("intermediate_size", to: width)
            .setting("layer_types", to: .array(layerTypes.map { .string($0 == .full ? "full_attention" : "sliding_attention") }))
            .setting("activation_sparsity_pattern", to: .array(activationSparsityPattern.map { .number(JSONNumber(fraction: $0)) }))
    }
}

extension JSONValue {
    /// The object with another value for a key, in the key's place or at the end.
    func setting(_ key: String, to value: JSONValue) -> JSONValue {
        .object(JSONObject((object?.members ?? []) + [JSONObject.Member(key: key, value: value)]))
    }
}
