internal import Checkpoint
internal import Synchronization

/// An answer that is made whether or not anybody waits for it, and what it has told so far.
final class BackgroundRun: Sendable {
    let writer: ResponsesWriter
    /// Closed to end the answer.
    let connection = Connection()

    private struct State {
        var response: JSONValue
        /// Kept for those who come later, where the response was asked for as a stream.
        var events: [String] = []
        var followers: [Int: AsyncStream<String>.Continuation] = [:]
        var followerCount = 0
        var isEnded = false
    }
    private let state: Mutex<State>

    init(_ writer: ResponsesWriter) {
        self.writer = writer
        state = Mutex(State(response: writer.frame("queued")))
    }

    /// As it is now.
    var response: JSONValue {
        get { state.withLock { $0.response } }
        set { state.withLock { $0.response = newValue } }
    }

    /// All events so far, where it was asked for as a stream.
    var told: String? { writer.request.streams ? state.withLock { $0.events.joined() } : nil }
    var isEnded: Bool { state.withLock { $0.isEnded } }

    /// Tells the followers, and those to come.
    func send(_ text: String) {
        state.withLock { state in
            // A sign of life is for those who listen now.
            if writer.request.streams, text != ServerSentEvent.ping { state.events.append(text) }
            for follower in state.followers.values { follower.yield(text) }
        }
    }

    /// What is told from the event of a number on, to the end or until the connection closes.
    func follow(from number: Int, _ connection: Connection) -> AsyncStream<String> {
        let (stream, continuation) = AsyncStream<String>.makeStream()
        state.withLock { state in
            for event in state.events.dropFirst(number) { continuation.yield(event) }
            if state.isEnded { return continuation.finish() }
            let follower = state.followerCount
            state.followerCount += 1
            state.followers[follower] = continuation
        }
        connection.whenClosed { continuation.finish() }
        connection.whenCutOff { continuation.finish() }
        return stream
    }

    /// Nothing more comes.
    func close() {
        let followers = state.withLock { state in
            state.isEnded = true
            defer { state.followers = [:] }
            return state.followers.values
        }
        for follower in followers { follower.finish() }
    }
}
