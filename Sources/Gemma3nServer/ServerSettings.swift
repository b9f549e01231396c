/// How `gemma3n serve` listens and what it lets through.
public struct ServerSettings: Sendable {
    public var host = "127.0.0.1"
    public var port = 8080

    public init() {}
}
