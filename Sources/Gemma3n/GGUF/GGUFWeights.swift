internal import Checkpoint
internal import Tensors

/// The tensors of a GGUF file, and of the projector file beside it, under the names and shapes of the Hugging Face checkpoint that
/// they were made from. The bytes are shared.
struct GGUFWeights {
    private(set) var tensors: [String: StoredTensor] = [:]

    /// - Parameters:
    ///   - prefix: What our names of the text model begin with, its last dot included.
    ///   - perLayerRows: Rows of the per-layer table that hold anything; the converter fills it up to the whole vocabulary.
    /// - Throws: `leftoverTensors` for a tensor of a name that this version does not know, `wrongShape` for a stack of no matrices.
    init(_ gguf: GGUFFile, prefix: String, perLayerRows: Int, projector: GGUFFile?) throws(CheckpointError) {
        for tensor in gguf.tensors {
            guard let name = GGUFTensorNames.huggingFace(gguf: tensor.name, textPrefix: prefix) else {
                throw Self.unknown(tensor, "a Gemma 3n GGUF file")
            }
            if name.utf8.contains(UInt8(ascii: "{")) {
                try addMatrices(of: tensor, name)
            } else if tensor.name == "per_layer_token_embd.weight", tensor.shape.count == 2, tensor.shape[0] > perLayerRows {
                add(tensor.slice(rows: 0..<perLayerRows, shape: [perLayerRows, tensor.shape[1]]), name)
            } else {
                add(tensor, name)
            }
        }
        for tensor in projector?.tensors ?? [] {
            guard let name = GGUFTensorNames.huggingFace(gguf: tensor.name) else { throw Self.unknown(tensor, "a projector file of Gemma 3n") }
            add(Self.withoutAddedDimensions(tensor, name), name)
        }
    }

    private static func unknown(_ tensor: StoredTensor, _ what: String) -> CheckpointError {
        CheckpointError(.leftoverTensors, file: tensor.file, "tensor '\(tensor.name)' belongs to no part of \(what) that this version knows.")
    }

    private mutating func add(_ tensor: StoredTensor, _ name: String) { tensors[name] = tensor.renamed(name) }

    /// - Parameter pattern: With `{}` where the number of a matrix goes.
    private mutating func addMatrices(of tensor: StoredTensor, _ pattern: String) throws(CheckpointError) {
        guard tensor.shape.count == 3 else {
            throw CheckpointError(
                .wrongShape, file: tensor.file, "tensor '\(tensor.name)' has shape \(tensor.shape), expected a stack of matrices (three dimensions).")
        }
        let (count, rows, columns) = (tensor.shape[0], tensor.shape[1], tensor.shape[2])
        // Rows of a stack lie one after the other, as those of one tall matrix.
        for index in 0..<min(count, 16) {
            add(tensor.slice(rows: index * rows..<(index + 1) * rows, shape: [rows, columns]), GGUFTensorNames.filled(pattern, "\(index)"))
        }
    }

    /// The converter writes vectors that are added to or multiplied with pictures as `[1, C, 1, 1]`.
    private static func withoutAddedDimensions(_ tensor: StoredTensor, _ name: String) -> StoredTensor {
        let isVector = [".gamma", ".bias"].contains { name.utf8.reversed().starts(with: $0.utf8.reversed()) }
        if isVector { return tensor.reshaped([tensor.elementCount]) }
        // A depthwise convolution over time may come without its single input channel.
        if name.utf8.reversed().starts(with: ".depthwise_conv1d.weight".utf8.reversed()), tensor.shape.count == 2 {
            return tensor.reshaped([tensor.shape[0], 1, tensor.shape[1]])
        }
        return tensor
    }
}
