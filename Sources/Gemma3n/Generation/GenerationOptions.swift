/// How an answer is made: sampling, and when it ends.
public struct GenerationOptions: Sendable, Equatable {
    public var sampling: SamplingOptions
    /// Tokens at most.
    public var maxTokens: Int
    /// Text that ends the answer; not part of it.
    public var stopStrings: [String] = []
    /// Ids that end the answer; not part of it.
    public var stopTokens: [Int32]
    /// Log-probabilities of every token and of this many likeliest ones beside it; nil for none.
    public var topLogProbabilities: Int?
    /// Changes the time an answer takes, and nothing else.
    public var speculation = Speculation.off

    public init(sampling: SamplingOptions = .greedy, maxTokens: Int = 1024, stopTokens: [Int32] = []) {
        self.sampling = sampling
        self.maxTokens = maxTokens
        self.stopTokens = stopTokens
    }
}

/// Sets the logits of tokens that may not come next to minus infinity.
///
/// It is told the tokens of the answer so far, guesses included: the same tokens must give the same result, whatever it was told before.
public typealias TokenFilter = (_ logits: UnsafeMutableBufferPointer<Float>, _ answer: [Int32]) -> Void

/// What a host lends to the making of an answer.
public struct GenerationHooks {
    /// Seconds since some moment. With it speculation knows what passes cost and what it gains; without, it judges by the bytes of
    /// weights.
    public var clock: (() -> Double)?
    /// Called before every choice of a token, and before every guess of one.
    public var allow: TokenFilter?

    public init(clock: (() -> Double)? = nil, allow: TokenFilter? = nil) {
        (self.clock, self.allow) = (clock, allow)
    }
}

/// Why an answer ended.
public enum FinishReason: String, Sendable, Equatable {
    /// The model ended its turn, or a stop string or id came.
    case stop
    /// `maxTokens` were made.
    case length
    /// The context is full; what was said so far stands.
    case contextFull = "context_full"
    /// The caller ended it.
    case cancelled
}

/// One token of an answer as it is made.
public struct GeneratedToken: Sendable {
    public let token: Int32
    /// Text that became certain with this token; may be empty while a character or a possible stop string is incomplete.
    public let text: String
    /// Present when log-probabilities were asked for.
    public let logProbability: TokenLogProbability?
    public let topLogProbabilities: [TokenLogProbability]
}

/// A finished answer.
public struct GenerationResult: Sendable {
    /// Tokens of the answer, without the one that ended it.
    public internal(set) var tokens: [Int32] = []
    public internal(set) var text = ""
    public internal(set) var finishReason = FinishReason.stop
    /// The stop id that ended it, if one did.
    public internal(set) var stopToken: Int32?
    /// Nil without speculation.
    public internal(set) var speculation: SpeculationStatistics?
}
