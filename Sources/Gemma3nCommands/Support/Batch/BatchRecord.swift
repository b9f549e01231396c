internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost

/// What comes of a line: one line of JSON.
struct BatchRecord: Sendable {
    /// The input line's, from 1.
    let line: Int
    let id: JSONValue
    let result: Result<Response, BatchFailure>

    var isFailure: Bool { if case .failure = result { true } else { false } }

    /// Nothing in it depends on time or on what was computed beside it.
    var json: JSONValue {
        let head: [JSONObject.Member] = [.init(key: "line", value: .number(JSONNumber(line))), .init(key: "id", value: id)]
        switch result {
        case .success(let response):
            let (prompt, answer) = (response.statistics.promptTokens, response.statistics.responseTokens)
            return .object(JSONObject(head + [
                .init(key: "text", value: .string(response.content)),
                .init(key: "finish_reason", value: .string(response.finishReason.rawValue)),
                .init(
                    key: "usage",
                    value: [
                        "prompt_tokens": .number(JSONNumber(prompt)), "completion_tokens": .number(JSONNumber(answer)),
                        "total_tokens": .number(JSONNumber(prompt + answer)),
                    ]),
            ]))
        case .failure(let failure):
            return .object(JSONObject(head + [
                .init(key: "error", value: ["code": .string(failure.code), "message": .string(failure.message)])
            ]))
        }
    }
}
