/// Follows one constraint through text: finds each position once, remembers the ways between them and the tokens allowed at each.
///
/// A machine may be used for many answers, one after another or in turns, but by one thread at a time; the constraint and the
/// vocabulary it is made of can be shared. What it remembers is bounded and forgotten when it grows too large.
public final class ConstraintMachine {
    public let constraint: Constraint
    let grammar: Grammar
    /// At most so many positions are remembered, 1 KB each.
    private let maximumPositions: Int
    /// More readings of one text than this are dropped; the others stay, and each can be completed.
    static let maximumReadings = 2048

    /// Number 0 stands for "no way on".
    private(set) var positions: [Position] = []
    private var rows: UnsafeMutablePointer<Int32>
    private var rowCapacity = 64
    /// Whether any plain token may follow a position.
    private(set) var takesPlain: [Bool] = []
    private var names: [[UInt64]: Int32] = [:]
    private var frames: [FrameKey: Frame] = [:]
    private var frameCount: UInt64 = 0
    /// Grows whenever everything is forgotten: position numbers are valid within one era.
    private(set) var era = 0
    /// Every text begins here.
    private(set) var start: Position
    private let nowhere = Position(readings: [], isAccepting: false)
    public let vocabulary: TokenVocabulary
    let masks: MaskCache

    private struct FrameKey: Hashable {
        let parent: UInt64
        let node: Int32
        let counter: UInt64
    }

    static let unknown: Int32 = -1
    static let dead: Int32 = 0

    // Scratch of `close`.
    private var seen: Set<ReadingKey> = []
    private var work: [Reading] = []

    private struct ReadingKey: Hashable {
        let node: Int32
        let counter: UInt64
        let stack: UInt64
    }

    /// - Parameters:
    ///   - maximumPositions: Positions to remember, about 1 KB each.
    ///   - maximumMaskBytes: Masks to remember, one bit a token each.
    public init(
        _ constraint: Constraint, _ vocabulary: TokenVocabulary, maximumPositions: Int = 16_384, maximumMaskBytes: Int = 32 << 20
    ) {
        self.constraint = constraint
        self.vocabulary = vocabulary
        grammar = constraint.grammar
        masks = MaskCache(maximumBytes: maximumMaskBytes)
        self.maximumPositions = max(maximumPositions, 512)
        rows = .allocate(capacity: rowCapacity * 256)
        start = nowhere
        clear()
        start = close([Reading(node: grammar.start, counter: 0, stack: nil)])
    }

    deinit { rows.deallocate() }

    private func clear() {
        positions.removeAll(keepingCapacity: true)
        takesPlain.removeAll(keepingCapacity: true)
        names.removeAll()
        frames.removeAll()
        era += 1
        masks.removeAll()
        positions.append(nowhere)
        takesPlain.append(false)
        for byte in 0..<256 { rows[byte] = Self.dead }
    }

    /// Forgets everything if it has grown too large. Numbers of positions are not valid afterwards.
    func tidy() {
        if isFull { clear() }
    }

    var isFull: Bool { positions.count >= maximumPositions || frames.count >= 8 * maximumPositions }

    /// Forgets everything but the positions given, whose numbers are replaced.
    func forget(keeping numbers: inout [Int32], count: Int) {
        let kept = (0..<count).map { positions[Int(numbers[$0])] }
        clear()
        for i in 0..<count { numbers[i] = number(of: kept[i]) }
    }

    // MARK: Positions

    /// The number of a position in this era.
    func number(of position: Position) -> Int32 {
        if position.readings.isEmpty, !position.isAccepting { return Self.dead }
        var key: [UInt64] = []
        key.reserveCapacity(position.readings.count * 3 + 1)
        key.append(position.isAccepting ? 1 : 0)
        for reading in position.readings {
            key.append(UInt64(UInt32(bitPattern: reading.node)))
            key.append(reading.counter)
            key.append(reading.stackID)
        }
        if let number = names[key] { return number }
        let number = Int32(truncatingIfNeeded: positions.count)
        names[key] = number
        positions.append(position)
        takesPlain.append(room(position).map { $0 >= vocabulary.longestPlain } ?? false)
        if positions.count > rowCapacity {
            let larger = UnsafeMutablePointer<Int32>.allocate(capacity: 2 * rowCapacity * 256)
            larger.update(from: rows, count: rowCapacity * 256)
            rows.deallocate()
            rows = larger
            rowCapacity *= 2
        }
        (rows + Int(number) * 256).update(repeating: Self.unknown, count: 256)
        return number
    }

    /// The number of the position after a byte, `dead` if it is not allowed.
    @inline(__always)
    func step(_ number: Int32, _ byte: UInt8) -> Int32 {
        let next = rows[Int(number) << 8 | Int(byte)]
        return next == Self.unknown ? find(number, byte) : next
    }

    @inline(never)
    private func find(_ number: Int32, _ byte: UInt8) -> Int32 {
        let next = self.number(of: after(positions[Int(number)], byte))
        rows[Int(number) << 8 | Int(byte)] = next
        return next
    }

    private func after(_ position: Position, _ byte: UInt8) -> Position {
        var reached: [Reading] = []
        for reading in position.readings {
            let node = grammar.nodes[Int(reading.node)]
            for e in node.edges {
                let edge = grammar.edges[Int(e)]
                guard edge.low <= byte, byte <= edge.high else { continue }
                var next = Reading(node: edge.target, counter: reading.counter, stack: reading.stack)
                if edge.action != .none {
                    guard let counter = counted(reading, edge.action) else { continue }
                    next.counter = counter
                }
                reached.append(next)
            }
        }
        return close(reached)
    }

    /// The counter after an edge of a string body; nil if the length forbids the edge.
    private func counted(_ reading: Reading, _ action: Grammar.Action) -> UInt64? {
        let limits = grammar.strings[Int(grammar.nodes[Int(reading.node)].string)]
        switch action {
        case .none: return reading.counter
        case .count:
            if let maximum = limits.maximum { return reading.counter < UInt64(maximum) ? reading.counter + 1 : nil }
            return min(reading.counter + 1, UInt64(limits.minimum))
        case .checkMinimum: return reading.counter >= UInt64(limits.minimum) ? 0 : nil
        }
    }

    /// Follows everything that needs no byte: empty edges, calls, ends of rules.
    private func close(_ reached: [Reading]) -> Position {
        if reached.isEmpty { return nowhere }
        if reached.count == 1 {
            let node = grammar.nodes[Int(reached[0].node)]
            if node.empty.isEmpty, node.calls.isEmpty, !node.isFinal { return Position(readings: reached, isAccepting: false) }
        }
        seen.removeAll(keepingCapacity: true)
        work.removeAll(keepingCapacity: true)
        var readings: [Reading] = []
        var isAccepting = false
        let nesting = Int32(truncatingIfNeeded: grammar.nesting)
        for reading in reached.reversed() { work.append(reading) }
        while let reading = work.popLast() {
            let node = grammar.nodes[Int(reading.node)]
            // Too deep to be finished.
            if reading.depth + node.need > nesting { continue }
            let key = ReadingKey(node: reading.node, counter: reading.counter, stack: reading.stackID)
            guard seen.insert(key).inserted else { continue }
            if !node.edges.isEmpty, readings.count < Self.maximumReadings { readings.append(reading) }
            if node.isFinal {
                if let frame = reading.stack {
                    work.append(Reading(node: frame.node, counter: frame.counter, stack: frame.parent))
                } else {
                    isAccepting = true
                }
            }
            for e in node.empty {
                let edge = grammar.emptyEdges[Int(e)]
                var next = Reading(node: edge.target, counter: reading.counter, stack: reading.stack)
                if edge.guardIndex >= 0 {
                    guard let counter = Self.passed(grammar.guards[Int(edge.guardIndex)], reading.counter) else { continue }
                    next.counter = counter
                }
                work.append(next)
            }
            for c in node.calls {
                let call = grammar.calls[Int(c)]
                if grammar.isEnd(call.back) {
                    work.append(Reading(node: call.entry, counter: 0, stack: reading.stack))
                } else if reading.depth + grammar.nodes[Int(call.back)].need <= nesting {
                    work.append(Reading(node: call.entry, counter: 0, stack: frame(reading.stack, call.back, reading.counter)))
                }
            }
        }
        if readings.count > 1 {
            readings.sort { a, b in
                if a.node != b.node { return a.node < b.node }
                if a.counter != b.counter { return a.counter < b.counter }
                return a.stackID < b.stackID
            }
        }
        return Position(readings: readings, isAccepting: isAccepting)
    }

    private func frame(_ parent: Frame?, _ node: Int32, _ counter: UInt64) -> Frame {
        let key = FrameKey(parent: parent?.id ?? 0, node: node, counter: counter)
        if let frame = frames[key] { return frame }
        frameCount += 1
        let frame = Frame(parent: parent, node: node, counter: counter, id: frameCount)
        frames[key] = frame
        return frame
    }

    // MARK: Counters of sets

    /// Bits below this say which members have been taken; above it the others are counted.
    static let countShift: UInt64 = 56

    private static func passed(_ condition: Grammar.Guard, _ counter: UInt64) -> UInt64? {
        let members = counter & (1 << countShift - 1)
        let others = Int(counter >> countShift)
        switch condition {
        case .take(let bit, let required, let minimum, let maximum):
            let one = UInt64(1) << UInt64(bit)
            guard members & one == 0 else { return nil }
            return fits(members | one, others, required, minimum, maximum) ? counter | one : nil
        case .takeOther(let required, let minimum, let maximum):
            // Without a maximum it only matters whether there is one.
            if maximum == .max { return others == 0 ? counter + 1 << countShift : counter }
            return fits(members, others + 1, required, minimum, maximum) ? counter + 1 << countShift : nil
        case .done(let required, let minimum):
            return required & ~members == 0 && different(members, others) >= minimum ? counter : nil
        }
    }

    /// Others have keys that may repeat: only one of them counts.
    private static func different(_ members: UInt64, _ others: Int) -> Int { members.nonzeroBitCount + min(others, 1) }

    private static func fits(_ members: UInt64, _ others: Int, _ required: UInt64, _ minimum: Int, _ maximum: Int) -> Bool {
        let missing = max((required & ~members).nonzeroBitCount, minimum - different(members, others))
        return members.nonzeroBitCount + others + max(missing, 0) <= maximum
    }
}
