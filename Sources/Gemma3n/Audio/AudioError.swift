/// Why a clip could not be made into features or soft tokens.
public struct AudioError: Error, Sendable, Equatable {
    /// A stable name for programs.
    public enum Code: String, Sendable {
        /// A clip has no samples.
        case emptyClip = "empty_clip"
        /// Not even the longest clip of a prompt fills one frame.
        case clipTooShort = "clip_too_short"
        /// A clip gives more soft tokens than the model has places for; `AudioSplitter` makes windows that fit.
        case clipTooLong = "clip_too_long"
        /// A sample is not a number, infinite or absurdly large.
        case badSample = "bad_sample"
        /// Stopped by the caller.
        case cancelled = "cancelled"
    }

    public let code: Code
    /// A whole sentence: what was found, what was expected, what to do.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}

extension AudioError: CustomStringConvertible {
    public var description: String { message }
}
