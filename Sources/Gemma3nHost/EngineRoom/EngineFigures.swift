/// What an `EngineRoom` has done and is doing: counters since its beginning, and what is so now.
public struct EngineFigures: Sendable, Equatable {
    /// Requests that wait now.
    public internal(set) var queued = 0
    /// Requests that are computed now.
    public internal(set) var running = 0

    /// Bytes of keys and values held now, of answers under way and of those that ended.
    public internal(set) var cacheBytes = 0

    /// Requests taken on.
    public internal(set) var accepted = 0
    /// Requests refused: the queue was full, or the room is being drained.
    public internal(set) var refused = 0
    /// Requests answered to their end.
    public internal(set) var finished = 0
    /// Requests whose caller ended them or went away.
    public internal(set) var cancelled = 0
    /// Requests that ended with an error.
    public internal(set) var failed = 0

    /// Tokens of the prompts of requests that began.
    public internal(set) var promptTokens = 0
    /// Those of them that were not computed, since they stood in a cache.
    public internal(set) var cachedTokens = 0
    /// Requests whose prompt began with tokens in a cache.
    public internal(set) var cacheHits = 0
    /// Requests that waited for a beginning which another one was computing, and then had it.
    public internal(set) var joined = 0
    /// Pictures and sounds that were encoded.
    public internal(set) var mediaMisses = 0
    /// Pictures and sounds that were not, since what they are encoded to was known.
    public internal(set) var mediaHits = 0
    /// Bytes of media and what they were encoded to held now.
    public internal(set) var mediaBytes = 0
    /// Tokens of answers.
    public internal(set) var responseTokens = 0
    /// Those of them by the part of the model that made them: `E2B`, `whole`, or its effective parameters. The first 64 parts; then `other`.
    public private(set) var responseTokensBySize: [String: Int] = [:]

    /// Passes through the model, by the number of requests that took part.
    public internal(set) var batchSizes = EngineHistogram(bounds: [1, 2, 4, 8, 16, 32, 64])
    /// Seconds of those passes, the choosing of tokens included.
    public internal(set) var stepSeconds = 0.0
    /// Seconds of choosing tokens from logits.
    public internal(set) var choosingSeconds = 0.0
    /// Seconds from a request's arrival to the beginning of its work.
    public internal(set) var queueSeconds = EngineHistogram(bounds: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100])
    /// Seconds from a request's arrival to its first token.
    public internal(set) var firstTokenSeconds = EngineHistogram(bounds: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100])
    /// Seconds between an answer's first and last token, for each token after the first.
    public internal(set) var tokenSeconds = EngineHistogram(bounds: [0.003, 0.01, 0.03, 0.1, 0.3, 1, 3])
    /// Seconds from a request's arrival to the end of its answer.
    public internal(set) var answerSeconds = EngineHistogram(bounds: [0.1, 0.3, 1, 3, 10, 30, 100, 300])

    public init() {}

    mutating func count(responseTokens tokens: Int, size: String) {
        responseTokens += tokens
        let name = responseTokensBySize[size] != nil || responseTokensBySize.count < 64 ? size : "other"
        responseTokensBySize[name, default: 0] += tokens
    }
}

/// Counts of values by upper bounds, as metrics systems take them.
public struct EngineHistogram: Sendable, Equatable {
    /// Ascending.
    public let bounds: [Double]
    /// Values up to each bound and above the one before it; last, those above all.
    public private(set) var counts: [Int]
    public private(set) var sum = 0.0
    public private(set) var count = 0

    init(bounds: [Double]) {
        self.bounds = bounds
        counts = [Int](repeating: 0, count: bounds.count + 1)
    }

    public var mean: Double { count > 0 ? sum / Double(count) : 0 }

    mutating func add(_ value: Double) {
        counts[bounds.firstIndex { value <= $0 } ?? bounds.count] += 1
        sum += value
        count += 1
    }
}
