internal import Checkpoint
internal import Gemma3nHost

/// A request to `/v1/chat/completions`.
struct ChatRequest {
    let model: String
    let work: ChatWork
    let streams: Bool
    let includesUsage: Bool
    /// Whether calls are told in the form that tools replaced.
    let tellsFunctionCalls: Bool

    /// - Throws: 400 naming the field, 404 for another model.
    init(_ fields: Fields, _ desk: Desk) throws(Refusal) {
        model = try fields.string("model") ?? desk.settings.modelName
        guard let json = fields["messages"] else { throw fields.refusal("messages", "is missing, expected an array of messages.", code: "invalid_type") }
        let messages = try Messages.parse(try UploadedMedia(desk).placed(in: try FunctionFields.messages(json), at: "messages"), at: "messages")
        var options = try SamplingFields.options(fields, desk)
        options.maximumResponseTokens = try fields.int("max_tokens", 0...Int.max)
        if let most = try fields.int("max_completion_tokens", 0...Int.max) { options.maximumResponseTokens = most }
        let top = try fields.int("top_logprobs", 0...20)
        if try fields.bool("logprobs") == true { options.topLogProbabilities = top ?? 0 }
        options.shape = try SamplingFields.shape(fields)
        if let modalities = try fields.strings("modalities", atMost: 8), modalities.contains(where: { $0 != "text" }) {
            throw fields.refusal("modalities", "asks for more than text, and this model answers in text only.")
        }
        try SamplingFields.checkUnused(fields)
        tellsFunctionCalls = FunctionFields.areUsed(fields)
        let calling = tellsFunctionCalls ? try FunctionFields.calling(fields) : try ToolFields.calling(fields)
        work = ChatWork(.messages(messages), options: options, calling: calling, count: try fields.int("n", 1...16) ?? 1)
        streams = try fields.bool("stream") ?? false
        includesUsage = try SamplingFields.includesUsage(fields)
    }
}
