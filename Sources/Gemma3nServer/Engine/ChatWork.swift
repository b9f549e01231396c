internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost

/// What a request asks for, whichever protocol it came in.
struct ChatWork: Sendable {
    var input: AnswerRequest.Input
    var options: ResponseOptions
    /// Answers wanted, each drawn with a seed of its own.
    var count = 1

    init(_ input: AnswerRequest.Input, options: ResponseOptions = ResponseOptions(), calling: ToolCalling? = nil, count: Int = 1) {
        self.input = input
        self.options = options
        if let calling { self.options.tools = calling }
        self.count = count
    }
}

/// A piece of an answer as protocols tell it.
enum AnswerPiece: Sendable {
    /// Work on it begins: what is known of the prompt.
    indirect case begun(ResponseStatistics)
    case text(String, [TokenProbabilities])
    case callBegan(index: Int, id: String, name: String)
    case arguments(index: Int, String)
    case callEnded(index: Int)
    /// Nothing yet, for some time: a sign of life keeps the connection open.
    case wait
    indirect case end(FinishedAnswer)
}

/// A whole answer.
struct FinishedAnswer: Sendable {
    /// Empty where the answer is calls.
    let text: String
    let calls: [ToolCall]
    let response: Response

    /// Of its tokens; 0 where none were asked for.
    var meanLogProbability: Double {
        let tokens = response.logProbabilities
        return tokens.isEmpty ? 0 : tokens.reduce(0.0) { $0 + Double(max($1.chosen.logProbability, -9999)) } / Double(tokens.count)
    }

    /// Why it ended, in the words of the OpenAI protocols.
    var finishReason: String {
        switch response.finishReason {
        case .length, .contextFull: "length"
        case _ where !calls.isEmpty: "tool_calls"
        default: "stop"
        }
    }
}
