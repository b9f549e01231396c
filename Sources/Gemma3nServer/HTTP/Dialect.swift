internal import Checkpoint

/// The shape a protocol gives its errors.
enum Dialect: Sendable {
    case openAI, anthropic, ollama

    /// What clients of that path expect, whether or not there is such a path.
    init(path: String) {
        if path == "/api" || path.hasPrefix("/api/") {
            self = .ollama
        } else if path == "/v1/messages" || path.hasPrefix("/v1/messages/") {
            self = .anthropic
        } else {
            self = .openAI
        }
    }

    func body(_ refusal: Refusal, requestID: String) -> JSONValue {
        switch self {
        case .openAI:
            [
                "error": [
                    "message": .string(refusal.message), "type": .string(Self.openAIType(refusal)),
                    "param": refusal.field.map { .string($0) } ?? .null, "code": refusal.code.map { .string($0) } ?? .null,
                ]
            ]
        case .anthropic:
            [
                "type": "error", "error": ["type": .string(Self.anthropicType(refusal.status)), "message": .string(refusal.message)],
                "request_id": .string(requestID),
            ]
        case .ollama: ["error": .string(refusal.message)]
        }
    }

    private static func openAIType(_ refusal: Refusal) -> String {
        switch refusal.status {
        case 401: "authentication_error"
        case 403: "permission_error"
        case 404 where refusal.code != "model_not_found": "not_found_error"
        case 429: "rate_limit_error"
        case 500...: "server_error"
        default: "invalid_request_error"
        }
    }

    private static func anthropicType(_ status: Int) -> String {
        switch status {
        case 401: "authentication_error"
        case 403: "permission_error"
        case 404: "not_found_error"
        case 413: "request_too_large"
        case 429: "rate_limit_error"
        case 503, 529: "overloaded_error"
        case 500...: "api_error"
        default: "invalid_request_error"
        }
    }
}
