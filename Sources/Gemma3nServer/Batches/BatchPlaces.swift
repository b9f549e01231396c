internal import Gemma3nHost
internal import Synchronization

/// Where lines of batches are answered: in the engine room, in places that nobody else wants. They begin while enough are free, and end
/// when a user's request needs one.
final class BatchPlaces: Sendable {
    private struct State {
        /// The oldest first.
        var running: [Connection] = []
    }

    private let room: EngineRoom
    /// Lines at once.
    let limit: Int
    /// Places in the room that lines leave free.
    private let spare: Int
    private let state = Mutex(State())

    init(_ room: EngineRoom, limit: Int?) {
        let places = room.limits.maximumRunning
        self.room = room
        self.limit = limit ?? max(1, places / 4)
        spare = places > 1 ? max(1, places / 4) : 0
    }

    var running: Int { state.withLock { $0.running.count } }

    /// Waits for a place. It is given up by `leave`, or when the connection is closed because a user's request needs it.
    ///
    /// - Returns: False if it was no longer wanted before one was free.
    func enter(_ connection: Connection, while isWanted: () -> Bool) async -> Bool {
        while isWanted() {
            if tryEnter(connection) { return true }
            try? await Task.sleep(for: .milliseconds(10))
        }
        return false
    }

    private func tryEnter(_ connection: Connection) -> Bool {
        state.withLock { state in
            let figures = room.figures
            // A line that entered may not have reached the room yet.
            let taken = max(figures.running, state.running.count)
            guard state.running.count < limit, figures.queued == 0, taken < room.limits.maximumRunning - spare else { return false }
            state.running.append(connection)
            return true
        }
    }

    func leave(_ connection: Connection) { state.withLock { $0.running.removeAll { $0 === connection } } }

    /// A user's request comes, for so many answers: lines end until there is room for it and for the next one.
    func makeRoom(for count: Int) {
        guard running > 0 else { return }
        let figures = room.figures
        let missing = figures.running + figures.queued + count + spare - room.limits.maximumRunning
        guard missing > 0 else { return }
        // The youngest have least to lose.
        let ending = state.withLock { state in
            let ending = Array(state.running.suffix(missing))
            state.running.removeLast(ending.count)
            return ending
        }
        for connection in ending { connection.close() }
    }
}
