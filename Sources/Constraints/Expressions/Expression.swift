/// A regular expression as a tree.
indirect enum Expression {
    /// The empty text.
    case empty
    case set(ScalarSet)
    case sequence([Expression])
    case alternatives([Expression])
    /// At least `minimum` and at most `maximum` times (nil: any number).
    case repetition(Expression, minimum: Int, maximum: Int?)
    /// `^` and `$`.
    case start, end
    /// `(?=…)` and `(?!…)`.
    case lookahead(Expression, negative: Bool)
}

extension Expression {
    /// The language of the expression as an automaton over UTF-8.
    ///
    /// - Parameter anywhere: Whether it is enough that a part of the text matches, as `pattern` in JSON Schema means it; otherwise the
    ///   whole text must.
    /// - Throws: `tooComplex`, and `unsupported` for a lookahead that is not at the beginning.
    func automaton(anywhere: Bool, limits: ConstraintLimits) throws(ConstraintError) -> ByteAutomaton {
        var (lookaheads, rest) = leadingLookaheads(anchored: !anywhere)
        var result = try rest.plainAutomaton(anywhere: anywhere, limits: limits)
        while let (body, negative) = lookaheads.popLast() {
            let ahead = try Expression.sequence([.start, body]).plainAutomaton(anywhere: true, limits: limits)
            result = try result.combined(negative ? .minus : .and, ahead, limit: limits.automatonStates)
        }
        return result
    }

    /// The lookaheads in front of everything else, and the expression without them. They are only taken where the text is known to
    /// begin.
    private func leadingLookaheads(anchored: Bool) -> (lookaheads: [(Expression, Bool)], rest: Expression) {
        guard case .sequence(let parts) = self else { return ([], self) }
        var rest: [Expression] = []
        var anchored = anchored
        var i = 0
        if case .start = parts[0] {
            anchored = true
            rest.append(.start)
            i = 1
        }
        var lookaheads: [(Expression, Bool)] = []
        while anchored, i < parts.count, case .lookahead(let body, let negative) = parts[i] {
            lookaheads.append((body, negative))
            i += 1
        }
        return (lookaheads, .sequence(rest + parts[i...]))
    }

    private func plainAutomaton(anywhere: Bool, limits: ConstraintLimits) throws(ConstraintError) -> ByteAutomaton {
        var graph = ByteGraph(limit: 4 * limits.automatonStates)
        let start = try graph.addNode()
        var from = start
        if anywhere {
            let loop = try graph.addNode()
            graph.connect(start, to: loop)
            try graph.connect(loop, .all, to: loop)
            from = loop
        }
        let matched = try build(in: &graph, from: from, depth: 0)
        let end = try graph.addNode()
        graph.connect(matched, to: end)
        if anywhere { try graph.connect(end, .all, to: end) }
        return try ByteAutomaton(graph, start: start, end: end, limit: limits.automatonStates)
    }

    /// Adds the expression behind a node and gives the node after it.
    private func build(in graph: inout ByteGraph, from: Int32, depth: Int) throws(ConstraintError) -> Int32 {
        switch self {
        case .empty:
            return from
        case .set(let set):
            let to = try graph.addNode()
            try graph.connect(from, set, to: to)
            return to
        case .sequence(let parts):
            var node = from
            for part in parts { node = try part.build(in: &graph, from: node, depth: depth + 1) }
            return node
        case .alternatives(let choices):
            let to = try graph.addNode()
            for choice in choices {
                let first = try graph.addNode()
                graph.connect(from, to: first)
                graph.connect(try choice.build(in: &graph, from: first, depth: depth + 1), to: to)
            }
            return to
        case .repetition(let body, let minimum, let maximum):
            var node = from
            for _ in 0..<minimum {
                let next = try graph.addNode()
                graph.connect(try body.build(in: &graph, from: node, depth: depth + 1), to: next)
                node = next
            }
            guard let maximum else {
                let loop = try graph.addNode()
                graph.connect(node, to: loop)
                graph.connect(try body.build(in: &graph, from: loop, depth: depth + 1), to: loop)
                return loop
            }
            let to = try graph.addNode()
            for _ in minimum..<max(maximum, minimum) {
                graph.connect(node, to: to)
                let next = try graph.addNode()
                graph.connect(try body.build(in: &graph, from: node, depth: depth + 1), to: next)
                node = next
            }
            graph.connect(node, to: to)
            return to
        case .start, .end:
            let to = try graph.addNode()
            if case .start = self { graph.connect(from, to: to, .atStart) } else { graph.connect(from, to: to, .atEnd) }
            return to
        case .lookahead:
            throw ConstraintError(.unsupported, "a lookahead is supported only at the beginning of an expression, behind '^'.")
        }
    }
}
