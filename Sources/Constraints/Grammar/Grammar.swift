/// A grammar as one graph: nodes with edges over bytes, empty edges, and calls of other rules. A rule is the node it begins at.
///
/// Built once, then never changed. Every node that is left can be reached and can be finished: whatever a matcher has accepted
/// can be completed.
struct Grammar: Sendable {
    struct Edge: Sendable {
        var low: UInt8
        var high: UInt8
        /// What happens to the frame's counter.
        var action: Action
        var target: Int32
    }

    enum Action: UInt8, Sendable { case none, count, checkMinimum }

    struct EmptyEdge: Sendable {
        var target: Int32
        /// Index into `guards`, -1 for none.
        var guardIndex: Int32
    }

    struct Call: Sendable {
        var entry: Int32
        var back: Int32
    }

    /// A condition on a frame's counter, and its change.
    enum Guard: Sendable {
        /// Takes one of a set of members that has not been taken yet. What is still required, and missing to the minimum, must fit below
        /// the maximum.
        case take(bit: Int, required: UInt64, minimum: Int, maximum: Int)
        /// Counts one more that has no bit.
        case takeOther(required: UInt64, minimum: Int, maximum: Int)
        /// All that are required have been taken, and at least `minimum`.
        case done(required: UInt64, minimum: Int)
    }

    struct Node: Sendable {
        var edges: Range<Int32>
        var empty: Range<Int32>
        var calls: Range<Int32>
        /// The rule may end here.
        var isFinal: Bool
        /// Frames that must still be stacked, at least, to finish the rule.
        var need: Int32
        /// Index into `strings` for the body of a string that takes any text; -1 for all others.
        var string: Int32
    }

    /// The length limits of a string body, in code points.
    struct StringLimits: Sendable {
        var minimum: Int
        var maximum: Int?
    }

    let nodes: [Node]
    let edges: [Edge]
    let emptyEdges: [EmptyEdge]
    let calls: [Call]
    let guards: [Guard]
    let strings: [StringLimits]
    let start: Int32
    /// See `ConstraintLimits.nesting`.
    let nesting: Int

    /// Nothing is left to do at this node but to go back to the caller.
    func isEnd(_ node: Int32) -> Bool {
        let node = nodes[Int(node)]
        return node.isFinal && node.edges.isEmpty && node.empty.isEmpty && node.calls.isEmpty
    }

    /// About how much memory it takes, in bytes.
    var byteCount: Int {
        nodes.count * MemoryLayout<Node>.stride + edges.count * MemoryLayout<Edge>.stride + emptyEdges.count * 8 + calls.count * 8
    }
}
