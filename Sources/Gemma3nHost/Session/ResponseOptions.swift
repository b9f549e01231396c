public import Gemma3n

/// How an answer is made. What is nil is the checkpoint's own default, from its `generation_config.json`.
///
///     ResponseOptions(sampling: .random(top: 40, seed: 7), temperature: 0.8, maximumResponseTokens: 200)
public struct ResponseOptions: Sendable, Equatable {
    /// How tokens are drawn.
    public struct SamplingMode: Sendable, Equatable {
        enum Kind: Equatable {
            case greedy
            case top(Int)
            case threshold(Float)
        }
        let kind: Kind
        let seed: UInt64?

        /// Always the likeliest token.
        public static let greedy = SamplingMode(kind: .greedy, seed: nil)

        /// One of the `top` likeliest tokens.
        public static func random(top: Int, seed: UInt64? = nil) -> SamplingMode {
            SamplingMode(kind: .top(top), seed: seed)
        }

        /// One of the likeliest tokens that together reach `probabilityThreshold`.
        public static func random(probabilityThreshold: Double, seed: UInt64? = nil) -> SamplingMode {
            SamplingMode(kind: .threshold(Float(probabilityThreshold)), seed: seed)
        }
    }

    public var sampling: SamplingMode?
    /// 0 is greedy.
    public var temperature: Double?
    /// Tokens at most; nil goes on to the end of the context.
    public var maximumResponseTokens: Int?
    /// Only the `topK` likeliest tokens; 0 means all. Goes before what `sampling` says.
    public var topK: Int?
    /// Only the likeliest tokens that together reach this probability. Goes before what `sampling` says.
    public var topP: Double?
    /// Only tokens at least this fraction as likely as the likeliest.
    public var minP: Double?
    public var repetitionPenalty: Double?
    public var presencePenalty: Double?
    public var frequencyPenalty: Double?
    public var logitBias: [Int32: Float] = [:]
    /// The same seed gives the same text whatever the thread count. Goes before the one in `sampling`.
    public var seed: UInt64?
    /// Text that ends the answer; not part of it.
    public var stopStrings: [String] = []
    /// Ids that end the answer, besides the checkpoint's own.
    public var stopTokens: [Int32] = []
    /// Log-probabilities of every token and of this many likeliest ones; nil for none.
    public var topLogProbabilities: Int?
    /// What the answer is held to; nil for free text.
    public var shape: AnswerShape?
    /// Tools that the answer may call. The calls are handed to the caller, who runs them and goes on with
    /// `respond(toToolOutputs:)`; for tools that a session runs itself see `Tool`. Goes before the session's tools.
    public var tools: ToolCalling?
    /// Whether the answer may, or must, call the session's own tools; as the model decides by default. What must be called is called in
    /// the first round.
    public var toolChoice = ToolChoice.automatic
    /// Whether tokens are guessed ahead: changes the time an answer takes, and nothing else.
    public var speculation = Speculation.off

    /// The part of the model that answers; the session's if nil.
    public var size: SizeChoice?
    /// What an automatic choice is to heed; the session's if nil.
    public var sizeWishes: SizeWishes?

    public init(sampling: SamplingMode? = nil, temperature: Double? = nil, maximumResponseTokens: Int? = nil) {
        self.sampling = sampling
        self.temperature = temperature
        self.maximumResponseTokens = maximumResponseTokens
    }

    /// Everything decided: the checkpoint's defaults filled in, a seed drawn if there is none.
    ///
    /// - Parameter room: Tokens the context has left.
    /// - Throws: `invalidOption`.
    package func resolved(_ defaults: GenerationConfiguration, room: Int) throws(GenerationError) -> GenerationOptions {
        var s = defaults.sampling
        switch sampling?.kind {
        case nil: break
        case .greedy:
            s.temperature = 0
        case .top(let count):
            guard count > 0 else { throw GenerationError(.invalidOption, "random(top:) is \(count), expected a positive number.") }
            s = drawing(s)
            s.topK = count
            s.topP = 1
        case .threshold(let probability):
            s = drawing(s)
            s.topK = 0
            s.topP = probability
        }
        if let temperature { s.temperature = Float(temperature) }
        if let topK { s.topK = topK }
        if let topP { s.topP = Float(topP) }
        if let minP { s.minP = Float(minP) }
        if let repetitionPenalty { s.repetitionPenalty = Float(repetitionPenalty) }
        if let presencePenalty { s.presencePenalty = Float(presencePenalty) }
        if let frequencyPenalty { s.frequencyPenalty = Float(frequencyPenalty) }
        s.logitBias = logitBias
        s.seed = seed ?? sampling?.seed ?? UInt64.random(in: 0 ... .max)
        try s.validate()
        if let maximum = maximumResponseTokens, maximum < 0 {
            throw GenerationError(.invalidOption, "the maximum of response tokens is \(maximum), expected 0 or more.")
        }
        if let top = topLogProbabilities, top < 0 || top > 1000 {
            throw GenerationError(.invalidOption, "the number of log-probabilities is \(top), expected 0 to 1000.")
        }
        var options = GenerationOptions(
            sampling: s, maxTokens: maximumResponseTokens ?? defaults.maxNewTokens ?? room, stopTokens: defaults.eosTokenIDs + stopTokens)
        options.stopStrings = stopStrings
        options.topLogProbabilities = topLogProbabilities
        options.speculation = speculation
        return options
    }

    /// A greedy default asked to draw draws at temperature 1.
    private func drawing(_ s: SamplingOptions) -> SamplingOptions {
        var s = s
        if s.temperature == 0 { s.temperature = 1 }
        return s
    }
}
