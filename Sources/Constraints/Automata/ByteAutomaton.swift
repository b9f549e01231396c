/// A deterministic automaton over bytes without useless states: every state can be reached, and from every state a text is
/// accepted. The empty language has no states.
struct ByteAutomaton {
    /// The class of each byte; bytes of one class lead the same way from every state.
    let classes: [UInt8]
    let classCount: Int
    /// State after (state, class), -1 for none. State 0 is the first.
    private(set) var next: [Int32]
    private(set) var accepting: [Bool]

    var stateCount: Int { accepting.count }
    var isEmpty: Bool { accepting.isEmpty }

    /// - Parameters may hold useless states; they are removed.
    init(classes: [UInt8], classCount: Int, next: [Int32], accepting: [Bool]) {
        self.classes = classes
        self.classCount = classCount
        self.next = next
        self.accepting = accepting
        trim()
    }

    static let empty = ByteAutomaton(classes: [UInt8](repeating: 0, count: 256), classCount: 1, next: [], accepting: [])

    func step(_ state: Int32, _ byte: UInt8) -> Int32 { next[Int(state) * classCount + Int(classes[Int(byte)])] }

    func accepts(_ text: [UInt8]) -> Bool {
        if isEmpty { return false }
        var state: Int32 = 0
        for byte in text {
            state = step(state, byte)
            if state < 0 { return false }
        }
        return accepting[Int(state)]
    }

    /// Calls `body` with each maximal range of bytes that leads from a state to one and the same state.
    func forEachRange(_ state: Int32, _ body: (_ low: UInt8, _ high: UInt8, _ target: Int32) -> Void) {
        var low = 0
        while low < 256 {
            let target = step(state, UInt8(low))
            var high = low
            while high < 255, step(state, UInt8(high + 1)) == target { high += 1 }
            if target >= 0 { body(UInt8(low), UInt8(high), target) }
            low = high + 1
        }
    }

    // MARK: Without useless states

    private mutating func trim() {
        let count = accepting.count
        if count == 0 { return }
        // Reached from the first.
        var reached = [Bool](repeating: false, count: count)
        var work: [Int] = [0]
        reached[0] = true
        var before: [[Int32]] = [[Int32]](repeating: [], count: count)
        while let state = work.popLast() {
            for c in 0..<classCount {
                let target = next[state * classCount + c]
                if target < 0 { continue }
                before[Int(target)].append(Int32(truncatingIfNeeded: state))
                if !reached[Int(target)] {
                    reached[Int(target)] = true
                    work.append(Int(target))
                }
            }
        }
        // Leading to acceptance.
        var useful = [Bool](repeating: false, count: count)
        for state in 0..<count where reached[state] && accepting[state] {
            useful[state] = true
            work.append(state)
        }
        while let state = work.popLast() {
            for previous in before[state] where !useful[Int(previous)] {
                useful[Int(previous)] = true
                work.append(Int(previous))
            }
        }
        guard useful[0] else {
            next = []
            accepting = []
            return
        }
        var names = [Int32](repeating: -1, count: count)
        var kept = 0
        for state in 0..<count where useful[state] {
            names[state] = Int32(truncatingIfNeeded: kept)
            kept += 1
        }
        var newNext: [Int32] = []
        newNext.reserveCapacity(kept * classCount)
        var newAccepting: [Bool] = []
        for state in 0..<count where useful[state] {
            for c in 0..<classCount {
                let target = next[state * classCount + c]
                newNext.append(target < 0 ? -1 : names[Int(target)])
            }
            newAccepting.append(accepting[state])
        }
        next = newNext
        accepting = newAccepting
    }

    /// The same language with the fewest states.
    func minimized() -> ByteAutomaton {
        let count = stateCount
        if count <= 1 { return self }
        let block = equivalentStates()
        let blocks = Int(block.max() ?? 0) + 1
        if blocks == count { return self }
        // Names are given in order of states: the first state keeps the name 0.
        var newNext = [Int32](repeating: -1, count: blocks * classCount)
        var newAccepting = [Bool](repeating: false, count: blocks)
        for state in 0..<count {
            let name = Int(block[state])
            newAccepting[name] = accepting[state]
            for c in 0..<classCount {
                let target = next[state * classCount + c]
                newNext[name * classCount + c] = target < 0 ? -1 : block[Int(target)]
            }
        }
        return ByteAutomaton(classes: classes, classCount: classCount, next: newNext, accepting: newAccepting)
    }

    // MARK: From a graph

    /// - Throws: `tooComplex` beyond `limit` states.
    init(_ graph: ByteGraph, start: Int32, end: Int32, limit: Int) throws(ConstraintError) {
        // Bytes between two boundaries lead the same way.
        var boundary = [Bool](repeating: false, count: 257)
        for edges in graph.edges {
            for edge in edges {
                boundary[Int(edge.low)] = true
                boundary[Int(edge.high) + 1] = true
            }
        }
        var classes = [UInt8](repeating: 0, count: 256)
        var current = 0
        for byte in 1..<256 {
            if boundary[byte] { current += 1 }
            classes[byte] = UInt8(current)
        }
        let classCount = current + 1

        var marks = [Int32](repeating: -1, count: graph.edges.count)
        var round: Int32 = 0
        /// All nodes reached by empty edges, sorted; the conditions that hold are given.
        func closure(_ nodes: [Int32], atStart: Bool, atEnd: Bool) -> [Int32] {
            round += 1
            var result: [Int32] = []
            var work = nodes
            for node in nodes { marks[Int(node)] = round }
            while let node = work.popLast() {
                result.append(node)
                for edge in graph.empty[Int(node)] where marks[Int(edge.target)] != round {
                    if edge.condition == .atStart && !atStart || edge.condition == .atEnd && !atEnd { continue }
                    marks[Int(edge.target)] = round
                    work.append(edge.target)
                }
            }
            result.sort()
            return result
        }
        func isAccepting(_ nodes: [Int32], atStart: Bool) -> Bool {
            closure(nodes, atStart: atStart, atEnd: true).contains(end)
        }

        var states: [[Int32]] = [closure([start], atStart: true, atEnd: false)]
        // The first state is kept apart: only there `^` holds.
        var names: [[Int32]: Int32] = [:]
        var next: [Int32] = []
        var accepting = [isAccepting(states[0], atStart: true)]
        var targets = [[Int32]](repeating: [], count: classCount)
        var members = states[0].count
        var i = 0
        while i < states.count {
            for c in 0..<classCount { targets[c].removeAll(keepingCapacity: true) }
            for node in states[i] {
                for edge in graph.edges[Int(node)] {
                    for c in Int(classes[Int(edge.low)])...Int(classes[Int(edge.high)]) { targets[c].append(edge.target) }
                }
            }
            for c in 0..<classCount {
                if targets[c].isEmpty {
                    next.append(-1)
                    continue
                }
                if c > 0, targets[c] == targets[c - 1] {
                    next.append(next[next.count - 1])
                    continue
                }
                round += 1
                var unique: [Int32] = []
                for node in targets[c] where marks[Int(node)] != round {
                    marks[Int(node)] = round
                    unique.append(node)
                }
                let set = closure(unique, atStart: false, atEnd: false)
                if let name = names[set] {
                    next.append(name)
                } else {
                    members += set.count
                    guard states.count < limit, members < 200 * limit else {
                        throw ConstraintError(.tooComplex, "a pattern takes more than \(limit) states; make it simpler or its repetitions shorter.")
                    }
                    let name = Int32(truncatingIfNeeded: states.count)
                    names[set] = name
                    states.append(set)
                    accepting.append(isAccepting(set, atStart: false))
                    next.append(name)
                }
            }
            i += 1
        }
        self = ByteAutomaton(classes: classes, classCount: classCount, next: next, accepting: accepting).minimized()
    }

    // MARK: Set operations

    enum Operation { case and, or, minus }

    /// - Throws: `tooComplex` beyond `limit` states.
    func combined(_ operation: Operation, _ other: ByteAutomaton, limit: Int) throws(ConstraintError) -> ByteAutomaton {
        switch operation {
        case .and: if isEmpty || other.isEmpty { return .empty }
        case .or:
            if isEmpty { return other }
            if other.isEmpty { return self }
        case .minus:
            if isEmpty { return .empty }
            if other.isEmpty { return self }
        }
        var pairs: [UInt16: UInt8] = [:]
        var classes = [UInt8](repeating: 0, count: 256)
        var representatives: [(Int, Int)] = []
        for byte in 0..<256 {
            let pair = UInt16(self.classes[byte]) << 8 | UInt16(other.classes[byte])
            if let name = pairs[pair] {
                classes[byte] = name
            } else {
                let name = UInt8(representatives.count)
                pairs[pair] = name
                classes[byte] = name
                representatives.append((Int(self.classes[byte]), Int(other.classes[byte])))
            }
        }
        let classCount = representatives.count
        var states: [(Int32, Int32)] = [(0, 0)]
        var names: [UInt64: Int32] = [0: 0]
        var next: [Int32] = []
        var accepting: [Bool] = []
        var i = 0
        while i < states.count {
            let (a, b) = states[i]
            let inA = a >= 0 && self.accepting[Int(a)]
            let inB = b >= 0 && other.accepting[Int(b)]
            switch operation {
            case .and: accepting.append(inA && inB)
            case .or: accepting.append(inA || inB)
            case .minus: accepting.append(inA && !inB)
            }
            for (classA, classB) in representatives {
                let nextA = a < 0 ? -1 : self.next[Int(a) * self.classCount + classA]
                let nextB = b < 0 ? -1 : other.next[Int(b) * other.classCount + classB]
                let dead =
                    switch operation {
                    case .and: nextA < 0 || nextB < 0
                    case .or: nextA < 0 && nextB < 0
                    case .minus: nextA < 0
                    }
                if dead {
                    next.append(-1)
                    continue
                }
                let key = UInt64(UInt32(bitPattern: nextA)) << 32 | UInt64(UInt32(bitPattern: nextB))
                if let name = names[key] {
                    next.append(name)
                } else {
                    guard states.count < limit else {
                        throw ConstraintError(.tooComplex, "patterns taken together need more than \(limit) states; make them simpler.")
                    }
                    let name = Int32(truncatingIfNeeded: states.count)
                    names[key] = name
                    states.append((nextA, nextB))
                    next.append(name)
                }
            }
            i += 1
        }
        return ByteAutomaton(classes: classes, classCount: classCount, next: next, accepting: accepting).minimized()
    }

    // MARK: Finite languages

    /// All texts, shortest states first; nil if there are more than `limit` or infinitely many.
    func texts(limit: Int) -> [[UInt8]]? {
        if isEmpty { return [] }
        if hasLoop { return nil }
        var result: [[UInt8]] = []
        var work: [(Int32, [UInt8])] = [(0, [])]
        while let (state, text) = work.popLast() {
            if accepting[Int(state)] { result.append(text) }
            if result.count > limit || work.count > 256 * limit { return nil }
            for byte in stride(from: 255, through: 0, by: -1) {
                let target = step(state, UInt8(byte))
                if target >= 0 { work.append((target, text + [UInt8(byte)])) }
            }
        }
        return result
    }

    /// Whether the language is infinite (there are no useless states).
    var hasLoop: Bool {
        // 0 not seen, 1 on the way, 2 done.
        var marks = [UInt8](repeating: 0, count: stateCount)
        var work: [(state: Int, c: Int)] = isEmpty ? [] : [(0, 0)]
        if !isEmpty { marks[0] = 1 }
        while let (state, c) = work.last {
            if c == classCount {
                marks[state] = 2
                work.removeLast()
                continue
            }
            work[work.count - 1].c += 1
            let target = next[state * classCount + c]
            if target < 0 { continue }
            if marks[Int(target)] == 1 { return true }
            if marks[Int(target)] == 0 {
                marks[Int(target)] = 1
                work.append((Int(target), 0))
            }
        }
        return false
    }
}
