internal import Checkpoint
internal import Gemma3nHost

/// A request to `/v1/messages`.
struct AnthropicRequest {
    let model: String
    let work: ChatWork
    let streams: Bool

    /// - Parameter needsMaximum: Whether `max_tokens` must be there: not for counting.
    /// - Throws: 400 naming the field, 404 for another model.
    init(_ fields: Fields, _ desk: Desk, needsMaximum: Bool = true) throws(Refusal) {
        model = try fields.string("model") ?? desk.settings.modelName
        var options = ResponseOptions()
        options.size = try desk.size(ofModel: model).map { .fixed($0) }
        options.maximumResponseTokens = try fields.int("max_tokens", 0...Int.max)
        if needsMaximum, options.maximumResponseTokens == nil {
            throw fields.refusal("max_tokens", "must be a whole number, but is missing.", code: "invalid_type")
        }
        options.temperature = try fields.number("temperature", 0...100)
        options.topP = try fields.number("top_p", 0...1).map { max($0, 1e-6) }
        options.topK = try fields.int("top_k", 0...(1 << 20))
        options.stopStrings = try SamplingFields.stops(fields, "stop_sequences")
        guard let written = try fields.objects("messages") else {
            throw fields.refusal("messages", "must be an array, but is missing.", code: "invalid_type")
        }
        var drafts: [MessageDraft] = []
        if let system = try Self.text(fields, "system") {
            var draft = MessageDraft("system")
            draft.add(text: system)
            drafts.append(draft)
        }
        for message in written { drafts += try Self.drafts(message) }
        let messages = try Messages.parse(.array(drafts.map(\.json)), at: "messages")
        work = ChatWork(.messages(messages), options: options, calling: try Self.calling(fields))
        streams = try fields.bool("stream") ?? false
    }

    /// A string, or text blocks.
    private static func text(_ fields: Fields, _ key: String) throws(Refusal) -> String? {
        if fields[key]?.string != nil { return try fields.string(key) }
        guard let blocks = try fields.objects(key) else { return nil }
        var texts: [String] = []
        for block in blocks {
            guard try block.required("type") == "text" else { throw block.refusal("type", "must be \"text\" here.") }
            texts.append(try block.required("text"))
        }
        return texts.joined(separator: "\n\n")
    }

    /// A message, and before it the outputs of tools that it holds: they are messages of their own.
    private static func drafts(_ message: Fields) throws(Refusal) -> [MessageDraft] {
        let role = try message.required("role")
        guard role == "user" || role == "assistant" else { throw message.refusal("role", "is \"\(role.prefix(40))\", expected \"user\" or \"assistant\".") }
        var draft = MessageDraft(role)
        var outputs: [MessageDraft] = []
        if let text = message["content"]?.string {
            draft.add(text: text)
            return [draft]
        }
        guard let blocks = try message.objects("content") else {
            throw message.refusal("content", "must be a string or an array of blocks, but is missing.", code: "invalid_type")
        }
        for block in blocks {
            switch try block.required("type") {
            case "text": draft.add(text: try block.required("text"))
            case "image": draft.add(image: try imageURL(block))
            case "tool_use":
                let input = try block.object("input")?.object ?? JSONObject([])
                draft.add(callTo: try block.required("name"), arguments: JSONValue.object(input).serialized(), id: try block.required("id"))
            case "tool_result":
                var output = MessageDraft("tool")
                output.callID = try block.required("tool_use_id")
                output.add(text: try text(block, "content") ?? "")
                outputs.append(output)
            case "thinking", "redacted_thinking": break
            case let other:
                throw block.refusal("type", "is \"\(other.prefix(40))\"; known are \"text\", \"image\", \"tool_use\" and \"tool_result\".")
            }
        }
        return draft.parts.isEmpty && draft.calls.isEmpty && !outputs.isEmpty ? outputs : outputs + [draft]
    }

    private static func imageURL(_ block: Fields) throws(Refusal) -> String {
        guard let source = try block.object("source") else { throw block.refusal("source", "must be an object, but is missing.", code: "invalid_type") }
        switch try source.required("type") {
        case "base64": return "data:\(try source.string("media_type") ?? "image/png");base64,\(try source.required("data"))"
        case "url": return try source.required("url")
        case let other: throw source.refusal("type", "is \"\(other.prefix(40))\", expected \"base64\".")
        }
    }

    private static func calling(_ fields: Fields) throws(Refusal) -> ToolCalling? {
        guard let written = try fields.objects("tools"), !written.isEmpty else { return nil }
        // The same as OpenAI's flat form, under another name.
        var tools: [JSONValue] = []
        for tool in written {
            let members: [(String, JSONValue?)] = [
                ("name", .string(try tool.required("name"))), ("description", try tool.string("description").map { .string($0) }),
                ("parameters", try tool.object("input_schema").map { .object($0.object) }),
            ]
            tools.append(.object(JSONObject(members.compactMap { key, value in value.map { .init(key: key, value: $0) } })))
        }
        var choice = ToolChoice.automatic
        var isParallel = true
        if let written = try fields.object("tool_choice") {
            switch try written.required("type") {
            case "auto": break
            case "any": choice = .required
            case "none": choice = .none
            case "tool": choice = .named(try written.required("name"))
            case let other: throw written.refusal("type", "is \"\(other.prefix(40))\", expected \"auto\", \"any\", \"tool\" or \"none\".")
            }
            isParallel = try written.bool("disable_parallel_tool_use") != true
        }
        do throws(SessionError) {
            return try ToolCalling(tools: try ToolDefinition.parse(.array(tools)), choice: choice, parallel: isParallel)
        } catch {
            throw Refusal(400, error.message, field: Messages.field(of: error.message, "tools"), code: error.code.rawValue)
        }
    }
}
