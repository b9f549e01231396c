/// A nondeterministic automaton over bytes, as regular expressions become one: edges over byte ranges, empty edges, and
/// empty edges that only count at the start or at the end of the text.
struct ByteGraph {
    enum Condition: UInt8 { case none, atStart, atEnd }

    struct Edge {
        var low: UInt8
        var high: UInt8
        var target: Int32
    }

    struct EmptyEdge {
        var target: Int32
        var condition: Condition
    }

    var edges: [[Edge]] = []
    var empty: [[EmptyEdge]] = []
    let limit: Int

    init(limit: Int) { self.limit = limit }

    mutating func addNode() throws(ConstraintError) -> Int32 {
        guard edges.count < limit else {
            throw ConstraintError(.tooComplex, "an expression takes more than \(limit) nodes; use shorter repetitions.")
        }
        edges.append([])
        empty.append([])
        return Int32(truncatingIfNeeded: edges.count - 1)
    }

    mutating func connect(_ from: Int32, _ low: UInt8, _ high: UInt8, to target: Int32) {
        edges[Int(from)].append(Edge(low: low, high: high, target: target))
    }

    mutating func connect(_ from: Int32, to target: Int32, _ condition: Condition = .none) {
        empty[Int(from)].append(EmptyEdge(target: target, condition: condition))
    }

    /// Connects two nodes over every character of a set, in UTF-8.
    mutating func connect(_ from: Int32, _ set: ScalarSet, to target: Int32) throws(ConstraintError) {
        // Nodes for the rest of a sequence are shared: (lows and highs of the bytes to come) to node.
        var shared: [[UInt8]: Int32] = [:]
        for range in set.utf8Ranges() {
            var next = target
            var i = range.count - 1
            while i > 0 {
                let key = range[i...].flatMap { [$0.low, $0.high] }
                if let node = shared[key] {
                    next = node
                } else {
                    let node = try addNode()
                    connect(node, range[i].low, range[i].high, to: next)
                    shared[key] = node
                    next = node
                }
                i -= 1
            }
            connect(from, range[0].low, range[0].high, to: next)
        }
    }
}
