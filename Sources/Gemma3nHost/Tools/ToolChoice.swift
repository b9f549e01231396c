public import Checkpoint

/// Whether an answer may, or must, call tools.
public enum ToolChoice: Sendable, Equatable {
    /// It is text. The model still knows the tools, so that the conversation before stays in the cache.
    case none
    /// It is text or calls, as the model decides.
    case automatic
    /// It calls at least one tool.
    case required
    /// It calls this tool.
    case named(String)
}

extension ToolChoice {
    /// Reads `"none"`, `"auto"`, `"required"` and `{"type": "function", "function": {"name": …}}`, or the same without the inner object.
    ///
    /// - Throws: `decodingFailure`.
    public init(_ json: JSONValue, at place: String = "tool_choice") throws(SessionError) {
        switch json.string {
        case "none": self = .none
        case "auto": self = .automatic
        case "required", "any": self = .required
        case let other?:
            throw SessionError(.decodingFailure, "\(place) is \"\(other)\", expected \"none\", \"auto\", \"required\" or a function.")
        case nil:
            guard json["type"]?.string == "function", let name = (json["function"] ?? json)["name"]?.string else {
                throw SessionError(
                    .decodingFailure,
                    "\(place) is \(json.kind), expected \"none\", \"auto\", \"required\" or {\"type\": \"function\", \"function\": {\"name\": …}}.")
            }
            self = .named(name)
        }
    }
}
