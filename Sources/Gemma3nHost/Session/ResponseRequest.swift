internal import Synchronization

/// One answer under way: how it is told to stop.
final class ResponseRequest: Sendable {
    private let stopped = Atomic<Bool>(false)
    private let onStop = Mutex<(@Sendable () -> Void)?>(nil)

    func stop() {
        stopped.store(true, ordering: .relaxed)
        onStop.withLock { body in
            defer { body = nil }
            return body
        }?()
    }

    /// Calls `body` once when the answer is told to stop, at once if it was; instead of what was to be called before.
    func whenStopped(_ body: (@Sendable () -> Void)?) {
        onStop.withLock { $0 = body }
        if isStopped { stop() }
    }

    var isStopped: Bool { stopped.load(ordering: .relaxed) }
}
