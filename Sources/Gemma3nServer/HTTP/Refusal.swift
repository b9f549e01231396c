package import Gemma3nHost

/// Why a request is not answered as asked. Each protocol writes it in its own shape.
package struct Refusal: Error, Sendable, Equatable {
    package let status: Int
    /// A whole sentence.
    package let message: String
    /// The field that is wrong, such as `messages[2].content`.
    package var field: String?
    /// A stable name for programs, such as `model_not_found`.
    package var code: String?
    /// Seconds after which asking again makes sense.
    package var retryAfter: Int?
    /// Methods that would have been right.
    package var allowed: [String] = []

    package init(_ status: Int, _ message: String, field: String? = nil, code: String? = nil, retryAfter: Int? = nil) {
        self.status = status
        self.message = message
        self.field = field
        self.code = code
        self.retryAfter = retryAfter
    }
}

extension Refusal {
    /// What a client can be told about an error of ours; others stay private.
    package init(_ error: any Error) {
        switch error {
        case let error as Refusal: self = error
        case let error as SessionError: self.init(error)
        case let error as StoreError: self.init(error.code == .full ? 507 : 500, error.message, code: "store_\(error.code.rawValue)")
        case let error as FileError where error.code == .diskFull:
            self.init(507, "The server's disk has no room for this. Delete files that are no longer needed, or try again later.", code: "insufficient_storage")
        case is CancellationError: self.init(499, "The client went away.", code: "cancelled")
        default: self.init(500, "The server failed to answer. Its log says more.", code: "internal_error")
        }
    }

    package init(_ error: SessionError) {
        switch error.code {
        case .exceededContextWindowSize: self.init(400, error.message, code: "context_length_exceeded")
        case .rateLimited, .concurrentRequests: self.init(429, error.message, code: "rate_limit_exceeded", retryAfter: error.retryAfter ?? 1)
        case .shuttingDown: self.init(503, error.message, code: "shutting_down", retryAfter: error.retryAfter ?? 5)
        case .assetsUnavailable, .insufficientMemory: self.init(503, error.message, code: error.code.rawValue)
        default: self.init(400, error.message, code: error.code.rawValue)
        }
    }
}
