extension Grammar {
    /// A rule that calls itself before taking a byte could be stacked for ever, unless nothing comes after the call.
    ///
    /// - Throws: `unsupported` if there is one.
    func refuseLeftRecursion() throws(ConstraintError) {
        let nullable = nullableNodes()
        let components = silentComponents(nullable)
        for i in 0..<nodes.count {
            for c in nodes[i].calls {
                let call = calls[Int(c)]
                if components[i] == components[Int(call.entry)], !isEnd(call.back) {
                    throw ConstraintError(
                        .unsupported, "a rule begins with itself (left recursion); write the repetition with * or put the recursion last.")
                }
            }
        }
    }

    /// Which nodes can reach the end of their rule without a byte.
    private func nullableNodes() -> [Bool] {
        var nullable = [Bool](repeating: false, count: nodes.count)
        var dependents = [[Int32]](repeating: [], count: nodes.count)
        var work: [Int] = []
        for i in 0..<nodes.count {
            let name = Int32(truncatingIfNeeded: i)
            for e in nodes[i].empty { dependents[Int(emptyEdges[Int(e)].target)].append(name) }
            for c in nodes[i].calls {
                dependents[Int(calls[Int(c)].entry)].append(name)
                dependents[Int(calls[Int(c)].back)].append(name)
            }
            if nodes[i].isFinal {
                nullable[i] = true
                work.append(i)
            }
        }
        while let node = work.popLast() {
            for dependent in dependents[node] where !nullable[Int(dependent)] {
                let i = Int(dependent)
                if nodes[i].empty.contains(where: { nullable[Int(emptyEdges[Int($0)].target)] })
                    || nodes[i].calls.contains(where: { nullable[Int(calls[Int($0)].entry)] && nullable[Int(calls[Int($0)].back)] })
                {
                    nullable[i] = true
                    work.append(i)
                }
            }
        }
        return nullable
    }

    /// The strongly connected component of each node over steps that take no byte (Tarjan 1972, without recursion).
    private func silentComponents(_ nullable: [Bool]) -> [Int32] {
        var components = [Int32](repeating: -1, count: nodes.count)
        var order = [Int32](repeating: -1, count: nodes.count)
        var lowest = [Int32](repeating: 0, count: nodes.count)
        var open: [Int] = []
        var path: [(node: Int, step: Int)] = []
        var seen: Int32 = 0
        for root in 0..<nodes.count where order[root] < 0 {
            path.append((root, 0))
            while let (node, step) = path.last {
                if step == 0 {
                    order[node] = seen
                    lowest[node] = seen
                    seen += 1
                    open.append(node)
                }
                path[path.count - 1].step += 1
                if let target = silentStep(node, step, nullable) {
                    if target < 0 { continue }
                    if order[target] < 0 {
                        path.append((target, 0))
                    } else if components[target] < 0 {
                        lowest[node] = min(lowest[node], order[target])
                    }
                    continue
                }
                path.removeLast()
                if let parent = path.last { lowest[parent.node] = min(lowest[parent.node], lowest[node]) }
                if lowest[node] == order[node] {
                    while let member = open.popLast() {
                        components[member] = order[node]
                        if member == node { break }
                    }
                }
            }
        }
        return components
    }

    /// The `step`-th way on from a node without a byte: nil when there are no more, -1 where the way is closed.
    private func silentStep(_ index: Int, _ step: Int, _ nullable: [Bool]) -> Int? {
        let node = nodes[index]
        if step < node.empty.count { return Int(emptyEdges[Int(node.empty.lowerBound) + step].target) }
        let rest = step - node.empty.count
        guard rest < 2 * node.calls.count else { return nil }
        let call = calls[Int(node.calls.lowerBound) + rest / 2]
        if rest % 2 == 0 { return Int(call.entry) }
        return nullable[Int(call.entry)] ? Int(call.back) : -1
    }
}
