/// Why text could not be generated.
public struct GenerationError: Error, Sendable, Equatable {
    /// A stable name for programs.
    public enum Code: String, Sendable {
        case contextFull = "context_full"
        case unknownToken = "unknown_token"
        case emptyPrompt = "empty_prompt"
        case invalidOption = "invalid_option"
        case mediaMismatch = "media_mismatch"
        case missingModality = "missing_modality"
        case invalidMedia = "invalid_media"
        case notANumber = "not_a_number"
        /// No token continues the text as its constraint wants it.
        case deadEnd = "dead_end"
        case cancelled = "cancelled"
        /// What was stored of a conversation contradicts itself or the model.
        case damagedState = "damaged_state"
    }

    public let code: Code
    /// A whole sentence: what was found, what was expected, what to do.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}

extension GenerationError: CustomStringConvertible {
    public var description: String { message }
}
