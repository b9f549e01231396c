#if SERVER
internal import ArgumentParser
internal import Gemma3nHost
internal import Gemma3nServer

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Answers over HTTP, in the protocols of OpenAI, Anthropic and Ollama.",
        discussion: """
            gemma3n serve                          the demo model, for a first try; chat with it at http://127.0.0.1:8080
            gemma3n serve gemma-3n-E2B-it
            GEMMA3N_API_KEY=SECRET gemma3n serve gemma-3n-E2B-it --host 0.0.0.0

            curl http://127.0.0.1:8080/v1/chat/completions -d '{"messages": [{"role": "user", "content": "Why is the sky blue?"}]}'

            Only this machine can reach it unless --host says otherwise; then give it a key. SIGTERM and Ctrl-C let answers under way finish.
            """)

    @Argument(help: ArgumentHelp("The model's directory or GGUF file, if it is not the demo model.", valueName: "model"))
    var path: String?

    @OptionGroup(title: "Address") var address: AddressOptions
    @OptionGroup(title: "Access") var access: AccessOptions
    @OptionGroup(title: "TLS") var tls: TLSOptions
    @OptionGroup(title: "Limits") var limits: LimitOptions
    @OptionGroup(title: "Kept on disk") var storage: StorageOptions
    @OptionGroup(title: "Media by URL") var media: RemoteMediaOptions
    @OptionGroup(title: "Operation") var operation: OperationOptions
    @OptionGroup(title: "Model") var model: ModelOptions
    @OptionGroup(title: "Size") var size: SliceOptions

    func run() async throws {
        let certificate = try tls.certificate()
        let directory = model.directory ?? path
        let opened = try await model.open(directory, size: size.atOpening)
        var settings = ServerSettings()
        settings.host = address.host
        settings.port = address.port
        settings.certificate = certificate
        settings.modelName = address.name ?? directory.map(Self.name(ofPath:)) ?? "gemma3n-demo"
        settings.aliases = address.alias
        settings.version = Gemma3nCommand.version
        settings.keys = access.apiKey + (Output.environment("GEMMA3N_API_KEY").map { [$0] } ?? [])
        settings.origins = access.cors
        settings.parallel = limits.parallel
        settings.queue = limits.queue
        if let maxBody = limits.maxBody { settings.bodyLimit = maxBody.bytes }
        settings.connectionLimit = limits.connections
        settings.idleSeconds = limits.idle
        settings.bodySeconds = limits.bodyTime
        settings.storePath = storage.store
        settings.files = storage.files
        if let maxFile = storage.maxFile { settings.fileLimit = maxFile.bytes }
        settings.batchLines = storage.batchLines
        settings.remoteMedia = media.settings
        settings.drainSeconds = operation.drain
        settings.logLevel = ServerSettings.LogLevel(rawValue: operation.logLevel) ?? .info
        settings.logFormat = ServerSettings.LogFormat(rawValue: operation.logFormat) ?? .text
        let shown = settings.host.contains(":") ? "[\(settings.host)]" : settings.host
        do {
            try await ModelServer(opened, settings).run { [name = settings.modelName, scheme = certificate == nil ? "http" : "https"] port in
                Output.line("\(name) answers at \(scheme)://\(shown):\(port)")
            }
        } catch let error where Gemma3nCommand.sentence(of: error) == nil {
            throw CommandError("cannot listen on \(shown), port \(settings.port): \(error). Give another --port, or stop what uses it.")
        }
    }

    /// The last part of a path, without `.gguf`.
    private static func name(ofPath path: String) -> String {
        let last = path.split(separator: "/").last.map(String.init) ?? path
        return last.hasSuffix(".gguf") ? String(last.dropLast(5)) : last
    }
}
#endif
