extension ByteAutomaton {
    /// The automaton whose states are found from the first by trying every byte of an alphabet.
    ///
    /// - Throws: `tooComplex` beyond `limit` states.
    init<State: Hashable>(
        start: State, alphabet: [UInt8], limit: Int, step: (State, UInt8) -> State?, isAccepting: (State) -> Bool
    ) throws(ConstraintError) {
        var classes = [UInt8](repeating: 0, count: 256)
        for (i, byte) in alphabet.enumerated() { classes[Int(byte)] = UInt8(i + 1) }
        let classCount = alphabet.count + 1
        var states = [start]
        var names: [State: Int32] = [start: 0]
        var next: [Int32] = []
        var i = 0
        while i < states.count {
            next.append(-1)
            for byte in alphabet {
                guard let target = step(states[i], byte) else {
                    next.append(-1)
                    continue
                }
                if let name = names[target] {
                    next.append(name)
                    continue
                }
                guard states.count < limit else {
                    throw ConstraintError(.tooComplex, "a number's limits take more than \(limit) states.")
                }
                let name = Int32(truncatingIfNeeded: states.count)
                names[target] = name
                states.append(target)
                next.append(name)
            }
            i += 1
        }
        self = ByteAutomaton(classes: classes, classCount: classCount, next: next, accepting: states.map(isAccepting)).minimized()
    }
}
