internal import Synchronization

/// What the media of one request may still take.
final class FetchBudget: Sendable {
    private struct State {
        var left: Int
        var begun: Set<String> = []
    }
    private let state: Mutex<State>
    private let bytes: Int

    init(bytes: Int) {
        self.bytes = bytes
        state = Mutex(State(left: bytes))
    }

    func begin(_ url: String) { state.withLock { _ = $0.begun.insert(url) } }
    func hasBegun(_ url: String) -> Bool { state.withLock { $0.begun.contains(url) } }

    /// - Throws: When more is announced than may come.
    func check(_ announced: Int) throws(RemoteMediaError) {
        if announced > state.withLock({ $0.left }) { throw tooLarge }
    }

    /// - Throws: When more came than may.
    func take(_ count: Int) throws(RemoteMediaError) {
        let isEnough = state.withLock { state in
            state.left -= count
            return state.left >= 0
        }
        if !isEnough { throw tooLarge }
    }

    private var tooLarge: RemoteMediaError {
        RemoteMediaError("is too large: a request's media may have \(bytes) bytes together (--remote-media-limit).")
    }
}
