/// What an `EngineRoom` takes on.
public struct EngineLimits: Sendable, Equatable {
    /// Requests that are computed together at most.
    public var maximumRunning: Int
    /// Requests that wait at most; further ones are refused.
    public var maximumQueued: Int
    /// Tokens of prompt and answer that a request may have; nil as the model was opened.
    public var contextLength: Int?
    /// Tokens of an answer at most, whatever a request asks for; nil as far as the context goes.
    public var maximumResponseTokens: Int?
    /// Bytes of keys and values that requests may come to need together; one request always runs. Nil for half of what is at hand when the
    /// room is made.
    public var cacheBytes: Int?
    /// Tokens of prompts that go through the model beside a token of each answer under way. More: prompts are through sooner, and answers
    /// under way halt for longer.
    public var prefillTokens: Int
    /// Answers that ended whose keys and values are kept for requests that begin as they did; nil as many as there is memory for.
    public var maximumKept: Int?
    /// Bytes of media and what they were encoded to that are kept for requests with the same ones.
    public var mediaCacheBytes: Int

    public init(
        maximumRunning: Int = 16, maximumQueued: Int = 64, contextLength: Int? = nil, maximumResponseTokens: Int? = nil, cacheBytes: Int? = nil,
        prefillTokens: Int = 32, maximumKept: Int? = nil, mediaCacheBytes: Int = 64 << 20
    ) {
        self.maximumRunning = max(1, maximumRunning)
        self.maximumQueued = max(0, maximumQueued)
        self.contextLength = contextLength
        self.maximumResponseTokens = maximumResponseTokens
        self.cacheBytes = cacheBytes
        self.prefillTokens = max(1, prefillTokens)
        self.maximumKept = maximumKept.map { max(0, $0) }
        self.mediaCacheBytes = max(0, mediaCacheBytes)
    }
}
