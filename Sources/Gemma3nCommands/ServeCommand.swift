#if SERVER
internal import ArgumentParser
internal import Gemma3nHost
internal import Gemma3nServer

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Answers over HTTP, in the protocols of OpenAI, Anthropic and Ollama.",
        discussion: """
            gemma3n serve gemma-3n-E2B-it
            curl http://127.0.0.1:8080/v1/chat/completions -d '{"messages": [{"role": "user", "content": "Why is the sky blue?"}]}'

            Only this machine can reach it unless --host says otherwise; then give it a key. SIGTERM and Ctrl-C let answers under way finish.
            """)

    @Argument(help: ArgumentHelp("The model's directory or GGUF file, if it is not the demo model.", valueName: "model"))
    var path: String?

    @Option(help: ArgumentHelp("The address to listen on; 0.0.0.0 is all of this machine's.", valueName: "address")) var host = "127.0.0.1"
    @Option(help: ArgumentHelp("The port; 0 lets the system choose.", valueName: "n")) var port = 8080
    @Option(help: ArgumentHelp("What the model is called; by default its directory.", valueName: "name")) var name: String?
    @Option(help: ArgumentHelp("Another name that means it, such as gpt-4o-mini; may be given several times.", valueName: "name")) var alias: [String] = []
    @Option(help: ArgumentHelp("Answers that are computed together.", valueName: "n")) var parallel = 16
    @Option(help: ArgumentHelp("Requests that wait; further ones are told to come again later.", valueName: "n")) var queue = 64
    @Option(help: ArgumentHelp("A request's body at most.", valueName: "size")) var maxBody: MemorySize?
    @Option(help: ArgumentHelp(
        "The folder of uploaded files and of batches, used by this server alone. By default gemma3n/files in $XDG_STATE_HOME or ~/.local/state, made with the first file.",
        valueName: "directory"))
    var files: String?
    @Option(help: ArgumentHelp("An uploaded file at most; 512MiB by default.", valueName: "size")) var maxFile: MemorySize?
    @Option(help: ArgumentHelp("Lines of batches that are computed together, in places that users leave free; by default a quarter of --parallel.", valueName: "n"))
    var batchLines: Int?
    @Option(help: ArgumentHelp("A key that callers must send; may be given several times. GEMMA3N_API_KEY in the environment is one, too.", valueName: "key"))
    var apiKey: [String] = []
    @Option(help: ArgumentHelp("A file that keeps responses and conversations; made if it is not there. Without it the newest are kept in memory.", valueName: "file"))
    var store: String?
    @Option(help: ArgumentHelp("Web pages of this origin may call; * is all. May be given several times.", valueName: "origin")) var cors: [String] = []
    @Option(help: ArgumentHelp("Seconds that answers under way get when the server is stopped.", valueName: "seconds")) var drain = 30
    @Option(help: ArgumentHelp("Connections at once.", valueName: "n")) var connections = 512
    @Option(help: ArgumentHelp("Seconds a connection may be silent between requests.", valueName: "seconds")) var idle = 75
    @Option(help: ArgumentHelp("Seconds for a request's body to come in.", valueName: "seconds")) var bodyTime = 300
    @Option(help: ArgumentHelp("trace, debug, info, warning or error.", valueName: "level")) var logLevel = "info"
    @Option(help: ArgumentHelp("text or json.", valueName: "format")) var logFormat = "text"
    @OptionGroup(title: "TLS") var tls: TLSOptions
    @OptionGroup(title: "Media by URL") var media: RemoteMediaOptions
    @OptionGroup(title: "Model") var model: ModelOptions
    @OptionGroup(title: "Size") var size: SliceOptions

    func validate() throws {
        for (name, value, range) in [
            ("--port", port, 0...65535), ("--parallel", parallel, 1...256), ("--queue", queue, 0...100_000), ("--drain", drain, 0...86400),
            ("--connections", connections, 1...100_000), ("--idle", idle, 1...86400), ("--body-time", bodyTime, 1...86400),
            ("--batch-lines", batchLines ?? 1, 1...256),
        ] where !range.contains(value) {
            throw ValidationError("\(name) is \(value), expected \(range.lowerBound) to \(range.upperBound).")
        }
        if ServerSettings.LogLevel(rawValue: logLevel) == nil { throw ValidationError("--log-level is \(logLevel), expected trace, debug, info, warning or error.") }
        if ServerSettings.LogFormat(rawValue: logFormat) == nil { throw ValidationError("--log-format is \(logFormat), expected text or json.") }
        if store == "" { throw ValidationError("--store is empty, expected a file.") }
        if apiKey.contains("") { throw ValidationError("--api-key is empty.") }
    }

    func run() async throws {
        let certificate = try tls.certificate()
        let directory = model.directory ?? path
        let opened = try await model.open(directory, size: size.atOpening)
        var settings = ServerSettings()
        settings.host = host
        settings.port = port
        settings.certificate = certificate
        settings.modelName = name ?? directory.map(Self.name(ofPath:)) ?? "gemma3n-demo"
        settings.aliases = alias
        settings.version = Gemma3nCommand.version
        settings.parallel = parallel
        settings.queue = queue
        if let maxBody { settings.bodyLimit = maxBody.bytes }
        settings.files = files
        if let maxFile { settings.fileLimit = maxFile.bytes }
        settings.batchLines = batchLines
        settings.keys = apiKey + (Output.environment("GEMMA3N_API_KEY").map { [$0] } ?? [])
        settings.origins = cors
        settings.storePath = store
        settings.remoteMedia = media.settings
        settings.drainSeconds = drain
        settings.connectionLimit = connections
        settings.idleSeconds = idle
        settings.bodySeconds = bodyTime
        settings.logLevel = ServerSettings.LogLevel(rawValue: logLevel) ?? .info
        settings.logFormat = ServerSettings.LogFormat(rawValue: logFormat) ?? .text
        let shown = host.contains(":") ? "[\(host)]" : host
        do {
            try await ModelServer(opened, settings).run { [name = settings.modelName, scheme = certificate == nil ? "http" : "https"] port in
                Output.line("\(name) answers at \(scheme)://\(shown):\(port)")
            }
        } catch let error where Gemma3nCommand.sentence(of: error) == nil {
            throw CommandError("cannot listen on \(shown), port \(port): \(error). Give another --port, or stop what uses it.")
        }
    }

    /// The last part of a path, without `.gguf`.
    private static func name(ofPath path: String) -> String {
        let last = path.split(separator: "/").last.map(String.init) ?? path
        return last.hasSuffix(".gguf") ? String(last.dropLast(5)) : last
    }
}
#endif
