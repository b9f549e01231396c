internal import Synchronization

/// What came in and went out, counted since the server began.
final class HTTPFigures: Sendable {
    struct Key: Hashable, Comparable {
        let route: String
        let method: String
        let status: Int

        static func < (a: Key, b: Key) -> Bool { (a.route, a.method, a.status) < (b.route, b.method, b.status) }
    }
    struct Counted {
        var requests: [Key: Int] = [:]
        var seconds: [String: Histogram] = [:]
        var underWay = 0
        var cancelled = 0
        var bytesIn = 0
    }
    private let state = Mutex(Counted())

    var counted: Counted { state.withLock { $0 } }

    func begin() { state.withLock { $0.underWay += 1 } }

    func end(route: String, method: String, status: Int, seconds: Double, bytesIn: Int, cancelled: Bool) {
        state.withLock { state in
            state.underWay -= 1
            state.requests[Key(route: route, method: method, status: status), default: 0] += 1
            state.seconds[route, default: Histogram()].add(seconds)
            state.bytesIn += bytesIn
            if cancelled { state.cancelled += 1 }
        }
    }
}

/// Times, counted by how long they were at most.
struct Histogram: Sendable {
    static let bounds = [0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300]
    private(set) var counts = [Int](repeating: 0, count: bounds.count)
    private(set) var count = 0
    private(set) var sum = 0.0

    mutating func add(_ value: Double) {
        count += 1
        sum += value
        for (index, bound) in Self.bounds.enumerated() where value <= bound { counts[index] += 1 }
    }
}
