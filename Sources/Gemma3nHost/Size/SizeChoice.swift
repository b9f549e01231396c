public import Gemma3n

/// Which part of a nested model answers.
///
///     session.size = .e2b
///     session.size = .parameters(2_700_000_000)
///     session.size = .automatic
public enum SizeChoice: Sendable, Hashable {
    /// This part, whatever else is going on.
    case fixed(ModelSize)
    /// What the session's `SizePolicy` says for every answer anew.
    case automatic

    public static let whole = SizeChoice.fixed(.whole)
    public static let half = SizeChoice.fixed(.half)
    public static let e2b = SizeChoice.fixed(.e2b)
    public static let e4b = SizeChoice.fixed(.e4b)
    /// A published slice of E4B, such as `E2.69B`.
    public static func named(_ name: String) -> SizeChoice { .fixed(.named(name)) }
    /// At most so many effective parameters.
    public static func parameters(_ count: Int) -> SizeChoice { .fixed(.parameters(count)) }
    public static func slice(_ slice: ModelSlice) -> SizeChoice { .fixed(.slice(slice)) }
}

/// What an automatic choice is to heed.
public struct SizeWishes: Sendable, Hashable {
    /// What the user prefers; goes before everything else.
    public enum Preference: Sendable, Hashable {
        case smallest
        case largest
        /// Not below so many effective parameters.
        case atLeast(parameters: Int)
        /// Not above so many effective parameters.
        case atMost(parameters: Int)
    }

    /// What the answer is for.
    public enum Task: String, Sendable, Hashable, CaseIterable {
        /// A first version that somebody will look over: speed counts.
        case draft
        /// Something to think about: quality counts.
        case reason
    }

    public var preference: Preference?
    /// Milliseconds that a token of the answer may take.
    public var millisecondsPerToken: Double?
    public var task: Task?

    public init(preference: Preference? = nil, millisecondsPerToken: Double? = nil, task: Task? = nil) {
        self.preference = preference
        self.millisecondsPerToken = millisecondsPerToken
        self.task = task
    }
}

/// The part of the model that answers, and why.
public struct SizeDecision: Sendable, Hashable {
    public let slice: ModelSlice
    /// `E2B`, `whole`, or its effective parameters.
    public let name: String
    /// A whole sentence.
    public let reason: String

    public init(slice: ModelSlice, name: String, reason: String) {
        self.slice = slice
        self.name = name
        self.reason = reason
    }
}
