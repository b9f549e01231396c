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
        options.shape = try Self.shape(fields)
        try fields.check(.object, "thinking", "metadata", "container", "cache_control")
        try fields.check(.string, "service_tier")
        guard let written = try fields.objects("messages") else {
            throw fields.refusal("messages", "must be an array, but is missing.", code: "invalid_type")
        }
        var drafts: [MessageDraft] = []
        if let system = try AnthropicBlocks.text(fields, "system") {
            var draft = MessageDraft("system")
            draft.add(text: system)
            drafts.append(draft)
        }
        for message in written { drafts += try AnthropicBlocks.drafts(message) }
        let messages = try Messages.parse(.array(drafts.map(\.json)), at: "messages")
        work = ChatWork(.messages(messages), options: options, calling: try Self.calling(fields))
        streams = try fields.bool("stream") ?? false
    }

    /// `output_config.format`, and its older name `output_format`.
    ///
    /// - Throws: 400 with the place in the schema that cannot be kept to.
    private static func shape(_ fields: Fields) throws(Refusal) -> AnswerShape? {
        let written = try fields["output_config"] == nil ? fields.object("output_format") : fields.object("output_config")?.object("format")
        guard let format = written else { return nil }
        let type = try format.required("type")
        guard type == "json_schema" else { throw format.refusal("type", "is \"\(type.prefix(40))\", expected \"json_schema\".") }
        guard let schema = try format.object("schema") else { throw format.refusal("schema", "is missing, expected a JSON schema.", code: "invalid_type") }
        let shape = AnswerShape.jsonSchema(.object(schema.object))
        try SamplingFields.check(shape, format.place)
        return shape
    }

    private static func calling(_ fields: Fields) throws(Refusal) -> ToolCalling? {
        guard let written = try fields.objects("tools"), !written.isEmpty else { return nil }
        // The same as OpenAI's flat form, under another name.
        var tools: [JSONValue] = []
        for tool in written {
            if let type = try tool.string("type"), type != "custom" {
                throw tool.refusal("type", "is \"\(type.prefix(40))\", which this server does not have; known is \"custom\".")
            }
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
