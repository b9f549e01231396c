internal import Gemma3n

/// What the model is to answer.
enum SessionTurn: Sendable {
    case prompt(Prompt)
    case toolOutputs([ToolOutput])

    var entries: [Transcript.Entry] {
        switch self {
        case .prompt(let prompt): [.prompt(prompt)]
        case .toolOutputs(let outputs): outputs.map { .toolOutput($0) }
        }
    }
}

extension Transcript.Entry {
    /// What an answer leaves behind.
    init(_ response: Response) {
        self = response.finishReason == .toolCalls ? .toolCalls(response.toolCalls) : .response(response.written ?? response.content)
    }
}
