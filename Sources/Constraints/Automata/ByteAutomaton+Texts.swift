extension ByteAutomaton {
    /// The smallest automaton of a list of texts: built text by text in their order, what is behind a text's end shared at once with
    /// what is equal (Daciuk and others 2000).
    ///
    /// - Throws: `tooComplex` beyond `limit` states.
    init(texts: [[UInt8]], limit: Int) throws(ConstraintError) {
        if texts.isEmpty {
            self = .empty
            return
        }
        let sorted = texts.sorted { $0.lexicographicallyPrecedes($1) }
        var register = TextRegister()
        // The states of the last text, which may still grow; each ends with the byte to the next.
        var path = [TextState()]
        func close(to depth: Int) {
            while path.count > depth + 1 {
                let name = register.name(path.removeLast())
                path[path.count - 1].targets[path[path.count - 1].targets.count - 1] = name
            }
        }
        var previous: [UInt8] = []
        for text in sorted {
            var common = 0
            while common < previous.count, common < text.count, previous[common] == text[common] { common += 1 }
            close(to: common)
            for byte in text[common...] {
                path[path.count - 1].bytes.append(byte)
                path[path.count - 1].targets.append(-1)
                path.append(TextState())
            }
            path[path.count - 1].isAccepting = true
            previous = text
            guard register.states.count + path.count <= limit else {
                throw ConstraintError(.tooComplex, "the texts of a list take more than \(limit) states.")
            }
        }
        close(to: 0)
        let first = register.name(path[0])

        // Only the bytes that occur are classes of their own. The first state comes first.
        var used = [Bool](repeating: false, count: 256)
        for state in register.states { for byte in state.bytes { used[Int(byte)] = true } }
        var classes = [UInt8](repeating: 0, count: 256)
        var count = used.contains(false) ? 1 : 0
        for byte in 0..<256 where used[byte] {
            classes[byte] = UInt8(count)
            count += 1
        }
        func place(_ name: Int32) -> Int { name == first ? 0 : name == 0 ? Int(first) : Int(name) }
        var next = [Int32](repeating: -1, count: register.states.count * count)
        var accepting = [Bool](repeating: false, count: register.states.count)
        for (name, state) in register.states.enumerated() {
            let here = place(Int32(truncatingIfNeeded: name))
            accepting[here] = state.isAccepting
            for (byte, target) in zip(state.bytes, state.targets) {
                next[here * count + Int(classes[Int(byte)])] = Int32(truncatingIfNeeded: place(target))
            }
        }
        self = ByteAutomaton(classes: classes, classCount: count, next: next, accepting: accepting)
    }
}

private struct TextState: Hashable {
    var isAccepting = false
    var bytes: [UInt8] = []
    var targets: [Int32] = []
}

/// States that do not change any more, equal ones once.
private struct TextRegister {
    private(set) var states: [TextState] = []
    private var names: [TextState: Int32] = [:]

    mutating func name(_ state: TextState) -> Int32 {
        if let name = names[state] { return name }
        let name = Int32(truncatingIfNeeded: states.count)
        names[state] = name
        states.append(state)
        return name
    }
}
