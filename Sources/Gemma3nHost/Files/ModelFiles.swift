public import Checkpoint
public import Tensors

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// The files of a checkpoint by name: a directory in the Hugging Face layout, a GGUF file with its projector file, or bytes already in
/// memory.
///
/// Nothing is read before it is asked for. Of a directory, `config.json`, a tokenizer (`tokenizer.json`, `tokenizer.model` or `tokenizer.gguf`) and weights
/// (`model.safetensors`, or `model.safetensors.index.json` with its shards) are needed; the other names of
/// `ModelFiles.knownNames` are used when they are there.
public struct ModelFiles: Sendable {
    private enum Place: Sendable {
        case directory(String)
        case memory([String: ByteRegion])
        /// Paths by name.
        case files([String: String])
    }

    /// The names of a checkpoint in GGUF files.
    public struct GGUFNames: Sendable, Equatable {
        public let model: String
        /// The file of the encoders; nil if there is none.
        public let projector: String?
        /// Whether the projector was asked for, or found beside the model.
        public let isProjectorGiven: Bool
    }

    /// How messages call the checkpoint: the directory as it was given, or the name of an embedded model.
    public let name: String
    /// All files at the top of the checkpoint, sorted.
    public let names: [String]
    private let place: Place
    /// Nil for checkpoints in other files.
    public let gguf: GGUFNames?

    public static let configuration = "config.json"
    public static let generationConfiguration = "generation_config.json"
    public static let preprocessorConfiguration = "preprocessor_config.json"
    public static let processorConfiguration = "processor_config.json"
    public static let tokenizerJSON = "tokenizer.json"
    public static let tokenizerModel = "tokenizer.model"
    public static let tokenizerGGUF = "tokenizer.gguf"
    public static let tokenizerConfiguration = "tokenizer_config.json"
    public static let chatTemplate = "chat_template.jinja"
    public static let chatTemplateJSON = "chat_template.json"
    public static let weights = "model.safetensors"
    public static let weightIndex = "model.safetensors.index.json"

    /// Every name the loader looks for, besides the shards an index lists.
    public static let knownNames = [
        configuration, generationConfiguration, preprocessorConfiguration, processorConfiguration, tokenizerJSON, tokenizerModel,
        tokenizerGGUF, tokenizerConfiguration, chatTemplate, chatTemplateJSON, weights, weightIndex,
    ]

    /// A checkpoint as a user names it: a directory with `config.json`, a GGUF file, or a directory with one GGUF file.
    ///
    /// A projector file (a GGUF file with `mmproj` in its name) beside the model's is taken along.
    ///
    /// - Parameter projector: A projector file to take instead.
    /// - Throws: `missingFile`, `unreadableFile`; `unsupportedValue` if a directory holds several models, or a projector is given for a
    ///   checkpoint that needs none.
    public init(path: String, projector: String? = nil) throws(CheckpointError) {
        if Self.isFile(path) {
            try self.init(ggufFile: path, projector: projector)
            return
        }
        if Self.isGGUF(path) {
            throw CheckpointError(.missingFile, file: path, "there is no such file.")
        }
        let names = try Self.list(path)
        let ggufs = names.filter { Self.isGGUF($0) && !Self.isProjector($0) && $0 != Self.tokenizerGGUF }
        if names.contains(Self.configuration) || ggufs.isEmpty {
            if let projector {
                throw CheckpointError(
                    .unsupportedValue, file: projector, "a projector file goes with the GGUF file of a model; '\(path)' holds its encoders itself.")
            }
            try self.init(directory: path)
            return
        }
        guard ggufs.count == 1 else {
            throw CheckpointError(
                .unsupportedValue, file: path,
                "the directory holds \(ggufs.count) GGUF files (\(ggufs.prefix(3).joined(separator: ", "))\(ggufs.count > 3 ? ", …" : "")). Give the path of one.")
        }
        try self.init(ggufFile: Self.join(path, ggufs[0]), projector: projector)
    }

    /// A GGUF file of a model.
    private init(ggufFile path: String, projector given: String?) throws(CheckpointError) {
        let directory = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[..<$0]) }
        let file = directory.map { String(path.dropFirst($0.count + 1)) } ?? path
        var paths = [file: path]
        var projectorName: String?
        if let given {
            guard Self.isFile(given) else { throw CheckpointError(.missingFile, file: given, "there is no such file.") }
            projectorName = given
            paths[given] = given
        } else {
            let listed = (try? Self.list(directory.map { $0.isEmpty ? "/" : $0 } ?? ".")) ?? []
            let found = listed.filter { Self.isGGUF($0) && Self.isProjector($0) && $0 != file }
            if found.count > 1 {
                throw CheckpointError(
                    .unsupportedValue, file: path,
                    "beside it lie \(found.count) projector files (\(found.prefix(3).joined(separator: ", "))). Name one with --mmproj.")
            }
            if let found = found.first {
                projectorName = found
                paths[found] = directory.map { Self.join($0, found) } ?? found
            }
        }
        name = path
        names = paths.keys.sorted()
        place = .files(paths)
        gguf = GGUFNames(model: file, projector: projectorName, isProjectorGiven: given != nil)
    }

    private static func isGGUF(_ name: String) -> Bool { name.utf8.reversed().starts(with: ".gguf".utf8.reversed()) }
    private static func isProjector(_ name: String) -> Bool { name.lowercased().contains("mmproj") }
    private static func join(_ directory: String, _ name: String) -> String {
        directory.utf8.last == UInt8(ascii: "/") ? directory + name : "\(directory)/\(name)"
    }

    private static func isFile(_ path: String) -> Bool {
        var status = stat()
        return !path.utf8.contains(0) && stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFDIR
    }

    /// A checkpoint directory in the Hugging Face layout.
    /// - Throws: `missingFile` if there is no such directory, `unreadableFile` if it cannot be listed.
    public init(directory path: String) throws(CheckpointError) {
        names = try Self.list(path)
        name = path
        place = .directory(path)
        gguf = nil
    }

    /// The names in a directory, sorted.
    private static func list(_ path: String) throws(CheckpointError) -> [String] {
        guard !path.isEmpty, !path.utf8.contains(0) else {
            throw CheckpointError(.missingFile, "'\(path)' names no directory. Give the directory that holds the checkpoint's config.json.")
        }
        guard let listing = opendir(path) else {
            let error = FileError(errno: errno, "open", path)
            switch error.code {
            case .notFound:
                throw CheckpointError(
                    .missingFile, file: path, "there is no such directory. Give the directory that holds the checkpoint's config.json.")
            case .notADirectory:
                throw CheckpointError(
                    .missingFile, file: path,
                    "this is a file, not a directory. Give the directory that holds config.json, the tokenizer and the weights.")
            default:
                throw CheckpointError(.unreadableFile, file: path, error.message)
            }
        }
        defer { closedir(listing) }
        var names: [String] = []
        while let entry = readdir(listing) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: tuple.pointee)) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Files that are in memory already.
    /// - Parameters:
    ///   - name: What messages call the checkpoint.
    ///   - files: Contents by file name.
    public init(name: String, files: [String: ByteRegion]) {
        self.name = name
        names = files.keys.sorted()
        place = .memory(files)
        gguf = nil
    }

    /// Whether the checkpoint has a file `name` at its top.
    public func contains(_ name: String) -> Bool {
        var low = 0
        var high = names.count
        while low < high {
            let middle = (low + high) / 2
            if names[middle] < name { low = middle + 1 } else { high = middle }
        }
        return low < names.count && names[low] == name
    }

    /// The bytes of file `name`. Weights are mapped; other files are small and read whole, so that later changes to them do no harm.
    ///
    /// - Parameter name: Relative to the checkpoint, `/` between its parts.
    /// - Throws: `missingFile`, `unreadableFile`, `unsupportedValue` for a name that leaves the checkpoint.
    public func region(_ name: String) throws(CheckpointError) -> ByteRegion {
        if case .files = place {} else { try checkName(name) }
        switch place {
        case .memory(let files):
            guard let region = files[name] else { throw missing(name) }
            return region
        case .directory(let directory):
            let path = Self.join(directory, name)
            let isMapped = name.utf8.reversed().starts(with: ".safetensors".utf8.reversed()) || Self.isGGUF(name)
            return try read(path, name: name, isMapped: isMapped)
        case .files(let paths):
            guard let path = paths[name] else { throw missing(name) }
            return try read(path, name: name, isMapped: true)
        }
    }

    private func read(_ path: String, name: String, isMapped: Bool) throws(CheckpointError) -> ByteRegion {
        do throws(FileError) {
            return isMapped ? try MappedFile(path: path).region : try readRegion(path)
        } catch {
            if error.code == .notFound || error.code == .notADirectory { throw missing(name) }
            throw CheckpointError(.unreadableFile, file: name, error.message)
        }
    }

    /// Where file `name` lies; nil for bytes in memory.
    func path(_ name: String) -> String? {
        switch place {
        case .directory(let directory): Self.join(directory, name)
        case .files(let paths): paths[name]
        case .memory: nil
        }
    }

    /// How messages name a file of the checkpoint.
    func shownName(_ file: String) -> String {
        if file.isEmpty { return name }
        switch place {
        case .directory, .memory: return "\(name)/\(file)"
        case .files(let paths): return paths[file] ?? name
        }
    }

    /// The bytes of file `name`, nil if there is none.
    /// - Throws: `unreadableFile`, `unsupportedValue`.
    public func regionIfPresent(_ name: String) throws(CheckpointError) -> ByteRegion? {
        contains(name) ? try region(name) : nil
    }

    /// File names may come from a file: they must stay inside the checkpoint.
    private func checkName(_ name: String) throws(CheckpointError) {
        let parts = name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        let isInside = !name.utf8.contains(0) && parts.allSatisfy { part in !part.isEmpty && !part.elementsEqual("..".utf8) }
        guard isInside else {
            throw CheckpointError(
                .unsupportedValue, file: self.name,
                "the file name '\(name)' leaves the checkpoint; names are relative to it and contain no '..'.")
        }
    }

    private func missing(_ name: String) -> CheckpointError {
        CheckpointError(
            .missingFile, file: name,
            "not found in '\(self.name)'. A checkpoint holds config.json, tokenizer.json or tokenizer.model, and model.safetensors or model.safetensors.index.json with the files it lists.")
    }
}
