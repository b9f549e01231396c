internal import Gemma3nHost

/// Why a line is not answered.
struct BatchFailure: Error, Equatable {
    /// A stable name for programs.
    let code: String
    /// A whole sentence.
    let message: String

    init(_ code: Code, _ message: String) {
        self.code = code.rawValue
        self.message = message
    }

    init(_ error: SessionError) {
        code = error.code.rawValue
        message = error.message
    }

    /// What is wrong with a line before the model sees it.
    enum Code: String {
        case emptyLine = "empty_line"
        case lineTooLong = "line_too_long"
        case invalidJSON = "invalid_json"
        case invalidRequest = "invalid_request"
        case unsupportedURL = "unsupported_url"
        case unsupportedParameter = "unsupported_parameter"
        case internalError = "internal_error"
    }
}
