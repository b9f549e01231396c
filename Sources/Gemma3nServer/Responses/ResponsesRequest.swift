internal import Checkpoint
internal import Gemma3nHost

/// A request to `/v1/responses`.
struct ResponsesRequest {
    let model: String
    let work: ChatWork
    /// The request's own items, as they are kept.
    let items: [JSONValue]
    let context: ResponseContext
    let streams: Bool
    let stores: Bool
    /// Whether the answer is made without the client waiting for it.
    let isBackground: Bool
    /// What the response repeats of the request.
    let echo: [(String, JSONValue)]

    /// - Throws: 400 naming the field, 404 for another model.
    init(_ fields: Fields, _ desk: Desk, context: ResponseContext) throws(Refusal) {
        self.context = context
        model = try fields.string("model") ?? desk.settings.modelName
        var options = try SamplingFields.options(fields, desk)
        options.maximumResponseTokens = try fields.int("max_output_tokens", 0...Int.max)
        let top = try fields.int("top_logprobs", 0...20)
        let include = try fields.strings("include", atMost: 32) ?? []
        if include.contains("message.output_text.logprobs") { options.topLogProbabilities = top ?? 0 }
        let format = try fields.object("text")?.object("format")
        options.shape = try Self.shape(format)
        try SamplingFields.checkUnused(fields)
        try fields.check(.object, "reasoning", "stream_options")
        try fields.check(.string, "truncation")
        try fields.check(.int, "max_tool_calls")
        if fields["prompt"] != nil { throw fields.refusal("prompt", "is not supported: there are no stored prompts.", code: "unsupported_parameter") }
        let calling = try ToolFields.calling(fields)

        let given = try Self.items(fields, mayBeMissing: !context.items.isEmpty)
        var messages = try ResponsesInput.messages(context.items, at: "conversation") + ResponsesInput.messages(given, at: "input")
        items = ResponsesInput.kept(given)
        if let instructions = try fields.string("instructions") {
            messages.insert(["role": "system", "content": .string(instructions)], at: 0)
        }
        let placed = try UploadedMedia(desk).placed(in: .array(messages), at: "input")
        work = ChatWork(.messages(try Messages.parse(placed, at: "input")), options: options, calling: calling)
        streams = try fields.bool("stream") ?? false
        stores = try fields.bool("store") ?? true
        isBackground = try fields.bool("background") ?? false
        if isBackground, !stores {
            throw fields.refusal("background", "needs store: a response that is made in the background is asked for by its id later.")
        }
        func value(_ key: String, _ otherwise: JSONValue) -> (String, JSONValue) { (key, fields[key] ?? otherwise) }
        echo = [
            value("instructions", nil), value("max_output_tokens", nil), ("metadata", try Metadata.read(fields) ?? [:]), value("parallel_tool_calls", true),
            ("previous_response_id", context.previous.map { .string($0) } ?? .null), ("conversation", context.conversation.map { ["id": .string($0)] } ?? .null),
            value("reasoning", ["effort": nil, "summary": nil]),
            ("store", .bool(stores)), value("temperature", 1.0), value("text", ["format": ["type": "text"]]), value("tool_choice", "auto"),
            value("tools", []), value("top_p", 1.0), value("truncation", "disabled"), value("user", nil), ("background", .bool(isBackground)),
        ]
    }

    /// The input as items: a string is a message of the user's.
    private static func items(_ fields: Fields, mayBeMissing: Bool) throws(Refusal) -> [JSONValue] {
        if let text = fields["input"]?.string { return [["type": "message", "role": "user", "content": .string(text)]] }
        guard let items = try fields.array("input") else {
            if mayBeMissing { return [] }
            throw fields.refusal("input", "must be a string or an array of items, but is missing.", code: "invalid_type")
        }
        return items
    }

    private static func shape(_ format: Fields?) throws(Refusal) -> AnswerShape? {
        guard let format else { return nil }
        var shape: AnswerShape?
        switch try format.required("type") {
        case "text": break
        case "json_object": shape = .jsonObject
        case "json_schema":
            guard let schema = format["schema"] else { throw format.refusal("schema", "is missing, expected a JSON schema.", code: "invalid_type") }
            shape = .jsonSchema(schema)
        case let other: throw format.refusal("type", "is \"\(other.prefix(40))\", expected \"text\", \"json_object\" or \"json_schema\".")
        }
        try SamplingFields.check(shape, "text.format")
        return shape
    }
}

/// Items of the Responses protocol as messages of chat completions.
enum ResponsesInput {
    /// - Parameter place: What error sentences call the array.
    /// - Throws: 400 naming the item.
    static func messages(_ items: [JSONValue], at place: String) throws(Refusal) -> [JSONValue] {
        var drafts: [MessageDraft] = []
        for (index, json) in items.enumerated() {
            guard let object = json.object else { throw Refusal(400, "\(place)[\(index)] must be an object, found \(json.kind).", field: "\(place)[\(index)]", code: "invalid_type") }
            let item = Fields(object, at: "\(place)[\(index)]")
            switch try item.string("type") ?? "message" {
            case "message":
                var draft = MessageDraft(try item.required("role"))
                try add(item, to: &draft)
                drafts.append(draft)
            case "function_call":
                // Calls of one turn are one message.
                var draft = MessageDraft("assistant")
                if let last = drafts.last, last.role == "assistant" { draft = drafts.removeLast() }
                draft.add(callTo: try item.required("name"), arguments: try item.required("arguments"), id: try item.required("call_id"))
                drafts.append(draft)
            case "function_call_output":
                var draft = MessageDraft("tool")
                draft.callID = try item.required("call_id")
                try add(item, key: "output", to: &draft)
                drafts.append(draft)
            case "reasoning": break
            case let other:
                throw item.refusal("type", "is \"\(other.prefix(40))\"; known are \"message\", \"function_call\" and \"function_call_output\".")
            }
        }
        return drafts.map(\.json)
    }

    private static func add(_ item: Fields, key: String = "content", to draft: inout MessageDraft) throws(Refusal) {
        if item[key]?.string != nil { return draft.add(text: try item.required(key)) }
        guard let parts = try item.objects(key) else {
            throw item.refusal(key, "must be a string or an array of parts, but is missing.", code: "invalid_type")
        }
        for part in parts {
            switch try part.required("type") {
            case "refusal": draft.add(text: try part.string("refusal") ?? "")
            case "input_text", "output_text", "text": draft.add(text: try part.required("text"))
            case "input_image":
                if let id = part["file_id"] {
                    draft.parts.append(["type": "file", "file": ["file_id": id]])
                    continue
                }
                draft.add(image: try part.required("image_url"))
            case "input_file": draft.parts.append(["type": "file", "file": .object(part.object)])
            case "input_audio": draft.parts.append(.object(part.object))
            case let other:
                throw part.refusal("type", "is \"\(other.prefix(40))\"; known are \"input_text\", \"input_image\", \"input_file\", \"input_audio\" and \"output_text\".")
            }
        }
    }
}
