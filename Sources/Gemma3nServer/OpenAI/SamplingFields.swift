internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost

/// How an answer is made, as the OpenAI protocols and their extensions say it.
enum SamplingFields {
    /// - Throws: 400 naming the field.
    static func options(_ fields: Fields, _ desk: Desk) throws(Refusal) -> ResponseOptions {
        var options = ResponseOptions()
        options.temperature = try fields.number("temperature", 0...100)
        // 0 leaves the likeliest token only.
        options.topP = try fields.number("top_p", 0...1).map { max($0, 1e-6) }
        options.topK = try fields.int("top_k", -1...(1 << 20)).map { max($0, 0) }
        options.minP = try fields.number("min_p", 0...1)
        options.repetitionPenalty = try fields.number("repetition_penalty", 0.01...100)
        if let penalty = try fields.number("repeat_penalty", 0.01...100) { options.repetitionPenalty = penalty }
        options.presencePenalty = try fields.number("presence_penalty", -100...100)
        options.frequencyPenalty = try fields.number("frequency_penalty", -100...100)
        options.seed = try fields.int("seed").map { UInt64(bitPattern: Int64($0)) }
        options.stopStrings = try stops(fields, "stop")
        options.logitBias = try bias(fields, tokenCount: desk.model.model.configuration.text.vocabSize)
        options.size = try size(fields, desk)
        return options
    }

    /// What clients of OpenAI send and this server has no use for must still be of its type.
    static func checkUnused(_ fields: Fields) throws(Refusal) {
        try fields.check(.bool, "store")
        try fields.check(.string, "user", "service_tier", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "reasoning_effort", "verbosity")
        try fields.check(.object, "metadata", "audio", "prediction", "moderation", "prompt_cache_options", "web_search_options")
    }

    static func includesUsage(_ fields: Fields) throws(Refusal) -> Bool {
        guard let options = try fields.object("stream_options") else { return false }
        try options.check(.bool, "include_obfuscation")
        return try options.bool("include_usage") ?? false
    }

    static func stops(_ fields: Fields, _ key: String) throws(Refusal) -> [String] {
        try (fields.strings(key, atMost: 16) ?? []).filter { !$0.isEmpty }
    }

    /// Tokens by their ids, as strings, and what is added to their logits.
    private static func bias(_ fields: Fields, tokenCount: Int) throws(Refusal) -> [Int32: Float] {
        guard let written = try fields.object("logit_bias") else { return [:] }
        var bias: [Int32: Float] = [:]
        for key in written.object.keys {
            guard let id = Int32(key), id >= 0, id < tokenCount else {
                throw fields.refusal("logit_bias", "names the token \"\(key.prefix(40))\", expected ids from 0 to \(tokenCount - 1).")
            }
            bias[id] = try written.number(key, -1000...1000).map { Float($0) }
        }
        return bias
    }

    /// The extension `size`, or the model's name with a size behind.
    private static func size(_ fields: Fields, _ desk: Desk) throws(Refusal) -> SizeChoice? {
        let named = try desk.size(ofModel: try fields.string("model"))
        guard let text = try fields.string("size") else { return named.map { .fixed($0) } }
        if text == "auto" { return .automatic }
        return .fixed(try desk.size(text, field: fields.name("size"), code: "invalid_value"))
    }

    /// `response_format`, and llama.cpp's `grammar`.
    ///
    /// - Throws: 400 with the place in the schema that cannot be kept to.
    static func shape(_ fields: Fields) throws(Refusal) -> AnswerShape? {
        var shape: AnswerShape?
        if let format = try fields.object("response_format") {
            switch try format.required("type") {
            case "text": break
            case "json_object":
                shape = try format.object("schema").map { .jsonSchema(.object($0.object)) } ?? .jsonObject
            case "json_schema":
                // The schema stands in json_schema, or, as some write it, right here.
                let holder = try format.object("json_schema") ?? format
                guard let schema = holder["schema"] else { throw holder.refusal("schema", "is missing, expected a JSON schema.", code: "invalid_type") }
                shape = .jsonSchema(schema)
            case let other:
                throw format.refusal("type", "is \"\(other.prefix(40))\", expected \"text\", \"json_object\" or \"json_schema\".")
            }
        }
        if let grammar = try fields.string("grammar") { shape = .grammar(grammar) }
        try check(shape, fields.name("response_format"))
        return shape
    }

    static func check(_ shape: AnswerShape?, _ field: String) throws(Refusal) {
        do throws(SessionError) {
            try shape?.check()
        } catch {
            throw Refusal(400, "\(field): \(error.message)", field: field, code: "invalid_schema")
        }
    }
}
