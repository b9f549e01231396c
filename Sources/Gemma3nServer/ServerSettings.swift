internal import Logging

/// How `gemma3n serve` listens and what it lets through.
public struct ServerSettings: Sendable {
    public var host = "127.0.0.1"
    /// 0 lets the system choose.
    public var port = 8080
    /// With one it speaks TLS, and nothing else.
    public var certificate: ServerCertificate?
    /// What the model is called; other names that mean it too.
    public var modelName = "gemma3n"
    public var aliases: [String] = []
    /// Of this program.
    public var version = ""
    /// Any of these opens the server; none leaves it open.
    public var keys: [String] = []
    /// Web pages of these origins may call; `*` is all.
    public var origins: [String] = []

    /// Answers computed together, and requests that may wait.
    public var parallel = 16
    public var queue = 64

    /// Bytes of a request's body at most.
    public var bodyLimit = 64 << 20
    /// Bytes of an uploaded file at most.
    public var fileLimit = 512 << 20
    /// The folder of uploaded files and of batches; nil is one of the user's own, made when the first file comes.
    public var files: String?
    /// Lines of batches that are computed together at most; nil is a quarter of `parallel`.
    public var batchLines: Int?
    /// Seconds since 1970: for what expires.
    package var clock: @Sendable () -> Int = { TimeStamp.now.seconds }
    /// Bytes of its header lines at most, and lines.
    public var headerLimit = 32 << 10
    public var headerCountLimit = 100
    /// Media that requests name by URL; nil fetches none.
    public var remoteMedia: RemoteMediaSettings?
    public var connectionLimit = 512
    /// Seconds for a TLS handshake.
    public var handshakeSeconds = 10
    /// Seconds without a byte between requests, and for all header lines of one.
    public var idleSeconds = 75
    /// Seconds for a whole body to come in, and for a client to take what was sent.
    public var bodySeconds = 300
    public var writeSeconds = 60
    /// Seconds that answers under way get when the server is told to stop.
    public var drainSeconds = 30

    /// The file of responses and conversations; nil keeps the newest in memory.
    public var storePath: String?

    public var logLevel = LogLevel.info
    public var logFormat = LogFormat.text

    public enum LogFormat: String, Sendable {
        case text, json
    }

    public enum LogLevel: String, Sendable {
        case trace, debug, info, warning, error, critical

        var level: Logger.Level { Logger.Level(rawValue: rawValue) ?? .info }
    }

    public init() {}
}
