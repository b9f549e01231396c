public import Constraints

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

/// What a host lends to the making of an answer.
public struct GenerationHooks {
    /// Seconds since some moment. With it speculation knows what passes cost and what it gains; without, it judges by the bytes of
    /// weights.
    public var clock: (() -> Double)?
    /// What the answer is held to, at its beginning: only tokens that it allows are chosen, guessed, or have a log-probability. The answer
    /// ends as soon as nothing may follow. Made for the model's tokenizer, with the tokens that end a turn.
    public var matcher: ConstraintMatcher?

    public init(clock: (() -> Double)? = nil, matcher: ConstraintMatcher? = nil) {
        (self.clock, self.matcher) = (clock, matcher)
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
    /// It is calls of tools. Only those who know of tools say so.
    case toolCalls = "tool_calls"
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
    /// The stop string that ended it, if one did.
    public internal(set) var stopString: String?
    /// Tokens that a constraint determined: taken together, without choosing.
    public internal(set) var determinedTokens = 0
    /// Nil without speculation.
    public internal(set) var speculation: SpeculationStatistics?
}
