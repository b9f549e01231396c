extension ByteAutomaton {
    /// A name for each state, the same for states behind which the same texts are accepted; names are given in order of states.
    ///
    /// Hopcroft's refinement, on automata that lead nowhere for some bytes (Valmari and Lehtinen 2008). Moore's takes as many rounds as
    /// the longest text has bytes.
    ///
    /// - Complexity: `n k log n` for `n` states and `k` classes of bytes.
    func equivalentStates() -> [Int32] {
        let count = stateCount
        // The states before each (state, class), one list behind the other.
        var ends = [Int32](repeating: 0, count: count * classCount + 1)
        for (index, target) in next.enumerated() where target >= 0 { ends[Int(target) * classCount + index % classCount + 1] += 1 }
        for index in 1..<ends.count { ends[index] += ends[index - 1] }
        let starts = ends
        var sources = [Int32](repeating: 0, count: Int(ends[ends.count - 1]))
        for (index, target) in next.enumerated() where target >= 0 {
            let list = Int(target) * classCount + index % classCount
            sources[Int(ends[list])] = Int32(truncatingIfNeeded: index / classCount)
            ends[list] += 1
        }

        var partition = StatePartition(accepting)
        var work = Array(0..<partition.blockCount)
        while let splitter = work.popLast() {
            // It may be split itself meanwhile.
            let states = partition.states(splitter)
            for c in 0..<classCount {
                for state in states {
                    let list = Int(state) * classCount + c
                    for source in sources[Int(starts[list])..<Int(starts[list + 1])] { partition.mark(Int(source)) }
                }
                work += partition.split()
            }
        }
        return partition.names()
    }
}

/// States in blocks. Those of one block lie beside each other, the marked ones first.
private struct StatePartition {
    private var states: [Int32]
    private var places: [Int]
    private var blocks: [Int]
    private var ranges: [Range<Int>] = []
    private var markedCounts: [Int] = []
    private var markedBlocks: [Int] = []

    /// Two blocks, or one where all states accept or none does.
    init(_ accepting: [Bool]) {
        let all = accepting.indices
        states = (all.filter { accepting[$0] } + all.filter { !accepting[$0] }).map { Int32(truncatingIfNeeded: $0) }
        places = [Int](repeating: 0, count: accepting.count)
        blocks = places
        for (place, state) in states.enumerated() { places[Int(state)] = place }
        let acceptingCount = all.count { accepting[$0] }
        for range in [0..<acceptingCount, acceptingCount..<accepting.count] where !range.isEmpty {
            for state in states[range] { blocks[Int(state)] = ranges.count }
            ranges.append(range)
            markedCounts.append(0)
        }
    }

    var blockCount: Int { ranges.count }

    func states(_ block: Int) -> [Int32] { Array(states[ranges[block]]) }

    mutating func mark(_ state: Int) {
        let block = blocks[state]
        let place = ranges[block].lowerBound + markedCounts[block]
        if places[state] < place { return }
        if markedCounts[block] == 0 { markedBlocks.append(block) }
        markedCounts[block] += 1
        let other = Int(states[place])
        states.swapAt(place, places[state])
        (places[other], places[state]) = (places[state], place)
    }

    /// Parts blocks of which some states are marked: the smaller part is a new block. No state is marked any more.
    ///
    /// - Returns: The new blocks.
    mutating func split() -> Range<Int> {
        let first = ranges.count
        for block in markedBlocks {
            let (range, count) = (ranges[block], markedCounts[block])
            markedCounts[block] = 0
            if count == range.count { continue }
            let middle = range.lowerBound + count
            let (marked, rest) = (range.lowerBound..<middle, middle..<range.upperBound)
            ranges[block] = marked.count > rest.count ? marked : rest
            let smaller = marked.count > rest.count ? rest : marked
            for state in states[smaller] { blocks[Int(state)] = ranges.count }
            ranges.append(smaller)
            markedCounts.append(0)
        }
        markedBlocks.removeAll(keepingCapacity: true)
        return first..<ranges.count
    }

    /// The blocks of all states, numbered in order of their first states.
    func names() -> [Int32] {
        var names = [Int32](repeating: -1, count: ranges.count)
        var count: Int32 = 0
        return blocks.map { block in
            if names[block] < 0 {
                names[block] = count
                count += 1
            }
            return names[block]
        }
    }
}
