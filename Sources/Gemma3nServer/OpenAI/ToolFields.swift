internal import Checkpoint
internal import Gemma3nHost

/// `tools`, `tool_choice` and `parallel_tool_calls`, as the OpenAI protocols have them.
enum ToolFields {
    /// Nil without tools.
    ///
    /// - Throws: 400 naming the tool that is wrong.
    static func calling(_ fields: Fields) throws(Refusal) -> ToolCalling? {
        let parallel = try fields.bool("parallel_tool_calls") ?? true
        guard let json = fields["tools"], json.array?.isEmpty != true else {
            if let choice = fields["tool_choice"], choice.string != "none", choice.string != "auto" {
                throw fields.refusal("tool_choice", "asks for a call, but there are no tools.")
            }
            return nil
        }
        var choice = ToolChoice.automatic
        var allowed: [String]?
        do throws(SessionError) {
            let tools = try ToolDefinition.parse(json, at: fields.name("tools"))
            if let written = fields["tool_choice"] {
                if written["type"]?.string == "allowed_tools" {
                    let inner = written["allowed_tools"] ?? written
                    choice = inner["mode"]?.string == "required" ? .required : .automatic
                    allowed = (inner["tools"]?.array ?? []).compactMap { ($0["function"] ?? $0)["name"]?.string }
                } else {
                    choice = try ToolChoice(written, at: fields.name("tool_choice"))
                }
            }
            return try ToolCalling(tools: tools, choice: choice, parallel: parallel, allowed: allowed)
        } catch {
            throw Refusal(400, error.message, field: Messages.field(of: error.message, fields.name("tool")), code: error.code.rawValue)
        }
    }
}
