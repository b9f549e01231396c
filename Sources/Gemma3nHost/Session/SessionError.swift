internal import Checkpoint
internal import Gemma3n

/// Why a session could not answer.
///
/// Codes are named like those of Apple's FoundationModels where that has one; `message` is a whole sentence.
public struct SessionError: Error, Sendable, Equatable {
    /// A stable name for programs.
    public enum Code: String, Sendable {
        /// Prompt and conversation need more tokens than the context holds.
        case exceededContextWindowSize = "exceeded_context_window_size"
        /// The model's files are missing or cannot be used.
        case assetsUnavailable = "assets_unavailable"
        /// The session is still answering another prompt.
        case concurrentRequests = "concurrent_requests"
        /// A picture, sound or video could not be read.
        case unreadableMedia = "unreadable_media"
        /// The prompt holds what the model, as it was opened, cannot take, or nothing at all.
        case unsupportedPrompt = "unsupported_prompt"
        /// The model does not fit in the memory it was given.
        case insufficientMemory = "insufficient_memory"
        /// An option outside its range.
        case invalidOption = "invalid_option"
        /// A transcript, a message list or a generated value that cannot be understood.
        case decodingFailure = "decoding_failure"
        /// A schema, regular expression or grammar that cannot be kept to.
        case unsupportedGuide = "unsupported_guide"
        /// More requests than the engine room takes on.
        case rateLimited = "rate_limited"
        /// A file of a session that cannot be written or read, is damaged, or belongs to another model.
        case sessionFile = "session_file"
        /// The engine room takes no more requests.
        case shuttingDown = "shutting_down"
    }

    public let code: Code
    public let message: String
    /// Seconds after which asking again is worth while; with `rateLimited` only.
    public let retryAfter: Int?

    public init(_ code: Code, _ message: String, retryAfter: Int? = nil) {
        self.code = code
        self.message = message
        self.retryAfter = retryAfter
    }
}

extension SessionError: CustomStringConvertible {
    public var description: String { message }
}

extension SessionError {
    init(_ error: GenerationError) {
        let code: Code =
            switch error.code {
            case .contextFull: .exceededContextWindowSize
            case .invalidOption: .invalidOption
            case .invalidMedia: .unreadableMedia
            default: .unsupportedPrompt
            }
        self.init(code, error.message)
    }

    init(_ error: SliceError) {
        self.init(.invalidOption, error.message)
    }

    init(_ error: MediaError) {
        self.init(.unreadableMedia, error.description)
    }

    init(_ error: CheckpointError) {
        self.init(.assetsUnavailable, error.description)
    }
}
