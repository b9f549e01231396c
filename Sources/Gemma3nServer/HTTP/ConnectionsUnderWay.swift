internal import Synchronization

/// The connections whose requests are being answered.
final class ConnectionsUnderWay: Sendable {
    private struct State {
        var connections: [ObjectIdentifier: Connection] = [:]
        var isCutOff = false
    }
    private let state = Mutex(State())

    func add(_ connection: Connection) {
        let isCutOff = state.withLock { state in
            state.connections[ObjectIdentifier(connection)] = connection
            return state.isCutOff
        }
        if isCutOff { connection.cutOff() }
    }

    func remove(_ connection: Connection) { state.withLock { $0.connections[ObjectIdentifier(connection)] = nil } }

    /// Ends answers under way, and those to come.
    ///
    /// - Returns: How many there were.
    func cutOff() -> Int {
        let connections = state.withLock { state in
            state.isCutOff = true
            return Array(state.connections.values)
        }
        for connection in connections { connection.cutOff() }
        return connections.count
    }
}
