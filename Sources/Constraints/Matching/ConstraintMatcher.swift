internal import Checkpoint
public import Tokenization

/// A place in a text that keeps to a constraint. A value: keep a copy, try bytes or tokens, go back to the copy.
///
/// Whatever a matcher has accepted can be completed.
public struct ConstraintMatcher {
    public let machine: ConstraintMachine
    private var position: Position
    private var number: Int32
    private var era: Int

    /// At the beginning of a text.
    public init(_ machine: ConstraintMachine) {
        self.machine = machine
        machine.tidy()
        position = machine.start
        number = machine.number(of: position)
        era = machine.era
    }

    /// Whether the text may end here.
    public var isAccepting: Bool { position.isAccepting }

    /// Whether the text is complete: it may end here, and nothing may follow.
    public var isFinished: Bool { position.isAccepting && position.readings.isEmpty }

    // MARK: Bytes

    /// Takes bytes if the text may go on with them; otherwise changes nothing and gives false.
    public mutating func advance(_ bytes: some Sequence<UInt8>) -> Bool {
        var next = currentNumber()
        for byte in bytes {
            next = machine.step(next, byte)
            if next == ConstraintMachine.dead { return false }
            if machine.isFull {
                var kept = [next]
                machine.forget(keeping: &kept, count: 1)
                next = kept[0]
            }
        }
        number = next
        position = machine.positions[Int(next)]
        era = machine.era
        return true
    }

    /// Whether the text may go on with `byte`.
    public func allows(_ byte: UInt8) -> Bool {
        var copy = self
        return copy.advance(CollectionOfOne(byte))
    }

    /// The bytes that come next in any case: while a single byte may follow and the text may not end.
    ///
    /// - Parameter limit: At most so many.
    public func forcedBytes(limit: Int = 4096) -> [UInt8] {
        var copy = self
        var result: [UInt8] = []
        while result.count < limit, let byte = copy.onlyByte, copy.advance(CollectionOfOne(byte)) { result.append(byte) }
        return result
    }

    private var onlyByte: UInt8? {
        if position.isAccepting { return nil }
        var only: UInt8? = nil
        // Most positions show at once that there is a choice.
        for reading in position.readings {
            let edges = machine.grammar.nodes[Int(reading.node)].edges
            if edges.count > 64 { return nil }
        }
        let here = currentNumberWithoutTidying()
        for byte in UInt8.min...UInt8.max where mayTake(byte) && machine.step(here, byte) != ConstraintMachine.dead {
            if only != nil { return nil }
            only = byte
        }
        return only
    }

    /// Whether some edge is labelled with the byte, its conditions left aside.
    private func mayTake(_ byte: UInt8) -> Bool {
        for reading in position.readings {
            for e in machine.grammar.nodes[Int(reading.node)].edges {
                let edge = machine.grammar.edges[Int(e)]
                if edge.low <= byte, byte <= edge.high { return true }
            }
        }
        return false
    }

    /// The number of this position in the machine's present era.
    private func currentNumberWithoutTidying() -> Int32 { era == machine.era ? number : machine.number(of: position) }

    private mutating func currentNumber() -> Int32 {
        machine.tidy()
        if era != machine.era {
            number = machine.number(of: position)
            era = machine.era
        }
        return number
    }

    // MARK: Tokens

    /// Which tokens may come next: those whose bytes may follow, and at a possible end those that end a turn.
    public mutating func mask() -> TokenMask {
        machine.mask(currentNumber())
    }

    /// Takes a token if it may come next; otherwise changes nothing and gives false. A token that ends a turn changes nothing and
    /// gives whether the text may end.
    public mutating func advance(token: Int32) -> Bool {
        if machine.vocabulary.isEnd(token) { return isAccepting }
        guard let bytes = machine.vocabulary.bytes(of: token) else { return false }
        return advance(bytes)
    }

    /// The text that comes next in any case, as the tokens a tokenizer would write.
    ///
    /// The last tokens are kept back where what may follow could be merged with them. Empty if nothing is determined.
    ///
    /// - Parameter tokenizer: The one the machine's vocabulary was made of.
    public func forcedTokens(_ tokenizer: Tokenizer, limit: Int = 4096) -> [Int32] {
        var bytes = forcedBytes(limit: limit)
        // A character that is not whole yet cannot be encoded.
        while let last = bytes.last, last >= 0x80, !bytes.withUnsafeBufferPointer({ isValidUTF8($0) }) { bytes.removeLast() }
        if bytes.isEmpty { return [] }
        let text = String(decoding: bytes, as: UTF8.self)
        var tokens = tokenizer.encode(text, recognizesSpecialTokens: false)
        var after = self
        guard after.advance(bytes) else { return [] }
        if !after.isFinished {
            for next in after.samples() {
                let longer = tokenizer.encode(text + next, recognizesSpecialTokens: false)
                var common = 0
                while common < tokens.count, common < longer.count, tokens[common] == longer[common] { common += 1 }
                tokens.removeLast(tokens.count - common)
            }
        }
        // Only what the mask would have let through.
        var check = self
        for (i, token) in tokens.enumerated() {
            if !check.advance(token: token) { return Array(tokens[..<i]) }
        }
        return tokens
    }

    /// Short texts that may follow, one for each ASCII character that may come next and one for all others.
    private func samples() -> [String] {
        var result: [String] = []
        for byte in UInt8(0)..<0x80 {
            var copy = self
            guard copy.advance(CollectionOfOne(byte)) else { continue }
            var text = String(Unicode.Scalar(byte))
            result.append(text)
            // The same again: runs of spaces and digits merge.
            if copy.allows(byte) {
                text += text
                result.append(text)
            }
        }
        return result
    }
}
