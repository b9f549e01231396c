public import Checkpoint
public import Gemma3n
internal import Tensors

/// A checkpoint as slicing sees it: its files as they are, and what they say of the model.
public struct SlicingSource: Sendable {
    public let files: ModelFiles
    public let configuration: Gemma3nConfiguration
    /// What widths must be multiples of, so that every layer's weights can be cut there.
    public let widthGrain: Int
    let weights: Weights

    enum Weights: Sendable {
        /// By file name.
        case safeTensors([SafeTensorsFile])
        case gguf(GGUFFile)
    }

    /// Looks at a model's files; no weight is read.
    ///
    /// - Throws: What reading configuration, tokenizer and the headers of the weights throws; `unsupportedFormat` for MLX's packed numbers.
    public init(_ files: ModelFiles) throws(CheckpointError) {
        self.files = files
        let model = try files.source(modalities: [])
        configuration = model.configuration
        if let packed = model.weights.tensors.values.first(where: { $0.layout == .groups }) {
            throw CheckpointError(
                .unsupportedFormat, file: packed.file,
                "tensor '\(packed.name)' is in MLX's groups, which are not cut. Make a packed directory of the checkpoint by gemma3n convert, and slice that.")
        }
        let down = model.weights.tensors.values.filter { TensorKind(name: $0.name) == .down }
        widthGrain = down.reduce(1) { max($0, $1.format.blockLength) }
        if let names = files.gguf {
            weights = .gguf(try GGUFFile(bytes: try files.region(names.model), name: names.model))
            return
        }
        var shards = [ModelFiles.weights]
        if !files.contains(ModelFiles.weights) {
            shards = try SafeTensorsIndex(bytes: try files.region(ModelFiles.weightIndex), name: ModelFiles.weightIndex).files
        }
        var opened: [SafeTensorsFile] = []
        for shard in shards { opened.append(try SafeTensorsFile(bytes: try files.region(shard), name: shard)) }
        weights = .safeTensors(opened)
    }

    /// Names of the files the weights lie in.
    var weightNames: [String] {
        switch weights {
        case .safeTensors(let shards): shards.map(\.name)
        case .gguf(let file): [file.name]
        }
    }
}
