/// What came of a call.
public struct ToolOutput: Sendable {
    /// `ToolCall.id`
    public let callID: String
    public let name: String
    /// Text as a rule; pictures and sounds are possible.
    public let content: Prompt

    public init(callID: String, name: String, content: Prompt) {
        self.callID = callID
        self.name = name
        self.content = content
    }

    /// The output of a call.
    public init(of call: ToolCall, _ content: some PromptRepresentable) {
        self.init(callID: call.id, name: call.name, content: content.promptRepresentation)
    }
}
