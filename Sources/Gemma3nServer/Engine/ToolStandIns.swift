internal import Checkpoint
internal import Gemma3nHost

// Until the host can call tools: requests with tools are refused.

struct ToolDefinition {
    static func parse(_ json: JSONValue, at place: String = "tools") throws(SessionError) -> [ToolDefinition] {
        throw SessionError(.unsupportedPrompt, "\(place) are not supported by this version.")
    }
}

enum ToolChoice {
    case none, automatic, required
    case named(String)

    init(_ json: JSONValue, at place: String) throws(SessionError) { self = .automatic }
}

struct ToolCalling: Sendable {
    init(tools: [ToolDefinition], choice: ToolChoice = .automatic, parallel: Bool = true, allowed: [String]? = nil) throws(SessionError) {}
}

struct ToolCall: Sendable {
    let id: String
    let name: String
    let arguments: JSONValue
    let argumentsText: String
}

struct ToolCallParser {
    enum Event {
        case text(String)
        case callBegan(index: Int, id: String, name: String)
        case arguments(index: Int, String)
        case callEnded(index: Int)
    }
    let wholeCalls: [ToolCall] = []

    init(_ calling: ToolCalling, hasShape: Bool = false) {}
    mutating func push(_ more: String) -> [Event] { [.text(more)] }
    mutating func finish() -> [Event] { [] }
}
