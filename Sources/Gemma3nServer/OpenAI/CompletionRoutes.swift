internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost
internal import HTTPTypes
internal import Tokenization

/// `/v1/completions`: text goes on as it is, without turns.
struct CompletionRoutes {
    let desk: Desk

    var routes: [Route] { [Route(.post, "/v1/completions") { [self] in try await answer($0) }] }

    private func answer(_ exchange: Exchange) async throws -> Reply {
        let fields = try exchange.fields()
        let request = try CompletionRequest(fields, desk)
        let answering = try desk.begin(request.works, for: exchange)
        let writer = CompletionWriter(id: RequestID.random("cmpl-"), request: request, created: TimeStamp.now.seconds, desk: desk)
        guard request.streams else { return .json(writer.completion(try await answering.collect())) }
        _ = try await answering.begun()
        return .events { try await writer.stream(answering, to: $0) }
    }
}

struct CompletionRequest {
    let model: String
    /// One for each prompt, with as many answers as are made.
    let works: [ChatWork]
    /// Answers to each prompt that are told: the likeliest of those made.
    let count: Int
    let showsProbabilities: Bool
    let echoes: Bool
    let streams: Bool
    let includesUsage: Bool

    /// - Throws: 400 naming the field, 404 for another model.
    init(_ fields: Fields, _ desk: Desk) throws(Refusal) {
        model = try fields.string("model") ?? desk.settings.modelName
        var options = try SamplingFields.options(fields, desk)
        options.maximumResponseTokens = try fields.int("max_tokens", 0...Int.max) ?? 16
        options.topLogProbabilities = try fields.int("logprobs", 0...5)
        options.shape = try SamplingFields.shape(fields)
        showsProbabilities = options.topLogProbabilities != nil
        count = try fields.int("n", 1...16) ?? 1
        streams = try fields.bool("stream") ?? false
        let best = try fields.int("best_of", 1...16) ?? count
        guard best >= count else { throw fields.refusal("best_of", "is \(best), expected at least n, \(count).") }
        if best > count {
            if streams { throw fields.refusal("best_of", "is \(best): which of the answers are the best is known at their end only. Leave out stream.") }
            options.topLogProbabilities = options.topLogProbabilities ?? 0
        }
        try SamplingFields.checkUnused(fields)
        if let suffix = try fields.string("suffix"), !suffix.isEmpty {
            throw fields.refusal("suffix", "is not supported: this model only continues text.", code: "unsupported_parameter")
        }
        let inputs = try TextInput.read(fields, "prompt", tokenCount: desk.model.model.configuration.text.vocabSize, atMost: 32)
        works = inputs.map { ChatWork($0, options: options, count: best) }
        echoes = try fields.bool("echo") ?? false
        includesUsage = try SamplingFields.includesUsage(fields)
    }

    /// The prompt that an answer continues, as text.
    func prompt(ofChoice choice: Int, _ desk: Desk) -> String {
        switch works[choice / count].input {
        case .text(let text): text
        case .tokens(let tokens): desk.model.model.tokenizer.decode(tokens)
        case .messages: ""
        }
    }

    /// Of the answers to each prompt those that are told: as they were made if that is all, else the likeliest token by token.
    func told(_ answers: [FinishedAnswer]) -> [FinishedAnswer] {
        var told: [FinishedAnswer] = []
        var rest = answers[...]
        for work in works {
            let made = rest.prefix(work.count)
            rest = rest.dropFirst(work.count)
            let best = work.count > count ? made.sorted { $0.meanLogProbability > $1.meanLogProbability } : Array(made)
            told += best.prefix(count)
        }
        return told
    }
}

/// Writes text completions.
private struct CompletionWriter: Sendable {
    let id: String
    let request: CompletionRequest
    let created: Int
    let desk: Desk

    func completion(_ answers: [FinishedAnswer]) -> JSONValue {
        let choices = request.told(answers).enumerated().map { index, answer in
            let start = request.echoes ? request.prompt(ofChoice: index, desk) : ""
            return choice(
                index, start + answer.text, request.showsProbabilities ? answer.response.logProbabilities : [], from: start.count,
                finishReason: answer.finishReason)
        }
        return frame(.array(choices)).adding("usage", usage(answers))
    }

    func stream(_ answering: Answering, to send: ReplySink) async throws {
        var answers: [Int: FinishedAnswer] = [:]
        var lengths: [Int: Int] = [:]
        do {
            while let piece = try await answering.next() {
                let index = piece.choice
                var begin = ""
                if lengths[index] == nil, request.echoes { begin = request.prompt(ofChoice: index, desk) }
                let offset = lengths[index] ?? begin.count
                switch piece.piece {
                case .text(let text, let probabilities):
                    lengths[index] = offset + text.count
                    try await send(chunk(choice(index, begin + text, probabilities, from: offset, finishReason: nil)))
                case .end(let answer):
                    answers[index] = answer
                    try await send(chunk(choice(index, begin, [], from: offset, finishReason: answer.finishReason)))
                case .wait: try await send(ServerSentEvent.ping)
                default: break
                }
            }
        } catch {
            try await send(ServerSentEvent.text(data: Dialect.openAI.body(Refusal(error), requestID: id)))
            return
        }
        if request.includesUsage {
            try await send(ServerSentEvent.text(data: frame([]).adding("usage", usage(answers.sorted { $0.key < $1.key }.map(\.value)))))
        }
        try await send(ServerSentEvent.done)
    }

    private func chunk(_ choice: JSONValue) -> String {
        ServerSentEvent.text(data: request.includesUsage ? frame([choice]).adding("usage", nil) : frame([choice]))
    }

    private func choice(_ index: Int, _ text: String, _ probabilities: [TokenProbabilities], from offset: Int, finishReason: String?) -> JSONValue {
        [
            "index": .number(JSONNumber(index)), "text": .string(text), "logprobs": probabilities.isEmpty ? .null : logprobs(probabilities, offset),
            "finish_reason": finishReason.map { .string($0) } ?? .null,
        ]
    }

    private func frame(_ choices: JSONValue) -> JSONValue {
        [
            "id": .string(id), "object": "text_completion", "created": .number(JSONNumber(created)), "model": .string(request.model),
            "system_fingerprint": .string(desk.fingerprint), "choices": choices,
        ]
    }

    /// Prompts count once each.
    private func usage(_ answers: [FinishedAnswer]) -> JSONValue {
        var (prompt, choice) = (0, 0)
        for work in request.works {
            if choice < answers.count { prompt += answers[choice].response.statistics.promptTokens }
            choice += work.count
        }
        let completion = answers.reduce(0) { $0 + $1.response.statistics.responseTokens }
        return [
            "prompt_tokens": .number(JSONNumber(prompt)), "completion_tokens": .number(JSONNumber(completion)),
            "total_tokens": .number(JSONNumber(prompt + completion)),
        ]
    }

    private func logprobs(_ tokens: [TokenProbabilities], _ offset: Int) -> JSONValue {
        func text(_ id: Int32) -> String { desk.model.model.tokenizer.text(id) }
        var (offsets, place): ([JSONValue], Int) = ([], offset)
        for token in tokens {
            offsets.append(.number(JSONNumber(place)))
            place += token.text.count
        }
        return [
            "tokens": .array(tokens.map { .string(text($0.chosen.token)) }),
            "token_logprobs": .array(tokens.map { TokenText.number($0.chosen.logProbability) }),
            "top_logprobs": .array(
                tokens.map { token in
                    .object(JSONObject(token.top.map { .init(key: text($0.token), value: TokenText.number($0.logProbability)) }))
                }),
            "text_offset": .array(offsets),
        ]
    }
}
