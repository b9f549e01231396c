/// What an `EngineRoom` takes on.
public struct EngineLimits: Sendable, Equatable {
    /// Requests that are computed together at most.
    public var maximumRunning = 16
    /// Requests that wait at most; further ones are refused.
    public var maximumQueued = 64
    /// Tokens of prompt and answer that a request may have; nil as the model was opened.
    public var contextLength: Int?
    /// Tokens of an answer at most, whatever a request asks for; nil as far as the context goes.
    public var maximumResponseTokens: Int?

    public init(maximumRunning: Int = 16, maximumQueued: Int = 64, contextLength: Int? = nil, maximumResponseTokens: Int? = nil) {
        self.maximumRunning = maximumRunning
        self.maximumQueued = maximumQueued
        self.contextLength = contextLength
        self.maximumResponseTokens = maximumResponseTokens
    }
}
