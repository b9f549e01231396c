internal import Gemma3n
internal import Tokenization

extension MessageInput {
    /// Messages as the model is shown them: tools with the instructions, calls as they are written, and of several outputs in a row each
    /// with its tool's name.
    ///
    /// - Parameters:
    ///   - tools: `ToolCalling.instructions`, if there are tools.
    ///   - decode: Reads a message's media; nil ends it.
    /// - Returns: Nil where `decode` gave nil.
    /// - Throws: What `decode` throws.
    static func modelMessages<Failure: Error>(
        _ messages: [MessageInput], tools: String? = nil, decode: (Prompt) throws(Failure) -> [ModelMessage.Part]?
    ) throws(Failure) -> [ModelMessage]? {
        var result: [ModelMessage] = []
        for (index, message) in messages.enumerated() {
            guard var parts = try decode(message.content) else { return nil }
            if !message.toolCalls.isEmpty {
                let text = [message.content.text, ToolCall.text(of: message.toolCalls)].filter { !$0.isEmpty }.joined(separator: "\n")
                parts = [.text(text)]
            }
            let others = [index - 1, index + 1].filter { messages.indices.contains($0) }
            if message.role == .tool, let name = message.toolName, others.contains(where: { messages[$0].role == .tool }) {
                if case .text(let text)? = parts.first { parts[0] = .text("\(name): \(text)") } else { parts.insert(.text("\(name):"), at: 0) }
            }
            result.append(ModelMessage(message.role, parts))
        }
        guard let tools else { return result }
        if messages.first?.role == .system {
            result[0] = ModelMessage(.system, messages[0].content.text + "\n\n" + tools)
        } else {
            result.insert(ModelMessage(.system, tools), at: 0)
        }
        return result
    }
}
