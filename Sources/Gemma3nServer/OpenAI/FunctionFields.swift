internal import Checkpoint
internal import Gemma3nHost

/// `functions` and `function_call`, which `tools` and `tool_choice` replaced: the same in another spelling, and one call at most.
enum FunctionFields {
    static func areUsed(_ fields: Fields) -> Bool { fields["functions"] != nil || fields["function_call"] != nil }

    /// Nil without functions.
    ///
    /// - Throws: 400 naming the function that is wrong.
    static func calling(_ fields: Fields) throws(Refusal) -> ToolCalling? {
        for new in ["tools", "tool_choice"] where fields[new] != nil {
            throw fields.refusal(new, "stands beside functions or function_call, which it replaced; give one of the two.")
        }
        var choice = ToolChoice.automatic
        if let written = fields["function_call"] {
            switch written.string {
            case "auto"?: break
            case "none"?: choice = .none
            case let other?: throw fields.refusal("function_call", "is \"\(other.prefix(40))\", expected \"none\", \"auto\" or {\"name\": …}.")
            case nil: choice = .named(try fields.object("function_call")?.required("name") ?? "")
            }
        }
        guard let functions = try fields.objects("functions"), !functions.isEmpty else {
            if case .named = choice { throw fields.refusal("function_call", "asks for a call, but there are no functions.") }
            return nil
        }
        do throws(SessionError) {
            let tools = try ToolDefinition.parse(.array(functions.map { .object($0.object) }), at: fields.name("functions"))
            return try ToolCalling(tools: tools, choice: choice, parallel: false)
        } catch {
            throw Refusal(400, error.message, field: Messages.field(of: error.message, fields.name("function")), code: error.code.rawValue)
        }
    }

    /// Messages with the call of a function written as a call of a tool.
    ///
    /// - Throws: 400 naming the message.
    static func messages(_ json: JSONValue) throws(Refusal) -> JSONValue {
        guard let list = json.array else { return json }
        var messages: [JSONValue] = []
        for (index, message) in list.enumerated() {
            guard let object = message.object, object["tool_calls"]?.isNull != false,
                let call = try Fields(object, at: "messages[\(index)]").object("function_call")
            else {
                messages.append(message)
                continue
            }
            messages.append(message.adding("tool_calls", [["id": .string("call_\(index)"), "type": "function", "function": .object(call.object)]]))
        }
        return .array(messages)
    }
}
