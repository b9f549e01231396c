internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost

/// Writes responses, whole or as events.
struct ResponsesWriter: @unchecked Sendable {
    let request: ResponsesRequest
    let id: String
    private let messageID = RequestID.random("msg_")
    private let created: Int

    /// - Parameters:
    ///   - id: Of a response that was begun before.
    ///   - created: When, in seconds since 1970.
    init(request: ResponsesRequest, id: String? = nil, created: Int? = nil) {
        self.request = request
        self.id = id ?? RequestID.random("resp_")
        self.created = created ?? TimeStamp.now.seconds
    }

    // MARK: Whole

    func response(_ answer: FinishedAnswer) -> JSONValue {
        let isCut = answer.finishReason == "length"
        var output: [JSONValue] = []
        if !answer.text.isEmpty || answer.calls.isEmpty {
            output.append(message(answer.text, answer.response.logProbabilities, status: isCut ? "incomplete" : "completed"))
        }
        for call in answer.calls { output.append(self.call(id: call.id, call.name, call.argumentsText, status: "completed")) }
        return frame(isCut ? "incomplete" : "completed", output, answer)
    }

    func frame(_ status: String, _ output: [JSONValue] = [], _ answer: FinishedAnswer? = nil, error: JSONValue = .null) -> JSONValue {
        let members: [(String, JSONValue)] = [
            ("id", .string(id)), ("object", "response"), ("created_at", .number(JSONNumber(created))),
            ("completed_at", answer == nil ? .null : .number(JSONNumber(TimeStamp.now.seconds))), ("status", .string(status)), ("error", error),
            ("incomplete_details", status == "incomplete" ? ["reason": "max_output_tokens"] : .null), ("model", .string(request.model)),
            ("output", .array(output)), ("usage", answer.map(usage) ?? .null),
        ]
        return .object(JSONObject((members + request.echo).map { .init(key: $0.0, value: $0.1) }))
    }

    /// What a response says about its failure.
    static func told(_ error: any Error) -> JSONValue {
        let refusal = Refusal(error)
        return ["code": .string(refusal.code ?? "server_error"), "message": .string(refusal.message)]
    }

    private func usage(_ answer: FinishedAnswer) -> JSONValue {
        let s = answer.response.statistics
        return [
            "input_tokens": .number(JSONNumber(s.promptTokens)), "input_tokens_details": ["cached_tokens": .number(JSONNumber(s.cachedTokens))],
            "output_tokens": .number(JSONNumber(s.responseTokens)), "output_tokens_details": ["reasoning_tokens": 0],
            "total_tokens": .number(JSONNumber(s.promptTokens + s.responseTokens)),
        ]
    }

    private func message(_ text: String?, _ tokens: [TokenProbabilities] = [], status: String) -> JSONValue {
        [
            "id": .string(messageID), "type": "message", "role": "assistant", "status": .string(status),
            "content": .array(text.map { [part($0, tokens)] } ?? []),
        ]
    }

    private func part(_ text: String, _ tokens: [TokenProbabilities] = []) -> JSONValue {
        ["type": "output_text", "text": .string(text), "annotations": [], "logprobs": .array(tokens.map(Self.probability))]
    }

    private static func probability(_ token: TokenProbabilities) -> JSONValue {
        ["token": .string(token.text), "logprob": TokenText.number(token.chosen.logProbability), "bytes": .array(token.text.utf8.map { .number(JSONNumber(Int($0))) }), "top_logprobs": []]
    }

    private func call(id: String, _ name: String, _ arguments: String, status: String) -> JSONValue {
        [
            "id": .string("fc_" + id), "type": "function_call", "call_id": .string(id), "name": .string(name), "arguments": .string(arguments),
            "status": .string(status),
        ]
    }

    // MARK: Events

    /// Tells an answer as it comes.
    ///
    /// - Parameters:
    ///   - begun: Told the response when its first piece has come.
    ///   - ended: Told the response before the client hears of its end; what it throws makes the response a failed one.
    /// - Returns: Whether `ended` took the end.
    /// - Throws: What `send` throws.
    @discardableResult func stream(
        _ answering: Answering, to send: ReplySink, begun: (JSONValue) -> Void = { _ in }, ended: (JSONValue) async throws -> Void
    ) async throws -> Bool {
        var number = 0
        var isHeard = true
        func tell(_ text: String) async throws {
            do {
                try await send(text)
            } catch {
                isHeard = false
                throw error
            }
        }
        func event(_ type: String, _ members: [(String, JSONValue)]) async throws {
            try await tell(Self.event(type, number, members))
            number += 1
        }
        var isBegun = false
        func begin() async throws {
            guard !isBegun else { return }
            isBegun = true
            begun(frame("in_progress"))
            try await event("response.in_progress", [("response", frame("in_progress"))])
        }
        /// Where in the output: items come one after the other.
        var place = 0
        var text: String?
        var calls: [Int: (place: Int, id: String, name: String, arguments: String)] = [:]
        func at(_ place: Int) -> (String, JSONValue) { ("output_index", .number(JSONNumber(place))) }
        let inMessage: [(String, JSONValue)] = [("item_id", .string(messageID)), ("content_index", 0)]

        func beginText() async throws {
            guard text == nil else { return }
            text = ""
            try await event("response.output_item.added", [at(place), ("item", message(nil, status: "in_progress"))])
            try await event("response.content_part.added", inMessage + [at(place), ("part", part(""))])
        }

        do {
            try await event("response.created", [("response", frame(request.isBackground ? "queued" : "in_progress"))])
            if request.isBackground {
                try await event("response.queued", [("response", frame("queued"))])
            } else {
                try await begin()
            }
            while let piece = try await answering.next() {
                if case .wait = piece.piece {
                    try await tell(ServerSentEvent.ping)
                    continue
                }
                try await begin()
                switch piece.piece {
                case .begun: break
                case .text(let more, let tokens):
                    try await beginText()
                    text = (text ?? "") + more
                    try await event(
                        "response.output_text.delta",
                        inMessage + [at(place), ("delta", .string(more)), ("logprobs", .array(tokens.map(Self.probability)))])
                case .callBegan(let index, let id, let name):
                    calls[index] = (place, id, name, "")
                    try await event("response.output_item.added", [at(place), ("item", call(id: id, name, "", status: "in_progress"))])
                    place += 1
                case .arguments(let index, let more):
                    guard let begun = calls[index] else { break }
                    calls[index]?.arguments += more
                    try await event(
                        "response.function_call_arguments.delta", [("item_id", .string("fc_" + begun.id)), at(begun.place), ("delta", .string(more))])
                case .callEnded(let index):
                    guard let done = calls[index] else { break }
                    try await event(
                        "response.function_call_arguments.done",
                        [("item_id", .string("fc_" + done.id)), at(done.place), ("name", .string(done.name)), ("arguments", .string(done.arguments))])
                    try await event(
                        "response.output_item.done", [at(done.place), ("item", call(id: done.id, done.name, done.arguments, status: "completed"))])
                case .wait: break
                case .end(let answer):
                    if answer.calls.isEmpty { try await beginText() }
                    let status = answer.finishReason == "length" ? "incomplete" : "completed"
                    if let text {
                        let tokens = answer.response.logProbabilities
                        try await event(
                            "response.output_text.done",
                            inMessage + [at(place), ("text", .string(text)), ("logprobs", .array(tokens.map(Self.probability)))])
                        try await event("response.content_part.done", inMessage + [at(place), ("part", part(text, tokens))])
                        try await event("response.output_item.done", [at(place), ("item", message(text, tokens, status: status))])
                    }
                    let response = response(answer)
                    try await ended(response)
                    try await event("response.\(status)", [("response", response)])
                }
            }
            return true
        } catch {
            let isCancelled = !isHeard || error is CancellationError
            let failed = frame("failed", error: Self.told(error))
            var isTaken = true
            do { try await ended(isCancelled ? frame("cancelled") : failed) } catch { isTaken = false }
            if !isHeard { throw error }
            // Who cancelled a response in the background knows.
            if !isCancelled || !request.isBackground { try await event("response.failed", [("response", failed)]) }
            return isTaken
        }
    }

    private static func event(_ type: String, _ number: Int, _ members: [(String, JSONValue)]) -> String {
        let all = [("type", JSONValue.string(type)), ("sequence_number", .number(JSONNumber(number)))] + members
        return ServerSentEvent.text(event: type, data: .object(JSONObject(all.map { .init(key: $0.0, value: $0.1) })))
    }

    /// What a response told that was made in the background, from the event of a number on.
    ///
    /// - Parameter told: All but the last, one behind the other.
    static func events(_ told: String, _ response: JSONValue, from first: Int) -> [String] {
        var events = told.split(separator: "\n\n").map { "\($0)\n\n" }
        let status = response["status"]?.string ?? "failed"
        if status != "cancelled" { events.append(event("response.\(status)", events.count, [("response", response)])) }
        return Array(events.dropFirst(first))
    }
}
