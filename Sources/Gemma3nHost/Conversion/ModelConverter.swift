public import Checkpoint
internal import Gemma3n
internal import Tensors
internal import Tokenization

/// Writes a checkpoint in another format or another container.
///
///     let converter = try ModelConverter(files, ConversionOptions(mix: .q4_0, container: .packed), threads: nil)
///     let report = try converter.write(to: "gemma-3n-E2B-packed")
///
/// Memory is bounded by a few blocks of rows, whatever the model's size. Output appears under its name complete or not at all.
public struct ModelConverter {
    /// What is done, in bytes of the source.
    public struct Progress: Sendable {
        public let tensor: String
        public let done: Int
        public let total: Int
    }

    public let source: ConversionSource
    public let options: ConversionOptions
    public let plan: ConversionPlan
    /// The encoders' file, if one is asked for.
    public let projectorPlan: ConversionPlan?
    private let pool: ThreadPool

    /// Alignment of tensors in packed files: a cache line.
    static let packedAlignment = 64
    /// Changes with the order of bytes in packed matrices.
    static let layoutVersion = 1

    /// Plans a conversion; nothing is written.
    ///
    /// - Parameter projector: Whether a projector file with the encoders is wanted besides a GGUF file.
    /// - Throws: `CheckpointError`.
    public init(
        _ source: ConversionSource, _ options: ConversionOptions, projector: Bool = false, threads: Int? = nil
    ) throws(CheckpointError) {
        self.source = source
        self.options = options
        plan = try ConversionPlan(source, options, part: options.container == .packed ? .everything : .text)
        projectorPlan = projector ? try ConversionPlan(source, options, part: .media) : nil
        pool = ThreadPool(threadCount: threads ?? ProcessorCount.defaultThreadCount)
    }

    // MARK: Writing

    /// Writes the model.
    ///
    /// - Parameters:
    ///   - path: A file for GGUF, a directory for a packed model.
    ///   - replace: Whether what stands there may be replaced.
    ///   - progress: Called often; false stops (`CancellationError`).
    /// - Throws: `FileError`, `CheckpointError`, `CancellationError`; nothing is left behind.
    public func write(
        to path: String, replace: Bool = false, progress: (Progress) -> Bool = { _ in true }
    ) throws -> ConversionReport {
        var report = ConversionReport(notes: plan.notes)
        let start = ContinuousClock().now
        switch options.container {
        case .gguf:
            try Self.checkReplace(path, replace)
            try writeGGUF(plan, try metadata(), to: path, &report, progress)
        case .packed: try writePacked(to: path, replace: replace, &report, progress)
        }
        report.seconds = start.duration(to: ContinuousClock().now) / .seconds(1)
        return report
    }

    /// Writes the encoders as a projector file.
    ///
    /// - Throws: As `write(to:)`.
    public func writeProjector(
        to path: String, replace: Bool = false, progress: (Progress) -> Bool = { _ in true }
    ) throws -> ConversionReport {
        guard let projectorPlan else { throw FileError(.notFound, path: path, "no projector file was planned.") }
        var report = ConversionReport(notes: projectorPlan.notes)
        let start = ContinuousClock().now
        try Self.checkReplace(path, replace)
        try writeGGUF(projectorPlan, try projectorMetadata(), to: path, &report, progress)
        report.seconds = start.duration(to: ContinuousClock().now) / .seconds(1)
        return report
    }

    private static func checkReplace(_ path: String, _ replace: Bool) throws(FileError) {
        try AtomicFile.check(path: path)
        if !replace, (try? MappedFile(path: path)) != nil {
            throw FileError(.notARegularFile, path: path, "'\(path)' exists already. Give another name, or pass --force to replace it.")
        }
    }

    /// Converts the tensors of a plan one after the other.
    private func writeTensors(
        _ plan: ConversionPlan, padding alignment: Int, into file: inout AtomicFile, _ report: inout ConversionReport,
        _ progress: (Progress) -> Bool
    ) throws {
        let total = plan.tensors.reduce(0) { sum, tensor in tensor.sources.reduce(sum) { $0 + $1.byteCount } }
        var done = 0
        for tensor in plan.tensors {
            let error: ConversionError = try withoutActuallyEscaping(progress) { progress in
                let converter = TensorConverter(parallelism: pool.parallelism) { count in
                    done += count
                    if !progress(Progress(tensor: tensor.name, done: done, total: total)) { throw CancellationError() }
                }
                return try converter.convert(tensor, into: &file)
            }
            try file.write([UInt8](repeating: 0, count: SafeTensorsWriter.padded(tensor.byteCount, to: alignment) - tensor.byteCount))
            report.add(tensor.kind, error)
        }
    }

    private func writeGGUF(
        _ plan: ConversionPlan, _ metadata: GGUFMetadata, to path: String, _ report: inout ConversionReport, _ progress: (Progress) -> Bool
    ) throws {
        let tensors = try plan.tensors.map { tensor in
            guard let type = GGUFTensorType(tensor.format) else {
                throw CheckpointError(
                    .unsupportedFormat, file: source.name,
                    "tensor '\(tensor.name)' would stay \(tensor.format.name), which GGUF does not know. Give a --type.")
            }
            return GGUFLayout.Tensor(name: tensor.name, shape: tensor.shape, type: type.rawValue, byteCount: tensor.byteCount)
        }
        let layout = GGUFLayout(metadata: metadata, tensors: tensors)
        try checkFreeSpace(for: path, bytes: layout.byteCount)
        var file = try AtomicFile(path: path)
        try file.write(layout.head)
        try writeTensors(plan, padding: GGUFLayout.alignment, into: &file, &report, progress)
        try file.commit()
        report.fileBytes += layout.byteCount
    }

    private func writePacked(to path: String, replace: Bool, _ report: inout ConversionReport, _ progress: (Progress) -> Bool) throws {
        let entries = plan.tensors.map { tensor in
            SafeTensorsWriter.Entry(
                name: tensor.name, format: tensor.layout.typeName(tensor.format), shape: tensor.shape, byteCount: tensor.byteCount)
        }
        let head = SafeTensorsWriter.header(
            entries, metadata: [("producer", "gemma3n"), ("layout_version", "\(Self.layoutVersion)"), ("type", options.mix?.rawValue ?? "as in the source")],
            alignment: Self.packedAlignment)
        let size = plan.tensors.reduce(head.count) { $0 + SafeTensorsWriter.padded($1.byteCount, to: Self.packedAlignment) }
        let directory = try AtomicDirectory(path: path, replaces: replace)
        try checkFreeSpace(for: path, bytes: size)
        for (name, region) in source.files {
            var file = try AtomicFile(path: "\(directory.temporaryPath)/\(name)")
            try file.write(region.bytes)
            try file.commit()
            report.fileBytes += region.count
        }
        if let gguf = source.gguf, source.file(ModelFiles.tokenizerGGUF) == nil {
            // Vocabulary and template: all metadata, no tensors.
            let layout = GGUFLayout(metadata: GGUFMetadata(copying: gguf), tensors: [])
            try AtomicFile.write(layout.head, to: "\(directory.temporaryPath)/tokenizer.gguf")
            report.fileBytes += layout.byteCount
        }
        var file = try AtomicFile(path: "\(directory.temporaryPath)/\(ModelFiles.weights)")
        try file.write(head)
        try writeTensors(plan, padding: Self.packedAlignment, into: &file, &report, progress)
        try file.commit()
        try directory.commit()
        report.fileBytes += size
    }

    // MARK: Metadata

    /// What llama.cpp's converter writes for the model.
    private func metadata() throws(CheckpointError) -> GGUFMetadata {
        if let gguf = source.gguf {
            // The file's own, but for the types of its tensors.
            var metadata = GGUFMetadata(copying: gguf, except: options.mix == nil ? [] : ["general.file_type", "general.quantization_version"])
            if let mix = options.mix {
                metadata.set("general.file_type", uint32: mix.fileType)
                metadata.set("general.quantization_version", uint32: 2)
            }
            return metadata
        }
        var metadata = GGUFMetadata()
        metadata.set("general.architecture", string: "gemma3n")
        metadata.set("general.type", string: "model")
        let sampling = source.generation.sampling
        if sampling.temperature > 0 {
            metadata.set("general.sampling.top_k", int32: Int32(clamping: sampling.topK))
            metadata.set("general.sampling.top_p", float32: sampling.topP)
            metadata.set("general.sampling.temp", float32: sampling.temperature)
        }
        metadata.set("general.name", string: baseName)
        metadata.set(source.configuration.text)
        metadata.set("general.file_type", uint32: (options.mix ?? .f16).fileType)
        try setTokenizer(&metadata)
        metadata.set("general.quantization_version", uint32: 2)
        // What llama.cpp's keys do not say; read by this project only.
        for (file, key) in GGUFMetadata.embeddedFiles {
            if let region = source.file(file) { metadata.set(key, string: String(decoding: region.bytes, as: UTF8.self)) }
        }
        return metadata
    }

    private var baseName: String {
        let name = source.name.split(separator: "/").last.map { String($0) } ?? ""
        return name.isEmpty || name == "." || name == ".." ? "gemma-3n" : name
    }

    private func setTokenizer(_ metadata: inout GGUFMetadata) throws(CheckpointError) {
        let c = source.configuration
        let sentencePiece = source.file(ModelFiles.tokenizerModel)
        let vocabulary = try GGUFVocabulary(
            source.tokenizer, sentencePiece: sentencePiece, count: c.text.vocabSize, specialTokens: c.mediaTokens)
        metadata.set("tokenizer.ggml.model", string: "llama")
        metadata.set("tokenizer.ggml.pre", string: "default")
        metadata.set("tokenizer.ggml.tokens", strings: vocabulary.pieces)
        metadata.set("tokenizer.ggml.scores", float32s: vocabulary.scores)
        metadata.set("tokenizer.ggml.token_type", int32s: vocabulary.kinds.map(\.rawValue))
        let ids: [(String, Int32?)] = [
            ("bos", source.tokenizer.bosToken ?? source.generation.bosTokenID), ("eos", source.generation.eosTokenIDs.first),
            ("eot", source.generation.eosTokenIDs.count > 1 ? source.generation.eosTokenIDs[1] : nil),
            ("unknown", source.tokenizer.id(of: "<unk>")), ("padding", source.generation.padTokenID), ("mask", source.tokenizer.id(of: "<mask>")),
        ]
        for (name, id) in ids {
            if let id, id >= 0, Int(id) < c.text.vocabSize { metadata.set("tokenizer.ggml.\(name)_token_id", uint32: Int(id)) }
        }
        metadata.set("tokenizer.ggml.add_bos_token", bool: true)
        metadata.set("tokenizer.ggml.add_eos_token", bool: false)
        if let template = source.chatTemplate { metadata.set("tokenizer.chat_template", string: template) }
        metadata.set("tokenizer.ggml.add_space_prefix", bool: false)
        if sentencePiece == nil, let json = source.file(ModelFiles.tokenizerJSON) {
            // Scores made from merges tell almost everything; the file itself tells the rest.
            metadata.set("tokenizer.huggingface.json", string: String(decoding: json.bytes, as: UTF8.self))
        }
    }

    private func projectorMetadata() throws(CheckpointError) -> GGUFMetadata {
        let c = source.configuration
        var metadata = GGUFMetadata()
        metadata.set("general.architecture", string: "clip")
        metadata.set("general.type", string: "mmproj")
        metadata.set("general.name", string: baseName)
        metadata.set("general.file_type", uint32: options.mix == .f32 ? 0 : 1)
        metadata.set(
            vision: c.vision, audio: c.audio, textHiddenSize: c.text.hiddenSize, imageSize: try source.imageProcessor().height,
            softTokensPerImage: c.visionSoftTokensPerImage)
        metadata.set("general.quantization_version", uint32: 2)
        return metadata
    }
}

/// What a conversion did.
public struct ConversionReport: Sendable {
    /// By kind, in the order of `TensorKind.allCases`; only those there are.
    public var kinds: [(kind: TensorKind, error: ConversionError)] {
        TensorKind.allCases.compactMap { kind in errors[kind].map { (kind, $0) } }
    }
    public private(set) var notes: [String]
    public internal(set) var seconds = 0.0
    /// Bytes of all files written.
    public internal(set) var fileBytes = 0
    private var errors: [TensorKind: ConversionError] = [:]

    init(notes: [String]) { self.notes = notes }

    /// Adds a sentence for the user.
    public mutating func note(_ sentence: String) { notes.append(sentence) }

    mutating func add(_ kind: TensorKind, _ error: ConversionError) { errors[kind, default: ConversionError()].add(error) }

    /// Everything together.
    public var total: ConversionError {
        var total = ConversionError()
        for (_, error) in kinds { total.add(error) }
        return total
    }
}
