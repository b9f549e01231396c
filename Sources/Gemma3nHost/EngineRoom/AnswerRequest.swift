/// One request to an `EngineRoom`: everything that an answer depends on.
public struct AnswerRequest: Sendable {
    /// What is to be answered or continued.
    public enum Input: Sendable {
        /// A whole conversation; the model's turn follows. A trailing assistant message is a beginning that the model continues.
        case messages([MessageInput])
        /// Text as it is, after the token that begins a sequence. Names of special tokens in it are text.
        case text(String)
        /// Token ids as they are.
        case tokens([Int32])
    }

    public var input: Input
    public var options: ResponseOptions
    /// What logs call it.
    public var id: String
    /// Only requests of one scope begin with what was computed for each other, and share what media were encoded to: the time that an
    /// answer takes would tell callers what others asked. Nil is a scope, too.
    public var cacheScope: String?

    public init(_ input: Input, options: ResponseOptions = ResponseOptions(), id: String = "", cacheScope: String? = nil) {
        self.input = input
        self.options = options
        self.id = id
        self.cacheScope = cacheScope
    }
}

/// A piece of an answer.
public struct AnswerEvent: Sendable {
    /// Text that became certain; whole characters only.
    public let text: String
    /// Of the tokens that came since the last event, where `ResponseOptions.topLogProbabilities` was set.
    public let logProbabilities: [TokenProbabilities]
    /// Tokens of the answer so far.
    public let tokenCount: Int
    /// What is known when the work begins, in the first event only: the tokens of the prompt.
    public let beginning: ResponseStatistics?
    /// The whole answer, in the last event only.
    public let response: Response?
}

/// An answer as it comes: an `AsyncSequence` of pieces, none of them lost. The last one holds the response.
///
/// Ending the loop early, dropping the stream, or cancelling the task that reads ends the answer within one step.
public struct AnswerStream: AsyncSequence, Sendable {
    public typealias Element = AnswerEvent

    let stream: AsyncThrowingStream<AnswerEvent, any Error>
    let ticket: AnswerTicket
    let core: EngineCore

    public func makeAsyncIterator() -> AsyncThrowingStream<AnswerEvent, any Error>.Iterator { stream.makeAsyncIterator() }

    /// Ends the answer after the token being made; what was said stands, with the finish reason `cancelled`.
    public func stop() {
        ticket.request.stop()
        core.withdraw(ticket)
    }

    /// Waits for the whole answer.
    ///
    /// - Throws: `SessionError`; `CancellationError` if the task is cancelled.
    public func collect() async throws -> Response {
        for try await event in stream {
            if let response = event.response { return response }
        }
        throw CancellationError()
    }
}
