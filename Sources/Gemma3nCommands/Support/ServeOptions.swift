#if SERVER
internal import ArgumentParser
internal import Gemma3nServer

/// Where a server listens, and what its model is called.
struct AddressOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The address to listen on; 0.0.0.0 is all of this machine's.", valueName: "address")) var host = "127.0.0.1"
    @Option(help: ArgumentHelp("The port; 0 lets the system choose. Ollama's clients expect 11434.", valueName: "n")) var port = 8080
    @Option(help: ArgumentHelp("What the model is called; by default like its directory or file, or gemma3n-demo.", valueName: "name")) var name: String?
    @Option(help: ArgumentHelp("Another name that means it, such as gpt-4o-mini; may be given several times.", valueName: "name")) var alias: [String] = []

    func validate() throws { try check("--port", port, 0...65535) }
}

/// Who may ask a server.
struct AccessOptions: ParsableArguments {
    @Option(help: ArgumentHelp(
        "A key that callers must send; may be given several times. GEMMA3N_API_KEY in the environment is one, too. Without any, who reaches the server may ask.",
        valueName: "key"))
    var apiKey: [String] = []
    @Option(help: ArgumentHelp("Web pages of this origin may call, such as https://app.example; * is all. May be given several times. By default only the server's own page.", valueName: "origin"))
    var cors: [String] = []

    func validate() throws {
        if apiKey.contains("") { throw ValidationError("--api-key is empty.") }
    }
}

/// What a server takes on.
struct LimitOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Answers that are computed together.", valueName: "n")) var parallel = 16
    @Option(help: ArgumentHelp("Requests that wait; further ones are told to come again later.", valueName: "n")) var queue = 64
    @Option(help: ArgumentHelp("A request's body at most, media included; 64MiB by default.", valueName: "size")) var maxBody: MemorySize?
    @Option(help: ArgumentHelp("Connections at once.", valueName: "n")) var connections = 512
    @Option(help: ArgumentHelp("Seconds a connection may be silent between requests, and all header lines of one may take.", valueName: "seconds")) var idle = 75
    @Option(help: ArgumentHelp("Seconds for a request's body to come in.", valueName: "seconds")) var bodyTime = 300

    func validate() throws {
        try check("--parallel", parallel, 1...256)
        try check("--queue", queue, 0...100_000)
        try check("--connections", connections, 1...100_000)
        try check("--idle", idle, 1...86400)
        try check("--body-time", bodyTime, 1...86400)
    }
}

/// What a server keeps beyond its end.
struct StorageOptions: ParsableArguments {
    @Option(help: ArgumentHelp("A file that keeps responses and conversations; made if it is not there. Without it the newest are kept in memory.", valueName: "file"))
    var store: String?
    @Option(help: ArgumentHelp(
        "The folder of uploaded files and of batches, used by this server alone. By default gemma3n/files in $XDG_STATE_HOME or ~/.local/state, made with the first file.",
        valueName: "directory"))
    var files: String?
    @Option(help: ArgumentHelp("An uploaded file at most; 512MiB by default.", valueName: "size")) var maxFile: MemorySize?
    @Option(help: ArgumentHelp("Lines of batches that are computed together, in places that users leave free; by default a quarter of --parallel.", valueName: "n"))
    var batchLines: Int?

    func validate() throws {
        if store == "" { throw ValidationError("--store is empty, expected a file.") }
        try check("--batch-lines", batchLines ?? 1, 1...256)
    }
}

/// How a server ends, and what it tells its operator.
struct OperationOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Seconds that answers under way get when the server is stopped.", valueName: "seconds")) var drain = 30
    @Option(help: ArgumentHelp("trace, debug, info, warning, error or critical.", valueName: "level")) var logLevel = "info"
    @Option(help: ArgumentHelp("text or json.", valueName: "format")) var logFormat = "text"

    func validate() throws {
        try check("--drain", drain, 0...86400)
        if ServerSettings.LogLevel(rawValue: logLevel) == nil {
            throw ValidationError("--log-level is \(logLevel), expected trace, debug, info, warning, error or critical.")
        }
        if ServerSettings.LogFormat(rawValue: logFormat) == nil { throw ValidationError("--log-format is \(logFormat), expected text or json.") }
    }
}

private func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws {
    if !range.contains(value) { throw ValidationError("\(name) is \(value), expected \(range.lowerBound) to \(range.upperBound).") }
}
#endif
