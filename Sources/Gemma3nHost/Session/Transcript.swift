internal import Gemma3n
internal import Tokenization

/// What was said in a session.
///
/// Its JSON form is the chat-messages shape known from web services, so that a saved conversation can be read by other
/// programs, and theirs by this one; see `MessageInput`.
public struct Transcript: Sendable {
    public enum Entry: Sendable {
        /// What the model was told before the first prompt.
        case instructions(String)
        case prompt(Prompt)
        case response(String)
        /// The model called tools instead of answering.
        case toolCalls([ToolCall])
        /// What came of a call.
        case toolOutput(ToolOutput)
    }

    /// In order; instructions come first if there are any.
    public var entries: [Entry]

    public init(entries: [Entry] = []) {
        self.entries = entries
    }

    public init(instructions: String?) {
        entries = instructions.map { [.instructions($0)] } ?? []
    }

    /// The instructions alone: where a conversation starts again.
    public var beginning: Transcript {
        Transcript(entries: entries.filter { if case .instructions = $0 { true } else { false } })
    }
}

extension Transcript {
    /// The entries as chat messages.
    public var messages: [MessageInput] {
        entries.map { entry in
            switch entry {
            case .instructions(let text): MessageInput(.system, Prompt(text))
            case .prompt(let prompt): MessageInput(.user, prompt)
            case .response(let text): MessageInput(.assistant, Prompt(text))
            case .toolCalls(let calls): MessageInput(.assistant, Prompt(parts: []), toolCalls: calls)
            case .toolOutput(let output): MessageInput(.tool, output.content, toolCallID: output.callID, toolName: output.name)
            }
        }
    }

    /// - Throws: `decodingFailure` for media in a system or assistant message, and for the output of a call that was not made.
    public init(messages: [MessageInput]) throws(SessionError) {
        var entries: [Entry] = []
        for (index, message) in messages.enumerated() {
            let isText = message.content.parts.allSatisfy { if case .text = $0 { true } else { false } }
            switch message.role {
            case .user: entries.append(.prompt(message.content))
            case .system where isText: entries.append(.instructions(message.content.text))
            case .assistant where isText:
                if message.toolCalls.isEmpty || !message.content.text.isEmpty { entries.append(.response(message.content.text)) }
                if !message.toolCalls.isEmpty { entries.append(.toolCalls(message.toolCalls)) }
            case .tool:
                guard let call = Self.call(of: message, in: entries) else {
                    let what =
                        message.toolCallID.map { "the call \"\($0)\"" } ?? message.toolName.map { "a call of \"\($0)\"" } ?? "a call"
                    throw SessionError(.decodingFailure, "messages[\(index)] is the output of \(what), but no message before it makes that call.")
                }
                entries.append(.toolOutput(ToolOutput(callID: call.id, name: call.name, content: message.content)))
            default:
                throw SessionError(
                    .decodingFailure,
                    "messages[\(index)] has the role \"\(message.role.rawValue)\" and holds media; only user messages may.")
            }
        }
        self.init(entries: entries)
    }

    /// The call whose output a message is: the one it names, or of those still open the first one that fits.
    private static func call(of message: MessageInput, in entries: [Entry]) -> ToolCall? {
        var calls: [ToolCall] = []
        var answered: Set<String> = []
        for entry in entries {
            if case .toolCalls(let more) = entry { calls += more }
            if case .toolOutput(let output) = entry { answered.insert(output.callID) }
        }
        if let id = message.toolCallID { return calls.last { $0.id == id } }
        return calls.first { !answered.contains($0.id) && (message.toolName ?? $0.name) == $0.name }
    }
}
