internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost
internal import Tokenization

/// What answers cost, in tokens. The prompt counts once.
enum OpenAIUsage {
    static func chat(_ answers: [FinishedAnswer]) -> JSONValue {
        let statistics = answers.first?.response.statistics ?? ResponseStatistics()
        let prompt = statistics.promptTokens
        let (images, sounds) = (statistics.promptImageTokens, statistics.promptAudioTokens)
        let completion = answers.reduce(0) { $0 + $1.response.statistics.responseTokens }
        return [
            "prompt_tokens": .number(JSONNumber(prompt)), "completion_tokens": .number(JSONNumber(completion)),
            "total_tokens": .number(JSONNumber(prompt + completion)),
            "prompt_tokens_details": [
                "cached_tokens": .number(JSONNumber(statistics.cachedTokens)), "audio_tokens": .number(JSONNumber(sounds)),
                "image_tokens": .number(JSONNumber(images)), "text_tokens": .number(JSONNumber(prompt - images - sounds)),
            ],
            "completion_tokens_details": [
                "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
            ],
        ]
    }
}

/// Tokens beside how likely they were.
enum TokenText {
    /// Text, logarithm, and the bytes themselves: a token may be part of a character.
    static func json(_ token: TokenLogProbability, _ desk: Desk) -> JSONValue {
        let bytes = desk.model.model.tokenizer.bytes(of: token.token)
        return [
            "token": .string(String(decoding: bytes, as: UTF8.self)), "logprob": number(token.logProbability),
            "bytes": .array(bytes.map { .number(JSONNumber(Int($0))) }),
        ]
    }

    /// JSON has no infinity.
    static func number(_ value: Float) -> JSONValue { .number(JSONNumber(Double(max(value, -9999)))) }
}
