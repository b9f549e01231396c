/// Whether several tokens of an answer are guessed ahead and then checked together.
///
/// The answer is the same, token for token and bit for bit, whatever stands here: every token is chosen from the running model's
/// own logits, and a guess is worth something only where it names the token so chosen. What changes is the time.
public struct Speculation: Sendable, Hashable {
    /// Where guesses come from.
    public enum Method: String, Sendable, Hashable, CaseIterable {
        case off
        /// What followed the last words earlier in the conversation. Costs nothing.
        case lookup
        /// A smaller slice of the same model, reading the same keys and values.
        case slice = "self"
        /// Either, whichever has paid more so far.
        case automatic = "auto"
    }

    public var method: Method
    /// The part of the model that guesses; nil for the smallest that is made for it: E2B of E4B, else half of the model.
    public var draftSize: ModelSize?
    /// Tokens guessed at a time at most, 1 to `Speculation.limit`.
    public var maxDraft = 8
    /// Whether guessing is left out, and how many tokens are guessed, as experience says. Otherwise `maxDraft` every time: for
    /// measurements.
    public var adapts = true

    public init(_ method: Method) { self.method = method }

    public static let off = Speculation(.off)
    public static let lookup = Speculation(.lookup)
    public static let automatic = Speculation(.automatic)

    public static func slice(_ size: ModelSize? = nil, maxDraft: Int = 8) -> Speculation {
        var result = Speculation(.slice)
        result.draftSize = size
        result.maxDraft = maxDraft
        return result
    }

    /// Tokens guessed at a time at most: caches keep room for so many that come to nothing.
    public static let limit = KVCache.draftRoom

    /// - Throws: `invalidOption`.
    public func validate() throws(GenerationError) {
        if !(1...Self.limit).contains(maxDraft) {
            throw GenerationError(.invalidOption, "The number of tokens to draft is \(maxDraft), expected 1 to \(Self.limit).")
        }
    }
}

/// What guessing ahead came to in one answer.
public struct SpeculationStatistics: Sendable, Equatable {
    /// What one source of guesses came to.
    public struct Drafts: Sendable, Equatable {
        /// Passes of the running model that checked its guesses.
        public internal(set) var rounds = 0
        /// Tokens guessed.
        public internal(set) var drafted = 0
        /// Those that were right and saved a pass.
        public internal(set) var accepted = 0

        /// 0 if nothing was guessed.
        public var acceptanceRate: Double { drafted > 0 ? Double(accepted) / Double(drafted) : 0 }

        public init() {}

        public static func + (a: Drafts, b: Drafts) -> Drafts {
            var sum = a
            sum.rounds += b.rounds
            sum.drafted += b.drafted
            sum.accepted += b.accepted
            return sum
        }
    }

    public internal(set) var lookup = Drafts()
    public internal(set) var slice = Drafts()
    /// Passes of one token, without a guess.
    public internal(set) var plainSteps = 0
    /// The slice that guessed, if one could.
    public internal(set) var draftSlice: ModelSlice?
    /// How many times as long the model's passes would have taken one token at a time, judged by such passes in the same
    /// conversation; nil if none was timed.
    public internal(set) var gain: Double?

    public init() {}

    /// Both sources together.
    public var all: Drafts { lookup + slice }
}
