internal import ArgumentParser
internal import CDemoModel
internal import Checkpoint
package import Gemma3n
internal import Gemma3nHost
internal import Tensors

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// Options of every command that opens a model.
struct ModelOptions: ParsableArguments {
    @Option(name: .customLong("model"), help: ArgumentHelp("The model's directory or GGUF file, instead of the first argument.", valueName: "path"))
    var directory: String?

    @Option(help: ArgumentHelp("The projector file of a GGUF model: its encoders. One beside the model is found by itself.", valueName: "file"))
    var mmproj: String?

    @Option(help: ArgumentHelp("What to open besides text: image, audio, or only text.", valueName: "list"))
    var modalities: ModalityList?

    @Option(help: ArgumentHelp("Threads that compute; all processors by default.", valueName: "n"))
    var threads: Int?

    @Option(help: ArgumentHelp("Tokens of context; the model's maximum by default.", valueName: "n"))
    var context: Int?

    @Option(help: ArgumentHelp("How pictures and sound are encoded: exact, or fast in 8 bits; fast by default where the text model is quantised.", valueName: "how"))
    var encoders: EncoderChoice?

    @Option(help: ArgumentHelp("Memory the program may hold, such as 2GB or 1.5GiB; it then plans to stay within, or says what would fit.", valueName: "size"))
    var memory: MemorySize?

    @Option(name: .customLong("kv"), help: ArgumentHelp("How keys and values are kept: f32, f16 or q8_0. By default f16 if the weights are quantised, else f32.", valueName: "format"))
    var keyValues: KeyValueFormat?

    func validate() throws {
        if let threads, threads < 1 || threads > 1024 { throw ValidationError("--threads is \(threads), expected 1 to 1024.") }
        if let context, context < 1 { throw ValidationError("--context is \(context), expected at least 1.") }
    }

    /// Takes the model out of positional arguments: the first one, if it names a directory or a GGUF file.
    ///
    /// - Throws: `CommandError` if it looks like a path but nothing is there.
    func split(_ words: [String]) throws -> (directory: String?, words: [String]) {
        if let directory { return (directory, words) }
        guard let first = words.first, !first.isEmpty else { return (nil, words) }
        if isModel(first) { return (first, Array(words.dropFirst())) }
        let looksLikePath = ["/", "./", "../", "~/"].contains { first.hasPrefix($0) } && !first.contains { $0.isWhitespace }
        if looksLikePath, first.count > 1 {
            throw CommandError("\(first): there is no such directory. Give the directory that holds the checkpoint's config.json.")
        }
        return (nil, words)
    }

    /// - Parameters:
    ///   - modalities, threads: Instead of what the options say.
    ///   - size: The part of the model that memory is planned for and that answers.
    func open(
        _ directory: String?, modalities: Modalities? = nil, threads: Int? = nil, size: ModelSize? = nil
    ) async throws -> Gemma3nLanguageModel {
        let model = try await Gemma3nLanguageModel.open(
            files: try files(directory), modalities: modalities ?? self.modalities?.value ?? .all, threads: threads ?? self.threads,
            contextLength: context, keyValues: keyValues?.value, memoryLimit: memory?.bytes, encoders: encoders?.precision, size: size)
        for warning in model.warnings { Output.warning(warning) }
        return model
    }

    func files(_ directory: String?) throws -> ModelFiles {
        if let directory { return try ModelFiles(path: directory, projector: mmproj) }
        if mmproj != nil { throw CommandError("--mmproj goes with a GGUF model. Give its path.") }
        return try Self.demoModel()
    }

    /// The checkpoint inside this program; its bytes are used where they lie.
    static func demoModel() throws -> ModelFiles {
        var files: [String: ByteRegion] = [:]
        var index = 0
        while true {
            let file = cdemomodel_file_at(index)
            guard let name = file.name, let bytes = file.bytes else { break }
            files[String(cString: name)] = ByteRegion(UnsafeRawBufferPointer(start: bytes, count: file.count))
            index += 1
        }
        guard !files.isEmpty else {
            throw CommandError("this program was built without the demo model. Give the directory of a checkpoint.")
        }
        return ModelFiles(name: "the demo model", files: files)
    }
}

/// `--encoders`
package enum EncoderChoice: String, ExpressibleByArgument {
    case exact, fast

    var precision: EncoderPrecision {
        switch self {
        case .exact: .exact
        case .fast: .fast
        }
    }
}

/// A size such as `2GB`.
struct MemorySize: ExpressibleByArgument {
    let bytes: Int

    init?(argument: String) {
        guard let bytes = MemoryLimit.parse(argument) else { return nil }
        self.bytes = bytes
    }
}

/// `f32`, `f16` or `q8_0`.
struct KeyValueFormat: ExpressibleByArgument {
    let value: KVFormat

    init?(argument: String) {
        guard let value = KVFormat(rawValue: argument) else { return nil }
        self.value = value
    }
}

/// `text,image,audio` in any order; text is always there.
package struct ModalityList: ExpressibleByArgument {
    package let value: Modalities

    package init?(argument: String) {
        var value: Modalities = []
        for name in argument.split(separator: ",") {
            switch name {
            case "text": break
            case "image": value.insert(.image)
            case "audio": value.insert(.audio)
            case "all": value = .all
            default: return nil
            }
        }
        guard !argument.isEmpty else { return nil }
        self.value = value
    }
}

/// Whether a word names a model: a directory, or a GGUF file.
func isModel(_ path: String) -> Bool {
    var status = stat()
    guard stat(path, &status) == 0 else { return false }
    return status.st_mode & S_IFMT == S_IFDIR || path.hasSuffix(".gguf")
}

func fileExists(_ path: String) -> Bool { access(path, F_OK) == 0 }
