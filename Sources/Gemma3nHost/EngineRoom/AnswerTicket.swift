internal import Gemma3n

/// A request on its way through an engine room, and how its answer gets out.
final class AnswerTicket: Sendable {
    let answer: AnswerRequest
    /// How it is told to stop.
    let request = ResponseRequest()
    let arrival = ContinuousClock.now
    private let continuation: AsyncThrowingStream<AnswerEvent, any Error>.Continuation

    init(_ answer: AnswerRequest, _ continuation: AsyncThrowingStream<AnswerEvent, any Error>.Continuation) {
        self.answer = answer
        self.continuation = continuation
    }

    var isStopped: Bool { request.isStopped }

    /// Since it arrived.
    var seconds: Double { arrival.duration(to: .now) / .seconds(1) }

    /// Work on it begins.
    func begin(_ statistics: ResponseStatistics) {
        continuation.yield(AnswerEvent(text: "", logProbabilities: [], tokenCount: 0, beginning: statistics, response: nil))
    }

    func emit(_ token: GeneratedToken, count: Int) {
        let probabilities = token.logProbability.map { [TokenProbabilities(chosen: $0, top: token.topLogProbabilities, text: token.text)] }
        if token.text.isEmpty, probabilities == nil { return }
        continuation.yield(AnswerEvent(text: token.text, logProbabilities: probabilities ?? [], tokenCount: count, beginning: nil, response: nil))
    }

    /// - Parameter rest: Text that became certain with the end.
    func finish(_ result: Result<Response, SessionError>, rest: String = "") {
        switch result {
        case .success(let response):
            continuation.yield(AnswerEvent(text: rest, logProbabilities: [], tokenCount: response.tokens.count, beginning: nil, response: response))
            continuation.finish()
        case .failure(let error): continuation.finish(throwing: error)
        }
    }
}
