internal import Synchronization

/// So many may be inside at once; others wait in order.
final class FetchPlaces: Sendable {
    private struct State {
        var free: Int
        var next = 0
        var waiting: [(id: Int, continuation: CheckedContinuation<Bool, Never>)] = []
        /// Those whose tasks were cancelled before they began to wait.
        var cancelled: Set<Int> = []
    }
    private let state: Mutex<State>

    init(_ count: Int) { state = Mutex(State(free: count)) }

    /// - Throws: What the body throws; `CancellationError` if the task is cancelled while it waits.
    func withPlace<Result: Sendable>(_ body: @Sendable () async throws -> Result) async throws -> Result {
        try await enter()
        defer { leave() }
        return try await body()
    }

    private func enter() async throws {
        let id = state.withLock { state in
            state.next += 1
            return state.next
        }
        let isIn = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Bool? = state.withLock { state in
                    if state.cancelled.remove(id) != nil { return false }
                    if state.free > 0 {
                        state.free -= 1
                        return true
                    }
                    state.waiting.append((id, continuation))
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let continuation: CheckedContinuation<Bool, Never>? = state.withLock { state in
                if let place = state.waiting.firstIndex(where: { $0.id == id }) { return state.waiting.remove(at: place).continuation }
                state.cancelled.insert(id)
                return nil
            }
            continuation?.resume(returning: false)
        }
        state.withLock { _ = $0.cancelled.remove(id) }
        if !isIn { throw CancellationError() }
    }

    private func leave() {
        let continuation: CheckedContinuation<Bool, Never>? = state.withLock { state in
            if state.waiting.isEmpty {
                state.free += 1
                return nil
            }
            return state.waiting.removeFirst().continuation
        }
        continuation?.resume(returning: true)
    }
}
