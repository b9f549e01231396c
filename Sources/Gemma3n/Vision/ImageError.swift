/// Why a picture cannot be given to the model.
public struct ImageError: Error, Sendable, Equatable {
    /// A stable name for programs.
    public enum Code: String, Sendable {
        case imageTooLarge = "image_too_large"
        /// Stopped by the caller.
        case cancelled = "cancelled"
    }

    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}

extension ImageError: CustomStringConvertible {
    public var description: String { message }
}
