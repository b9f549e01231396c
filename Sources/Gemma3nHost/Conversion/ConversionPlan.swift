public import Checkpoint
internal import Gemma3n
public import Tensors

/// What a converted model is written as.
public enum ConversionContainer: String, Sendable, CaseIterable {
    /// One GGUF file, as llama.cpp reads it.
    case gguf
    /// A model directory whose `model.safetensors` holds matrices in the order in which the kernels read them.
    case packed
}

/// What to convert to.
public struct ConversionOptions: Sendable {
    /// The mixture of formats; nil keeps the format of every tensor, as far as the container has it.
    public var mix: QuantizationMix?
    /// Formats of single kinds, whatever the mixture says.
    public var keep: [TensorKind: ElementFormat] = [:]
    public var container = ConversionContainer.gguf

    public init(mix: QuantizationMix? = nil, keep: [TensorKind: ElementFormat] = [:], container: ConversionContainer = .gguf) {
        self.mix = mix
        self.keep = keep
        self.container = container
    }
}

/// A tensor of the file to be written.
public struct PlannedTensor: Sendable {
    /// In the output.
    public let name: String
    public let kind: TensorKind
    /// In the output; slowest dimension first.
    public let shape: [Int]
    public let format: ElementFormat
    public let layout: MatrixLayout
    public let byteCount: Int
    /// What it is made of, one behind the other; none for a tensor that is only there because readers want it.
    public let sources: [StoredTensor]
    /// The value of elements no source has.
    let fill: Float
    let rows: Int
    let columns: Int
    /// Rows the sources have; the others are filled.
    let sourceRows: Int

    /// Whether the stored numbers only move.
    public var isExact: Bool { sources.allSatisfy { $0.format == format } || format == .f32 }

    init(
        name: String, kind: TensorKind, shape: [Int], rows: Int, columns: Int, format: ElementFormat, layout: MatrixLayout = .rows,
        sources: [StoredTensor], fill: Float = 0
    ) {
        self.name = name
        self.kind = kind
        self.shape = shape
        self.rows = rows
        self.columns = columns
        self.format = format
        self.layout = layout
        self.sources = sources
        self.fill = fill
        sourceRows = sources.reduce(0) { $0 + $1.elementCount } / max(1, columns)
        // The plan gives every tensor a format and a layout that hold its rows.
        byteCount = layout.byteCount(format, rows: rows, columns: columns) ?? 0
    }
}

/// Every tensor of a conversion, decided before anything is written.
public struct ConversionPlan: Sendable {
    public private(set) var tensors: [PlannedTensor] = []
    /// What the user should know: formats that stand in for others, tensors left out or added.
    public private(set) var notes: [String] = []

    public var byteCount: Int { tensors.reduce(0) { $0 + $1.byteCount } }

    /// Which part of a model a file holds.
    enum Part {
        case everything, text, media
    }

    private let model: ConversionSource
    private let options: ConversionOptions
    private let part: Part
    /// Kinds whose format did not fit, and what stood in.
    private var standIns: [(kinds: [TensorKind], wanted: ElementFormat, got: ElementFormat, columns: Int, count: Int)] = []

    /// - Throws: `missingTensor`, `wrongShape`, `unsupportedFormat`, `unsupportedValue`.
    init(_ model: ConversionSource, _ options: ConversionOptions, part: Part) throws(CheckpointError) {
        self.model = model
        self.options = options
        self.part = part
        try model.checkComplete()
        switch (options.container, part) {
        case (.packed, _): try planPacked()
        case (.gguf, .media): try planProjector()
        case (.gguf, _): try planGGUF()
        }
        for standIn in standIns {
            notes.append(
                "rows of \(standIn.columns) are no whole number of \(standIn.wanted.name) blocks: \(standIn.got.name) stands in for it in \(standIn.count) tensor\(standIn.count == 1 ? "" : "s") (\(standIn.kinds.map(\.rawValue).joined(separator: ", "))).")
        }
    }

    // MARK: Formats

    private mutating func fitting(_ format: ElementFormat, _ kind: TensorKind, columns: Int) -> ElementFormat {
        let got = QuantizationMix.fitting(format, columns: columns)
        if got != format {
            if let index = standIns.firstIndex(where: { $0.wanted == format && $0.columns == columns }) {
                standIns[index].count += 1
                if !standIns[index].kinds.contains(kind) { standIns[index].kinds.append(kind) }
            } else {
                standIns.append(([kind], format, got, columns, 1))
            }
        }
        return got
    }

    /// The format of a matrix of the language model.
    private mutating func textFormat(_ tensor: StoredTensor, _ kind: TensorKind, columns: Int) -> ElementFormat {
        if kind == .norm || kind == .router || tensor.shape.count < 2 { return .f32 }
        if let wanted = options.keep[kind] { return fitting(wanted, kind, columns: columns) }
        guard let mix = options.mix else { return tensor.format }
        let layer = ConversionSource.layer(tensor.name)
        var small = ElementFormat.q8_0
        if options.container == .gguf { small = tensor.format == .bf16 ? .bf16 : .f16 }
        var wanted = mix.format(kind, layer: layer, layerCount: model.configuration.text.numHiddenLayers, small: small)
        if options.container == .packed, kind == .pleGate, !mix.isPlain { wanted = .q8_0 }
        return fitting(wanted, kind, columns: columns)
    }

    /// The format of a tensor of the encoders.
    private mutating func mediaFormat(_ tensor: StoredTensor, _ kind: TensorKind, columns: Int) -> ElementFormat {
        if tensor.shape.count < 2 { return .f32 }
        if let wanted = options.keep[kind] {
            // Convolutions have no rows of blocks; those of one pixel are brought into 8 bits when they are loaded.
            if wanted.blockLength > 1, columns % wanted.blockLength != 0 || tensor.shape.count != 2 {
                return tensor.format == .f32 ? .bf16 : tensor.format
            }
            return wanted
        }
        if let mix = options.mix, mix.isPlain { return mix.format }
        if options.mix == nil { return tensor.format }
        return tensor.format == .f32 ? .bf16 : tensor.format
    }

    // MARK: Packed

    private mutating func planPacked() throws(CheckpointError) {
        let c = model.configuration.text
        var unused = 0
        for tensor in model.tensors {
            let kind = TensorKind(name: tensor.name)
            if model.isUnused(tensor.name) {
                unused += 1
                continue
            }
            let rows = tensor.shape.first ?? 1
            let columns = tensor.elementCount / max(1, rows)
            if tensor.shape.count < 2 {
                tensors.append(PlannedTensor(name: tensor.name, kind: kind, shape: tensor.shape, rows: 1, columns: tensor.elementCount, format: .f32, sources: [tensor]))
                continue
            }
            let format = kind.isText ? textFormat(tensor, kind, columns: columns) : mediaFormat(tensor, kind, columns: columns)
            var layout = MatrixLayout.rows
            if kind.isText, format.blockLength > 1 {
                let layer = ConversionSource.layer(tensor.name) ?? 0
                let isSparse = layer < c.activationSparsityPattern.count && c.activationSparsityPattern[layer] > 0
                switch kind {
                case .ple: layout = .rows
                case .up: layout = isSparse ? .rows : .panels
                case .down: layout = isSparse ? .units : .panels
                default: layout = .panels
                }
            }
            tensors.append(
                PlannedTensor(name: tensor.name, kind: kind, shape: tensor.shape, rows: rows, columns: columns, format: format, layout: layout, sources: [tensor]))
        }
        if unused > 0 { notes.append("\(unused) tensors that no computation reads are left out (such as K and V of layers that share those of others).") }
    }

    // MARK: GGUF

    /// The language model, as llama.cpp's converter arranges it.
    private mutating func planGGUF() throws(CheckpointError) {
        let c = model.configuration.text
        if c.altupNumInputs != 4 {
            throw CheckpointError(
                .unsupportedValue, file: "config.json",
                "altup_num_inputs is \(c.altupNumInputs); GGUF files of Gemma 3n have 4. Use --format packed.")
        }
        var stacks: [String: [(slice: Int, tensor: StoredTensor)]] = [:]
        var filled = 0
        for tensor in model.tensors {
            let kind = TensorKind(name: tensor.name)
            if !kind.isText || tensor.name == "lm_head.weight" && model.hasTiedHead { continue }
            guard let place = GGUFTensorNames.gguf(huggingFace: tensor.name) else { throw model.unknown(tensor) }
            if let slice = place.slice {
                stacks[place.name, default: []].append((slice, tensor))
                continue
            }
            if kind == .norm, !c.altupCorrectScale, tensor.name.utf8.reversed().starts(with: ".altup.correct_output_scale".utf8.reversed()) {
                // llama.cpp always applies it.
                tensors.append(PlannedTensor(name: place.name, kind: kind, shape: tensor.shape, rows: 1, columns: tensor.elementCount, format: .f32, sources: [], fill: 1))
                continue
            }
            if tensor.shape.count < 2 {
                tensors.append(PlannedTensor(name: place.name, kind: kind, shape: tensor.shape, rows: 1, columns: tensor.elementCount, format: .f32, sources: [tensor]))
                continue
            }
            let columns = tensor.shape[1]
            // The table of per-layer embeddings has a row for every token there.
            let rows = kind == .ple || kind == .embed ? max(tensor.shape[0], c.vocabSize) : tensor.shape[0]
            if rows > tensor.shape[0] { notes.append("\(place.name): \(rows - tensor.shape[0]) rows of zeros are added for the ids of pictures and sound, as llama.cpp needs them.") }
            let format = textFormat(tensor, kind, columns: columns)
            tensors.append(PlannedTensor(name: place.name, kind: kind, shape: [rows, columns], rows: rows, columns: columns, format: format, sources: [tensor]))
        }
        for (name, slices) in stacks.sorted(by: { $0.key < $1.key }) {
            let sources = slices.sorted { $0.slice < $1.slice }.map(\.tensor)
            let (rows, columns) = (sources[0].shape[0], sources[0].shape[1])
            let format = textFormat(sources[0], .altup, columns: columns)
            tensors.insert(
                PlannedTensor(name: name, kind: .altup, shape: [sources.count, rows, columns], rows: sources.count * rows, columns: columns, format: format, sources: sources),
                at: 0)
        }
        // llama.cpp wants K and V of every layer, also of those that use others'.
        let names = Set(tensors.map(\.name))
        let (d, n) = (c.hiddenSize, c.headDim)
        for layer in c.firstSharedLayer..<c.numHiddenLayers {
            for (part, kind) in [("attn_k", TensorKind.k), ("attn_v", .v)] where !names.contains("blk.\(layer).\(part).weight") {
                let rows = c.numKeyValueHeads * n
                let wanted = options.keep[kind] ?? options.mix?.format ?? model.tensors.first { TensorKind(name: $0.name) == .q }?.format ?? .f16
                let format = QuantizationMix.fitting(wanted, columns: d)
                tensors.append(PlannedTensor(name: "blk.\(layer).\(part).weight", kind: kind, shape: [rows, d], rows: rows, columns: d, format: format, sources: []))
                filled += 1
            }
            if !names.contains("blk.\(layer).attn_k_norm.weight") {
                tensors.append(PlannedTensor(name: "blk.\(layer).attn_k_norm.weight", kind: .norm, shape: [n], rows: 1, columns: n, format: .f32, sources: [], fill: 1))
            }
            if !c.altupCorrectScale, !names.contains("blk.\(layer).altup_correct_scale.weight") {
                tensors.append(PlannedTensor(name: "blk.\(layer).altup_correct_scale.weight", kind: .norm, shape: [d], rows: 1, columns: d, format: .f32, sources: [], fill: 1))
            }
        }
        if filled > 0 { notes.append("\(filled) matrices of zeros are added: llama.cpp wants K and V of every layer, the checkpoint has none for those that share.") }
    }

    /// The encoders, as llama.cpp's converter arranges them.
    private mutating func planProjector() throws(CheckpointError) {
        for tensor in model.tensors {
            let kind = TensorKind(name: tensor.name)
            if kind.isText { continue }
            guard let place = GGUFTensorNames.gguf(huggingFace: tensor.name) else { throw model.unknown(tensor) }
            let columns = tensor.shape.last ?? 1
            var shape = tensor.shape
            if place.name.utf8.reversed().starts(with: "conv_stem.conv.bias".utf8.reversed()) { shape = [1, tensor.elementCount, 1, 1] }
            var format = ElementFormat.f32
            let isConvolution = kind == .audio && tensor.name.utf8.split(separator: UInt8(ascii: ".")).contains { part in
                part.starts(with: "conv".utf8) && !part.starts(with: "conformer".utf8) || part.starts(with: "depthwise_conv".utf8)
            }
            if tensor.shape.count >= 2, !isConvolution, !place.name.utf8.starts(with: "v.conv_stem".utf8) {
                let wanted = options.keep[kind] ?? (options.mix == .f32 ? .f32 : .f16)
                format = wanted.blockLength > 1 && columns % wanted.blockLength != 0 ? .f16 : wanted
            }
            tensors.append(
                PlannedTensor(name: place.name, kind: kind, shape: shape, rows: tensor.elementCount / max(1, columns), columns: columns, format: format, sources: [tensor]))
        }
        guard !tensors.isEmpty else {
            throw CheckpointError(.missingTensor, file: model.name, "there are no encoders of pictures or sound to write a projector file from.")
        }
    }
}
