/// Collects nodes and edges, then drops what cannot be reached or finished.
struct GrammarBuilder {
    private struct Node {
        var edges: [Grammar.Edge] = []
        var empty: [Grammar.EmptyEdge] = []
        var calls: [Grammar.Call] = []
        var isFinal = false
        var string: Int32 = -1
        /// Rules that have been called before this node is reached: it cannot be finished unless they can.
        var required: [Int32] = []
        /// At least so many frames are needed to finish the rule, whatever the edges say.
        var need = 0
    }

    private var nodes: [Node] = []
    private var guards: [Grammar.Guard] = []
    private var strings: [Grammar.StringLimits] = []
    private let limits: ConstraintLimits

    init(limits: ConstraintLimits) { self.limits = limits }

    mutating func addNode() throws(ConstraintError) -> Int32 {
        guard nodes.count < limits.nodes else {
            throw ConstraintError(
                .tooComplex, "the grammar takes more than \(limits.nodes) nodes. Large repetitions (minItems, maxItems, {n,m}) cost most.")
        }
        nodes.append(Node())
        return Int32(truncatingIfNeeded: nodes.count - 1)
    }

    mutating func connect(_ from: Int32, _ low: UInt8, _ high: UInt8, to target: Int32, _ action: Grammar.Action = .none) {
        nodes[Int(from)].edges.append(Grammar.Edge(low: low, high: high, action: action, target: target))
    }

    mutating func connect(_ from: Int32, to target: Int32, _ condition: Grammar.Guard? = nil) {
        var index: Int32 = -1
        if let condition {
            index = Int32(truncatingIfNeeded: guards.count)
            guards.append(condition)
        }
        nodes[Int(from)].empty.append(Grammar.EmptyEdge(target: target, guardIndex: index))
    }

    /// From a node through the rule at `entry` to a new node.
    mutating func call(_ from: Int32, _ entry: Int32) throws(ConstraintError) -> Int32 {
        let back = try addNode()
        call(from, entry, back: back)
        return back
    }

    mutating func call(_ from: Int32, _ entry: Int32, back: Int32) {
        nodes[Int(from)].calls.append(Grammar.Call(entry: entry, back: back))
    }

    /// From a node through a text to a new node (the same one for an empty text).
    mutating func literal(_ from: Int32, _ bytes: [UInt8]) throws(ConstraintError) -> Int32 {
        var node = from
        for byte in bytes {
            let next = try addNode()
            connect(node, byte, byte, to: next)
            node = next
        }
        return node
    }

    mutating func markFinal(_ node: Int32) { nodes[Int(node)].isFinal = true }

    /// Says that a node is only reached after calls of a rule that its edges do not show.
    mutating func require(_ entry: Int32, at node: Int32) { nodes[Int(node)].required.append(entry) }

    mutating func markString(_ node: Int32, _ limits: Grammar.StringLimits) {
        nodes[Int(node)].string = Int32(truncatingIfNeeded: strings.count)
        strings.append(limits)
    }

    /// From a node through the language of an automaton to a node.
    ///
    /// - Parameter marksText: Whether states that any text may follow are marked, so that their masks cost nothing.
    mutating func embed(_ automaton: ByteAutomaton, from: Int32, to end: Int32, marksText: Bool = false) throws(ConstraintError) {
        if automaton.isEmpty { return }
        var names: [Int32] = []
        for _ in 0..<automaton.stateCount { names.append(try addNode()) }
        connect(from, to: names[0])
        for state in 0..<automaton.stateCount {
            automaton.forEachRange(Int32(state)) { low, high, target in connect(names[state], low, high, to: names[Int(target)]) }
            if automaton.accepting[state] { connect(names[state], to: end) }
            if marksText, automaton.acceptsEverything(after: Int32(state)) {
                markString(names[state], Grammar.StringLimits(minimum: 0, maximum: nil))
            }
        }
    }

    /// Copies a finished grammar; gives the node it begins at.
    mutating func embed(_ grammar: Grammar) throws(ConstraintError) -> Int32 {
        let (firstNode, firstGuard, firstString) = (Int32(truncatingIfNeeded: nodes.count), guards.count, strings.count)
        guards += grammar.guards
        strings += grammar.strings
        for node in grammar.nodes {
            let copy = try addNode()
            for e in node.edges {
                let edge = grammar.edges[Int(e)]
                connect(copy, edge.low, edge.high, to: firstNode + edge.target, edge.action)
            }
            for e in node.empty {
                let edge = grammar.emptyEdges[Int(e)]
                let guardIndex = edge.guardIndex < 0 ? -1 : Int32(truncatingIfNeeded: firstGuard) + edge.guardIndex
                nodes[Int(copy)].empty.append(Grammar.EmptyEdge(target: firstNode + edge.target, guardIndex: guardIndex))
            }
            for c in node.calls {
                let call = grammar.calls[Int(c)]
                self.call(copy, firstNode + call.entry, back: firstNode + call.back)
            }
            nodes[Int(copy)].isFinal = node.isFinal
            nodes[Int(copy)].need = Int(node.need)
            if node.string >= 0 { nodes[Int(copy)].string = Int32(truncatingIfNeeded: firstString) + node.string }
        }
        return firstNode + grammar.start
    }

    // MARK: Finishing

    /// - Throws: `contradictory` if no text is accepted; `unsupported` if a rule begins with itself.
    func finish(start: Int32) throws(ConstraintError) -> Grammar {
        let needs = needs()
        guard needs[Int(start)] != .max, needs[Int(start)] <= limits.nesting else {
            throw ConstraintError(
                .contradictory,
                needs[Int(start)] == .max
                    ? "nothing fits: the rules contradict one another, or never come to an end."
                    : "the shortest answer is nested more than \(limits.nesting) deep.")
        }
        // Reached from the start, over useful nodes only.
        var names = [Int32](repeating: -1, count: nodes.count)
        var order: [Int] = []
        /// The node itself, or where it leads if that is all it does.
        func forward(_ node: Int32) -> Int32 {
            var node = node
            while needs[Int(node)] != .max {
                let content = nodes[Int(node)]
                guard !content.isFinal, content.edges.isEmpty, content.calls.isEmpty, content.empty.count == 1, content.string < 0,
                    content.required.isEmpty, content.empty[0].guardIndex < 0
                else { break }
                node = content.empty[0].target
            }
            return node
        }
        func reach(_ node: Int32) {
            let node = forward(node)
            if names[Int(node)] < 0, needs[Int(node)] != .max {
                names[Int(node)] = Int32(truncatingIfNeeded: order.count)
                order.append(Int(node))
            }
        }
        reach(start)
        var i = 0
        while i < order.count {
            let node = nodes[order[i]]
            for edge in node.edges { reach(edge.target) }
            for edge in node.empty { reach(edge.target) }
            for call in node.calls where needs[Int(call.entry)] != .max && needs[Int(call.back)] != .max {
                reach(call.entry)
                reach(call.back)
            }
            i += 1
        }
        var kept: [Grammar.Node] = []
        kept.reserveCapacity(order.count)
        var edges: [Grammar.Edge] = []
        var empty: [Grammar.EmptyEdge] = []
        var calls: [Grammar.Call] = []
        for old in order {
            let node = nodes[old]
            let (firstEdge, firstEmpty, firstCall) = (edges.count, empty.count, calls.count)
            for edge in node.edges where names[Int(forward(edge.target))] >= 0 {
                edges.append(Grammar.Edge(low: edge.low, high: edge.high, action: edge.action, target: names[Int(forward(edge.target))]))
            }
            for edge in node.empty where names[Int(forward(edge.target))] >= 0 {
                empty.append(Grammar.EmptyEdge(target: names[Int(forward(edge.target))], guardIndex: edge.guardIndex))
            }
            for call in node.calls where names[Int(forward(call.entry))] >= 0 && names[Int(forward(call.back))] >= 0 {
                calls.append(Grammar.Call(entry: names[Int(forward(call.entry))], back: names[Int(forward(call.back))]))
            }
            kept.append(
                Grammar.Node(
                    edges: Int32(firstEdge)..<Int32(edges.count), empty: Int32(firstEmpty)..<Int32(empty.count),
                    calls: Int32(firstCall)..<Int32(calls.count), isFinal: node.isFinal, need: Int32(max(needs[old], node.need)), string: node.string))
        }
        let grammar = Grammar(
            nodes: kept, edges: edges, emptyEdges: empty, calls: calls, guards: guards, strings: strings, start: 0,
            nesting: limits.nesting)
        try grammar.refuseLeftRecursion()
        return grammar
    }

    /// For each node the least number of frames that must be stacked to finish its rule; `Int.max` if it cannot be finished.
    private func needs() -> [Int] {
        var needs = [Int](repeating: .max, count: nodes.count)
        // Who can be better off when a node's need becomes smaller, and through which of its calls (-1: an edge).
        var dependents = [[(node: Int32, call: Int32)]](repeating: [], count: nodes.count)
        var work: [Int] = []
        for i in 0..<nodes.count {
            let name = Int32(truncatingIfNeeded: i)
            for edge in nodes[i].edges { dependents[Int(edge.target)].append((name, -1)) }
            for edge in nodes[i].empty { dependents[Int(edge.target)].append((name, -1)) }
            for (c, call) in nodes[i].calls.enumerated() {
                dependents[Int(call.entry)].append((name, Int32(truncatingIfNeeded: c)))
                dependents[Int(call.back)].append((name, Int32(truncatingIfNeeded: c)))
            }
            for node in nodes[i].required { dependents[Int(node)].append((name, -1)) }
            if nodes[i].isFinal {
                needs[i] = 0
                work.append(i)
            }
        }
        // Round by round, so that most nodes get their final value at once.
        while !work.isEmpty {
            var changed: [Int] = []
            for node in work {
                for (dependent, c) in dependents[node] {
                    let i = Int(dependent)
                    var need = needs[node]
                    if !nodes[i].required.isEmpty {
                        need = needAfterRequired(nodes[i], needs)
                    } else if c >= 0 {
                        let call = nodes[i].calls[Int(c)]
                        let (inside, after) = (needs[Int(call.entry)], needs[Int(call.back)])
                        if inside == .max || after == .max { continue }
                        need = max(inside + 1, after)
                    }
                    if need < needs[i] {
                        needs[i] = need
                        changed.append(i)
                    }
                }
            }
            work = changed
        }
        return needs
    }

    private func needAfterRequired(_ node: Node, _ needs: [Int]) -> Int {
        var need = Int.max
        for edge in node.empty { need = min(need, needs[Int(edge.target)]) }
        for rule in node.required { need = max(need, needs[Int(rule)] == .max ? .max : needs[Int(rule)] + 1) }
        return need
    }
}
