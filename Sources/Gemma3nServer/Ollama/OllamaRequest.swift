internal import Checkpoint
internal import Gemma3nHost

/// A request to `/api/chat` or `/api/generate`.
struct OllamaRequest {
    let model: String
    /// Nil where the request only loads or unloads the model.
    let work: ChatWork?
    let streams: Bool
    let unloads: Bool

    private init(_ fields: Fields, _ desk: Desk, _ input: AnswerRequest.Input?, calling: ToolCalling? = nil) throws(Refusal) {
        model = try fields.required("model")
        streams = try fields.bool("stream") ?? true
        let options = try Self.options(fields, desk)
        work = input.map { ChatWork($0, options: options, calling: calling) }
        unloads = try OllamaKeepAlive.isZero(fields)
        try fields.check(.bool, "truncate", "shift")
        if let think = fields["think"], think.bool == nil, think.string == nil {
            throw fields.refusal("think", "must be true, false or a level, found \(think.kind).", code: "invalid_type")
        }
        if let think = fields["think"], think.bool != false { throw fields.refusal("think", "is set, but '\(model)' does not support thinking.") }
    }

    /// - Throws: 400 naming the field, 404 for another model.
    init(chat fields: Fields, _ desk: Desk) throws(Refusal) {
        var drafts: [JSONValue] = []
        for message in try fields.objects("messages") ?? [] {
            var draft = MessageDraft(try message.required("role"))
            if let text = try message.string("content"), !text.isEmpty { draft.add(text: text) }
            for image in try message.strings("images", atMost: 64) ?? [] { draft.add(base64: image) }
            for (index, call) in (try message.objects("tool_calls") ?? []).enumerated() {
                guard let function = try call.object("function") else { throw call.refusal("function", "must be an object, but is missing.", code: "invalid_type") }
                let arguments = try function.object("arguments")?.object ?? JSONObject([])
                draft.add(callTo: try function.required("name"), arguments: JSONValue.object(arguments).serialized(), id: try call.string("id") ?? "call_\(index)")
            }
            draft.name = try message.string("tool_name")
            draft.callID = try message.string("tool_call_id")
            drafts.append(draft.json)
        }
        let messages = drafts.isEmpty ? nil : try Messages.parse(.array(drafts), at: "messages")
        try self.init(fields, desk, messages.map { .messages($0) }, calling: try ToolFields.calling(fields))
    }

    /// - Throws: 400 naming the field, 404 for another model.
    init(generate fields: Fields, _ desk: Desk) throws(Refusal) {
        let prompt = try fields.string("prompt") ?? ""
        let images = try fields.strings("images", atMost: 64) ?? []
        try fields.check(.bool, "raw")
        if let template = try fields.string("template"), !template.isEmpty {
            throw fields.refusal("template", "is set, but this model has a template of its own; send raw: true and the prompt as it is to be.")
        }
        if let context = try fields.array("context"), !context.isEmpty {
            throw fields.refusal("context", "is not supported; send the conversation to /api/chat. What was computed before is not computed again.")
        }
        if let suffix = try fields.string("suffix"), !suffix.isEmpty { throw fields.refusal("suffix", "is set, but this model does not support insert.") }
        if prompt.isEmpty, images.isEmpty {
            try self.init(fields, desk, nil)
            return
        }
        if try fields.bool("raw") == true {
            if !images.isEmpty { throw fields.refusal("images", "are set, but raw prompts hold text only.") }
            try self.init(fields, desk, .text(prompt))
            return
        }
        var drafts: [JSONValue] = []
        if let system = try fields.string("system"), !system.isEmpty {
            var draft = MessageDraft("system")
            draft.add(text: system)
            drafts.append(draft.json)
        }
        var draft = MessageDraft("user")
        for image in images { draft.add(base64: image) }
        if !prompt.isEmpty { draft.add(text: prompt) }
        let messages = try Messages.parse(.array(drafts + [draft.json]), at: "messages")
        try self.init(fields, desk, .messages(messages))
    }

    private static func options(_ fields: Fields, _ desk: Desk) throws(Refusal) -> ResponseOptions {
        var options = ResponseOptions()
        options.size = try desk.size(ofModel: try fields.required("model")).map { .fixed($0) }
        if let written = try fields.object("options") {
            try written.check(.int, "num_ctx", "num_keep", "repeat_last_n", "num_batch", "num_gpu", "main_gpu", "num_thread", "draft_num_predict", "mirostat")
            try written.check(.number, "typical_p", "tfs_z", "mirostat_tau", "mirostat_eta")
            try written.check(.bool, "use_mmap", "use_mlock", "numa", "low_vram", "penalize_newline")
            options.temperature = try written.number("temperature", 0...100)
            options.topK = try written.int("top_k", 0...(1 << 20))
            options.topP = try written.number("top_p", 0...1).map { max($0, 1e-6) }
            options.minP = try written.number("min_p", 0...1)
            options.repetitionPenalty = try written.number("repeat_penalty", 0.01...100)
            options.presencePenalty = try written.number("presence_penalty", -100...100)
            options.frequencyPenalty = try written.number("frequency_penalty", -100...100)
            options.seed = try written.int("seed").map { UInt64(bitPattern: Int64($0)) }
            options.stopStrings = try SamplingFields.stops(written, "stop")
            // Below 0 there is no limit.
            options.maximumResponseTokens = try written.int("num_predict").flatMap { $0 < 0 ? nil : $0 }
        }
        if try fields.bool("logprobs") == true { options.topLogProbabilities = try fields.int("top_logprobs", 0...20) ?? 0 }
        switch fields["format"] {
        case nil: break
        case .string("")?: break
        case .string("json")?: options.shape = .jsonObject
        case .object(let schema)?: options.shape = .jsonSchema(.object(schema))
        case let other?: throw fields.refusal("format", "must be \"json\" or a JSON schema, found \(other.string.map { "\"\($0.prefix(40))\"" } ?? other.kind).")
        }
        try SamplingFields.check(options.shape, "format")
        return options
    }
}
