extension ByteAutomaton {
    /// Whether every text that is valid UTF-8 is accepted from a state.
    func acceptsEverything(after state: Int32) -> Bool {
        let everything = StringSet.everything
        var pairs: [(Int32, Int32)] = [(state, 0)]
        var seen: Set<UInt64> = []
        while let (here, other) = pairs.popLast() {
            guard seen.insert(UInt64(UInt32(bitPattern: here)) << 32 | UInt64(UInt32(bitPattern: other))).inserted else { continue }
            if everything.accepting[Int(other)], !accepting[Int(here)] { return false }
            // Few pairs: the language of all texts has eight states.
            if seen.count > 64 { return false }
            for byte in UInt8.min...UInt8.max {
                let next = everything.step(other, byte)
                if next < 0 { continue }
                let mine = step(here, byte)
                if mine < 0 { return false }
                pairs.append((mine, next))
            }
        }
        return true
    }
}
