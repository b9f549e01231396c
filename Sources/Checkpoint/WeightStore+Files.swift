public import Tensors

extension WeightStore {
    /// All tensors of a checkpoint: `model.safetensors`, or the shards that `model.safetensors.index.json` lists. Those of MLX come under
    /// the Hugging Face names.
    ///
    /// - Parameters:
    ///   - quantization: `quantization` of `config.json`, if the checkpoint is MLX's.
    ///   - open: The bytes of a file by name, nil if there is none.
    /// - Throws: `missingFile`, and what reading headers throws; a tensor in two shards, or in another than the index says,
    ///   is `malformedHeader`; `unsupportedValue` for a quantisation of MLX that this version does not read.
    public convenience init(
        quantization: JSONValue? = nil, open: (_ name: String) throws(CheckpointError) -> ByteRegion?
    ) throws(CheckpointError) {
        var tensors: [String: StoredTensor] = [:]
        var others: [String: OtherTensor] = [:]
        if let region = try open("model.safetensors") {
            let file = try SafeTensorsFile(bytes: region, name: "model.safetensors")
            for tensor in file.tensors { tensors[tensor.name] = tensor }
            for tensor in file.others { others[tensor.name] = tensor }
        } else {
            try Self.readShards(open, into: &tensors, &others)
        }
        self.init(try MLXWeights(tensors, others, quantization).tensors)
    }

    private static func readShards(
        _ open: (_ name: String) throws(CheckpointError) -> ByteRegion?, into tensors: inout [String: StoredTensor],
        _ others: inout [String: OtherTensor]
    ) throws(CheckpointError) {
        let indexName = "model.safetensors.index.json"
        guard let indexRegion = try open(indexName) else {
            throw CheckpointError(
                .missingFile, file: "model.safetensors", "the checkpoint has neither model.safetensors nor \(indexName); one is needed.")
        }
        let index = try SafeTensorsIndex(bytes: indexRegion, name: indexName)
        for shard in index.files {
            guard let region = try open(shard) else {
                throw CheckpointError(.missingFile, file: indexName, "lists '\(shard)', which is not there. Is the download complete?")
            }
            let file = try SafeTensorsFile(bytes: region, name: shard)
            for tensor in file.tensors {
                if let other = tensors.updateValue(tensor, forKey: tensor.name) { throw twice(tensor.name, shard, other.file) }
            }
            for tensor in file.others {
                if let other = others.updateValue(tensor, forKey: tensor.name) { throw twice(tensor.name, shard, other.file) }
            }
        }
        for (name, file) in index.entries where (tensors[name]?.file ?? others[name]?.file) != file {
            throw CheckpointError(
                .missingTensor, file: indexName, "says tensor '\(name)' is in \(file), but it is not there. Is the download complete?")
        }
    }

    private static func twice(_ name: String, _ shard: String, _ other: String) -> CheckpointError {
        CheckpointError(.malformedHeader, file: shard, "tensor '\(name)' is also in \(other); each belongs in one file.")
    }
}
