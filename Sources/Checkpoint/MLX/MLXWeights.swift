internal import Tensors

/// The tensors of an MLX checkpoint under the names, in the shapes and in the orders of the Hugging Face checkpoint it was made from;
/// those of other checkpoints as they are.
///
/// A quantised `weight` is a matrix of words of 32 bits, 8 or 4 numbers each from the lowest bits up, with `scales` and `biases` beside it:
/// weight = scale * number + bias. mlx-lm keeps the names of the language model and leaves the encoders out. mlx-vlm puts
/// `language_model` before `model` and drops that from the encoders' names; their convolutions have the input channels last.
///
/// - Source: mlx-lm and mlx-vlm, `models/gemma3n` (2026); `mlx.core.quantize`.
struct MLXWeights {
    private(set) var tensors: [String: StoredTensor] = [:]

    /// - Parameters:
    ///   - others: Tensors of other element types, those of packed numbers among them.
    ///   - quantization: `quantization` of `config.json`.
    /// - Throws: `missingKey`, `missingTensor`, `wrongShape`, `unsupportedValue`, `unsupportedFormat`.
    init(_ stored: [String: StoredTensor], _ others: [String: OtherTensor], _ quantization: JSONValue?) throws(CheckpointError) {
        var stored = stored
        for (name, packed) in others where packed.format == "U32" && Self.ends(name, ".weight") {
            let module = String(decoding: name.utf8.dropLast(7), as: UTF8.self)
            guard stored[module + ".scales"] != nil || others[module + ".scales"] != nil else { continue }
            guard let quantization else {
                throw CheckpointError(
                    .missingKey, file: "config.json",
                    "there is no 'quantization', though tensor '\(name)' in \(packed.file) is packed with scales beside it, as MLX does. Is config.json from the same checkpoint?")
            }
            stored[name] = try Self.groups(packed, module, &stored, MLXQuantization(quantization).choice(module))
        }
        for (name, tensor) in stored {
            let known = Self.huggingFace(name)
            tensors[known] = (known == name ? tensor : Self.channelsFirst(tensor)).renamed(known)
        }
    }

    private static func ends(_ name: String, _ end: String) -> Bool { name.utf8.reversed().starts(with: end.utf8.reversed()) }

    // MARK: Numbers

    /// The matrix of a module, whose scales and biases are taken out of `stored`.
    private static func groups(
        _ packed: OtherTensor, _ module: String, _ stored: inout [String: StoredTensor], _ choice: (format: ElementFormat, group: Int)
    ) throws(CheckpointError) -> StoredTensor {
        guard packed.shape.count == 2 else {
            throw CheckpointError(.wrongShape, file: packed.file, "tensor '\(packed.name)' has shape \(packed.shape), expected a matrix of packed numbers.")
        }
        let perWord = choice.format == .affine4 ? 8 : 4
        let (rows, columns) = (packed.shape[0], packed.shape[1] * perWord)
        guard columns % choice.group == 0 else {
            throw CheckpointError(
                .wrongShape, file: packed.file,
                "tensor '\(packed.name)' has \(packed.shape[1]) words a row, \(columns) numbers of \(32 / perWord) bits: no whole groups of \(choice.group). Is config.json from the same checkpoint?")
        }
        func part(_ name: String) throws(CheckpointError) -> StoredTensor {
            guard let part = stored.removeValue(forKey: "\(module).\(name)") else {
                throw CheckpointError(.missingTensor, file: packed.file, "tensor '\(module).\(name)' is missing beside '\(packed.name)', or no F32, F16 or BF16.")
            }
            let expected = [rows, columns / choice.group]
            guard part.shape == expected, part.layout == .rows else {
                throw CheckpointError(
                    .wrongShape, file: part.file,
                    "tensor '\(part.name)' has shape \(part.shape), expected \(expected) (\(32 / perWord) bits in groups of \(choice.group)). Is config.json from the same checkpoint?")
            }
            return part
        }
        let (scales, biases) = (try part("scales"), try part("biases"))
        guard scales.format == biases.format, !scales.format.isQuantized else {
            throw CheckpointError(
                .unsupportedFormat, file: biases.file,
                "tensor '\(biases.name)' is \(biases.format.name), '\(scales.name)' \(scales.format.name); expected the same of F32, F16 and BF16.")
        }
        let groups = AffineGroups(
            length: choice.group, format: scales.format, scales: (scales.region, scales.offset), biases: (biases.region, biases.offset))
        return StoredTensor(
            name: packed.name, format: choice.format, layout: .groups, shape: [rows, columns], file: packed.file, region: packed.region,
            offset: packed.range.lowerBound, groups: groups)
    }

    // MARK: Names and orders

    /// mlx-vlm's name as Hugging Face writes it; others as they are.
    private static func huggingFace(_ name: String) -> String {
        func rest(_ prefix: String) -> String? {
            name.utf8.starts(with: prefix.utf8) ? String(decoding: name.utf8.dropFirst(prefix.utf8.count), as: UTF8.self) : nil
        }
        if let rest = rest("language_model.model.") { return "model.language_model.\(rest)" }
        if let rest = rest("language_model.lm_head.") { return "lm_head.\(rest)" }
        for part in ["language_model.", "vision_tower.", "audio_tower.", "embed_vision.", "embed_audio."] where rest(part) != nil {
            return "model.\(name)"
        }
        return name
    }

    /// The weights of a convolution `[out, …, in]` as `[out, in, …]`; anything else as it is.
    private static func channelsFirst(_ tensor: StoredTensor) -> StoredTensor {
        guard tensor.shape.count == 3 || tensor.shape.count == 4, tensor.layout == .rows, !tensor.format.isQuantized else { return tensor }
        let (outputs, inputs) = (tensor.shape[0], tensor.shape[tensor.shape.count - 1])
        let kernel = Array(tensor.shape[1..<tensor.shape.count - 1])
        let size = kernel.reduce(1, *)
        let shape = [outputs, inputs] + kernel
        if inputs == 1 || size == 1 { return tensor.reshaped(shape) }
        let element = tensor.format.blockByteCount
        let bytes = UnsafeRawBufferPointer(rebasing: tensor.region.bytes[tensor.offset..<tensor.offset + tensor.byteCount])
        var moved: [UInt8] = []
        moved.reserveCapacity(bytes.count)
        for o in 0..<outputs {
            for i in 0..<inputs {
                for k in 0..<size {
                    let at = ((o * size + k) * inputs + i) * element
                    moved.append(contentsOf: bytes[at..<at + element])
                }
            }
        }
        return StoredTensor(
            name: tensor.name, format: tensor.format, shape: shape, file: tensor.file, region: ByteRegion(copying: moved), offset: 0)
    }
}
