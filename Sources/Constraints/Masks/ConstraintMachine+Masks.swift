extension ConstraintMachine {
    /// The tokens allowed at a position. The machine may have forgotten all numbers afterwards.
    func mask(_ number: Int32) -> TokenMask {
        if let mask = masks[number] { return mask }
        let position = positions[Int(number)]
        var words: [UInt64]
        let room = room(position)
        if let room, room >= vocabulary.longestPlain || position.readings.count == 1 {
            // Inside a string of any text: all plain tokens that fit, known beforehand.
            words = plainWords(room)
            walk(vocabulary.rest, from: number, into: &words)
        } else {
            words = [UInt64](repeating: 0, count: (vocabulary.count + 63) / 64)
            walk(vocabulary.plain, from: number, into: &words)
            // The first walk may have made the machine forget.
            walk(vocabulary.rest, from: self.number(of: position), into: &words)
        }
        if position.isAccepting {
            for id in vocabulary.endTokens { words[Int(id) >> 6] |= 1 << UInt64(id & 63) }
        }
        let mask = TokenMask(words: words)
        masks.insert(mask, self.number(of: position))
        return mask
    }

    /// How many more characters of any kind the roomiest string takes at a position; nil outside of such strings.
    func room(_ position: Position) -> Int? {
        var most: Int? = nil
        for reading in position.readings {
            let string = grammar.nodes[Int(reading.node)].string
            guard string >= 0 else { continue }
            let room = grammar.strings[Int(string)].maximum.map { $0 - Int(truncatingIfNeeded: reading.counter) } ?? .max
            most = max(most ?? 0, room)
        }
        return most
    }

    private func plainWords(_ room: Int) -> [UInt64] {
        let masks = vocabulary.plainMasks
        if room >= vocabulary.longestPlain { return masks[masks.count - 1] }
        var words = masks[min(room, TokenVocabulary.maximumPlainMask)]
        for (id, characters) in vocabulary.longPlain where characters <= room { words[Int(id) >> 6] |= 1 << UInt64(id & 63) }
        return words
    }

    /// Sets the bits of a tree's tokens that can be read from a position.
    private func walk(_ tree: TokenTree, from number: Int32, into words: inout [UInt64]) {
        // The positions along the present path.
        var path = [Int32](repeating: Self.dead, count: tree.maximumDepth + 1)
        path[0] = number
        let (bytes, depths, ends) = (tree.bytes, tree.depths, tree.ends)
        let isPlain = tree === vocabulary.plain
        let (starts, tokens, count) = (tree.tokenStarts, tree.tokens, tree.count)
        words.withUnsafeMutableBufferPointer { words in
            path.withUnsafeMutableBufferPointer { path in
                var i = 0
                while i < count {
                    let depth = Int(depths[i])
                    let next = step(path[depth - 1], bytes[i])
                    if next == Self.dead {
                        i = Int(ends[i])
                        continue
                    }
                    path[depth] = next
                    // Whatever stands below is allowed too where any plain token is.
                    let end = isPlain && takesPlain[Int(next)] ? Int(ends[i]) : i + 1
                    for t in starts[i]..<starts[end] {
                        let id = tokens[Int(t)]
                        words[Int(id) >> 6] |= 1 << UInt64(id & 63)
                    }
                    i = end
                    if isFull {
                        var kept = Array(path[0...depth])
                        forget(keeping: &kept, count: depth + 1)
                        for d in 0...depth { path[d] = kept[d] }
                    }
                }
            }
        }
    }
}
