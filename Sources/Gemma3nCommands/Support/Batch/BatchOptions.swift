internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost

extension BatchFields {
    /// The options of a line: those of the command line, and what the line says instead.
    func options(over defaults: ResponseOptions) throws(BatchFailure) -> ResponseOptions {
        var options = defaults
        if let count = try int("max_tokens", 0...Int.max) { options.maximumResponseTokens = count }
        if let count = try int("max_completion_tokens", 0...Int.max) { options.maximumResponseTokens = count }
        if let temperature = try number("temperature", 0...100) { options.temperature = temperature }
        // 0 leaves the likeliest token only.
        if let p = try number("top_p", 0...1) { options.topP = max(p, 1e-6) }
        if let k = try int("top_k", -1...(1 << 20)) { options.topK = max(k, 0) }
        if let p = try number("min_p", 0...1) { options.minP = p }
        if let penalty = try number("repetition_penalty", 0.01...100) { options.repetitionPenalty = penalty }
        if let penalty = try number("presence_penalty", -100...100) { options.presencePenalty = penalty }
        if let penalty = try number("frequency_penalty", -100...100) { options.frequencyPenalty = penalty }
        if let seed = try int("seed", Int.min...Int.max) { options.seed = UInt64(bitPattern: Int64(seed)) }
        if let stop = try strings("stop") { options.stopStrings = stop.filter { !$0.isEmpty } }
        if let size = try size() { options.size = size }
        if let format = try object("response_format") { options.shape = try format.shape() }
        if let pattern = try string("regex") { options.shape = .regularExpression(pattern) }
        if let grammar = try string("grammar") { options.shape = .grammar(grammar) }
        if try int("n", 1...Int.max) ?? 1 > 1 {
            throw BatchFailure(.unsupportedParameter, "\(name("n")) asks for several answers, and a line has one. Write a line for each, with a seed of its own.")
        }
        if let tools = self["tools"], tools.array?.isEmpty != true {
            throw BatchFailure(.unsupportedParameter, "\(name("tools")): a line of a batch calls no tools. Ask for JSON by response_format.")
        }
        return options
    }

    private func size() throws(BatchFailure) -> SizeChoice? {
        guard let text = try string("size") else { return nil }
        if text == "auto" { return .automatic }
        do throws(SliceError) { return .fixed(try ModelSize(text)) } catch { throw failure("size", "cannot be read: \(error.message)") }
    }

    /// Of `response_format`; nil for free text.
    private func shape() throws(BatchFailure) -> AnswerShape? {
        switch try string("type") {
        case "text": return nil
        case "json_object": return self["schema"].map { .jsonSchema($0) } ?? .jsonObject
        case "json_schema":
            // The schema stands in json_schema, or, as some write it, right here.
            let holder = try object("json_schema") ?? self
            guard let schema = holder["schema"] else { throw holder.failure("schema", "is missing, expected a JSON schema.") }
            return .jsonSchema(schema)
        case let other:
            throw failure("type", "is \(other.map { "\"\($0.prefix(40))\"" } ?? "missing"), expected \"text\", \"json_object\" or \"json_schema\".")
        }
    }
}
