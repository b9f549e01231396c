internal import Checkpoint
internal import Gemma3n
internal import Tensors

/// A file of the sliced model: a head, then the tensors, each filled up with zeros to a multiple of the alignment.
struct SlicedFile {
    let name: String
    let head: [UInt8]
    let tensors: [TensorCut]
    let alignment: Int

    func paddedByteCount(_ tensor: TensorCut) -> Int { SafeTensorsWriter.padded(tensor.byteCount, to: alignment) }
    var byteCount: Int { tensors.reduce(head.count) { $0 + paddedByteCount($1) } }
}

/// Every byte of a sliced model, decided before anything is written.
struct SlicePlan {
    /// With weights.
    private(set) var files: [SlicedFile] = []
    /// The others, which are small.
    private(set) var documents: [(name: String, region: ByteRegion)] = []
    private(set) var notes: [String] = []
    let configuration: TextConfiguration

    private let source: SlicingSource
    private let slice: ModelSlice
    private let whole: TextConfiguration
    /// The new number of every layer; nil for those left out.
    private let numbers: [Int?]
    private let multimodalPrefix: Bool

    var byteCount: Int { files.reduce(0) { $0 + $1.byteCount } + documents.reduce(0) { $0 + $1.region.count } }

    /// - Throws: `SliceError` for a slice that is none of the model or cannot be cut, `CheckpointError` for tensors that do not fit the
    ///   configuration.
    init(_ source: SlicingSource, _ slice: ModelSlice) throws {
        self.source = source
        self.slice = slice
        whole = source.configuration.text
        configuration = try whole.sliced(slice)
        multimodalPrefix = source.configuration.layout == .multimodal
        var numbers = [Int?](repeating: nil, count: whole.numHiddenLayers)
        for (number, layer) in slice.layers.enumerated() { numbers[layer] = number }
        self.numbers = numbers
        switch source.weights {
        case .gguf(let file): try plan(file)
        case .safeTensors(let shards): try plan(shards)
        }
    }

    // MARK: Tensors

    /// What the slice keeps of a tensor; nil for nothing.
    ///
    /// - Parameter huggingFace: Its Hugging Face name, if it is called otherwise.
    private func cut(_ tensor: StoredTensor, huggingFace: String? = nil) throws -> TensorCut? {
        let kind = TensorKind(name: huggingFace ?? tensor.name)
        guard kind.isText else { return TensorCut(tensor, name: tensor.name) }
        let (d, p, layers) = (whole.hiddenSize, whole.hiddenSizePerLayerInput, whole.numHiddenLayers)
        switch kind {
        case .ple:
            try check(tensor, columns: layers * p)
            do throws(SliceCutError) {
                return try TensorCut(tensor, name: tensor.name, columns: perLayerRanges)
            } catch {
                throw SliceError(
                    .uncuttable,
                    "No layer can be left out: \(tensor.name) is stored in \(tensor.format.name), which can be cut at multiples of \(error.unit) only, and hidden_size_per_layer_input is \(p).")
            }
        case .pleProjection:
            try check(tensor, rows: layers * p, columns: d)
            do throws(SliceCutError) {
                return try TensorCut(tensor, name: tensor.name, rows: perLayerRanges)
            } catch {
                throw SliceError(
                    .uncuttable,
                    "These layers cannot be left out: \(tensor.name) is packed in rows of \(error.unit), and hidden_size_per_layer_input is \(p).")
            }
        default: break
        }
        guard let layer = ConversionSource.layer(huggingFace ?? tensor.name) else { return TensorCut(tensor, name: tensor.name) }
        guard layer < layers else {
            throw CheckpointError(
                .leftoverTensors, file: tensor.file,
                "tensor '\(tensor.name)' belongs to layer \(layer), but the model has \(layers). Is config.json from the same checkpoint?")
        }
        guard let number = numbers[layer] else { return nil }
        let name = Self.renumbered(tensor.name, to: number)
        let (full, width) = (whole.intermediateSize[layer], slice.widths[layer])
        switch kind {
        case .gate, .up:
            try check(tensor, rows: full, columns: d)
            do throws(SliceCutError) {
                return try TensorCut(tensor, name: name, rows: [0..<width])
            } catch {
                throw CheckpointError(
                    .unsupportedFormat, file: tensor.file,
                    "tensor '\(tensor.name)' lies in units, expected rows or panels: only the down_proj of a sparse layer is stored so. Convert the checkpoint again.")
            }
        case .down:
            try check(tensor, rows: d, columns: full)
            do throws(SliceCutError) {
                return try TensorCut(tensor, name: name, columns: [0..<width])
            } catch {
                throw SliceError(
                    .uncuttable,
                    "Layer \(layer) cannot be \(width) wide: its down_proj is stored in \(tensor.format.name), which can be cut at multiples of \(error.unit) only.")
            }
        default: return TensorCut(tensor, name: name)
        }
    }

    /// The places of the layers that run in tensors that hold something for every layer; neighbours as one.
    private var perLayerRanges: [Range<Int>] {
        let p = whole.hiddenSizePerLayerInput
        var ranges: [Range<Int>] = []
        for layer in slice.layers {
            if let last = ranges.last, last.upperBound == layer * p {
                ranges[ranges.count - 1] = last.lowerBound..<(layer + 1) * p
            } else {
                ranges.append(layer * p..<(layer + 1) * p)
            }
        }
        return ranges
    }

    private func check(_ tensor: StoredTensor, rows: Int? = nil, columns: Int) throws(CheckpointError) {
        guard tensor.shape.count == 2, tensor.shape[1] == columns, tensor.shape[0] == rows ?? tensor.shape[0] else {
            throw CheckpointError(
                .wrongShape, file: tensor.file,
                "tensor '\(tensor.name)' has shape \(tensor.shape), expected [\(rows.map { "\($0)" } ?? "vocabulary"), \(columns)]. Is config.json from the same checkpoint?")
        }
    }

    /// The name with another number behind `layers` or `blk`.
    static func renumbered(_ name: String, to number: Int) -> String {
        var parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard let index = parts.firstIndex(where: { $0 == "layers" || $0 == "blk" }), index + 1 < parts.count else { return name }
        let digits = "\(number)"
        parts[index + 1] = digits[...]
        return parts.joined(separator: ".")
    }

    // MARK: Hugging Face

    private mutating func plan(_ shards: [SafeTensorsFile]) throws {
        var places: [(tensor: String, file: String)] = []
        var total = 0
        for shard in shards {
            var tensors: [TensorCut] = []
            for tensor in shard.tensors.sorted(by: { $0.offset < $1.offset }) {
                if let cut = try cut(tensor) { tensors.append(cut) }
            }
            tensors += shard.others.map { TensorCut($0) }
            if tensors.isEmpty { continue }
            // Packed files begin every tensor at a cache line.
            let alignment = shard.metadata["layout_version"] == nil ? nil : ModelConverter.packedAlignment
            let entries = tensors.map { SafeTensorsWriter.Entry(name: $0.name, format: $0.typeName, shape: $0.shape, byteCount: $0.byteCount) }
            let metadata = shard.metadata.sorted { $0.key < $1.key }.map { (key: $0.key, value: $0.value) }
            files.append(
                SlicedFile(
                    name: shard.name, head: SafeTensorsWriter.header(entries, metadata: metadata, alignment: alignment), tensors: tensors,
                    alignment: alignment ?? 1))
            places += tensors.map { ($0.name, shard.name) }
            total += tensors.reduce(0) { $0 + $1.byteCount }
        }
        try copyDocuments()
        if source.files.contains(ModelFiles.weights) { return }
        let index = try JSONValue.parse(try source.files.region(ModelFiles.weightIndex), file: ModelFiles.weightIndex)
        let map = JSONValue.object(
            JSONObject(places.sorted { $0.tensor < $1.tensor }.map { JSONObject.Member(key: $0.tensor, value: .string($0.file)) }))
        let metadata = (index["metadata"] ?? .object(JSONObject([]))).setting("total_size", to: .number(JSONNumber(total)))
        add(ModelFiles.weightIndex, index.setting("metadata", to: metadata).setting("weight_map", to: map))
    }

    /// Every file beside the weights, `config.json` changed.
    private mutating func copyDocuments() throws {
        let config = try JSONValue.parse(try source.files.region(ModelFiles.configuration), file: ModelFiles.configuration)
        add(ModelFiles.configuration, configuration.written(into: config, isMultimodal: multimodalPrefix))
        let done = Set(source.weightNames + [ModelFiles.configuration, ModelFiles.weightIndex])
        for name in source.files.names where !done.contains(name) {
            let ending = name.split(separator: ".").last.map { String($0) } ?? ""
            if ["safetensors", "bin", "pt", "pth", "onnx", "gguf", "h5", "msgpack"].contains(ending), name != ModelFiles.tokenizerGGUF {
                notes.append("\(name) is not copied: it holds weights that are not part of this checkpoint.")
                continue
            }
            if let path = source.files.path(name), FileStamp(path) == nil { continue }
            documents.append((name, try source.files.region(name)))
        }
    }

    private mutating func add(_ name: String, _ json: JSONValue) {
        documents.append((name, ByteRegion(copying: Array((json.serialized(indent: 2, keepsFractions: true) + "\n").utf8))))
    }

    // MARK: GGUF

    private mutating func plan(_ file: GGUFFile) throws {
        var tensors: [TensorCut] = []
        for tensor in file.tensors {
            guard let name = GGUFTensorNames.huggingFace(gguf: tensor.name) else {
                throw CheckpointError(.leftoverTensors, file: file.name, "tensor '\(tensor.name)' belongs to no part of a Gemma 3n GGUF file that this version knows.")
            }
            if let cut = try cut(tensor, huggingFace: name) { tensors.append(cut) }
        }
        let entries = tensors.compactMap { tensor in
            tensor.format.flatMap { GGUFTensorType($0) }.map {
                GGUFLayout.Tensor(name: tensor.name, shape: tensor.shape, type: $0.rawValue, byteCount: tensor.byteCount)
            }
        }
        precondition(entries.count == tensors.count, "every tensor of a GGUF file has a type of GGUF")
        let layout = GGUFLayout(metadata: try metadata(file), tensors: entries)
        files = [SlicedFile(name: "model.gguf", head: layout.head, tensors: tensors, alignment: GGUFLayout.alignment)]
        if configuration.intermediateSize.contains(where: { $0 != configuration.intermediateSize[0] }) {
            notes.append("llama.cpp reads one width for all layers and does not open this file; this program does.")
        }
        if let projector = source.files.gguf?.projector {
            notes.append("the projector file \(projector) goes with the slice as it is; name it with --mmproj, or put a copy beside it.")
        }
    }

    /// The file's own metadata with the numbers of the slice.
    private func metadata(_ file: GGUFFile) throws(CheckpointError) -> GGUFMetadata {
        let c = configuration
        let prefix = "gemma3n."
        let scales = file[prefix + "activation_sparsity_scale"]?.doubles
        let changed = ["block_count", "feed_forward_length", "attention.shared_kv_layers", "activation_sparsity_scale", "attention.sliding_window_pattern"]
        let embedded = GGUFMetadata.embeddedFiles.first { $0.file == ModelFiles.configuration }
        var metadata = GGUFMetadata(copying: file, except: Set(changed.map { prefix + $0 } + ["general.alignment"] + (embedded.map { [$0.key] } ?? [])))
        metadata.set(prefix + "block_count", uint32: c.numHiddenLayers)
        metadata.set(feedForwardLengths: c.intermediateSize)
        metadata.set(prefix + "attention.shared_kv_layers", uint32: c.numKVSharedLayers)
        if let scales, scales.count == whole.numHiddenLayers {
            metadata.set(prefix + "activation_sparsity_scale", float32s: slice.layers.map { Float(scales[$0]) })
        }
        metadata.set(prefix + "attention.sliding_window_pattern", bools: c.layerTypes.map { $0 == .sliding })
        if let embedded, let text = file[embedded.key]?.string {
            let config = try JSONValue.parse(text, file: file.name)
            metadata.set(embedded.key, string: c.written(into: config, isMultimodal: config["text_config"] != nil).serialized(keepsFractions: true))
        }
        return metadata
    }
}
