internal import Tensors

/// The tokens a layer works on: whose they are, their positions, and their rotary tables.
///
/// A pass starts with all tokens that were added; above the last layer that makes K/V only those whose logits are wanted remain.
final class TextRows {
    private(set) var count = 0
    /// Those whose logits are wanted.
    private(set) var wantedCount = 0
    let positions: UnsafeMutablePointer<Int>
    /// The row's number among all that were added.
    let source: UnsafeMutablePointer<Int>
    /// The number of the row's part.
    private let part: UnsafeMutablePointer<Int>
    /// By the number among all that were added.
    private let isWanted: UnsafeMutablePointer<Bool>
    private let ids: UnsafeMutablePointer<Int32>
    private var parts: [Part] = []
    /// Rows that were added.
    private var added = 0
    private let capacity: Int
    private let half: Int
    private let full: RotaryEmbedding
    private let sliding: RotaryEmbedding
    /// `[kind][row][cos, sin][N/2]`.
    private let tables: FloatBuffer

    /// Consecutive tokens of one sequence.
    private struct Part {
        let sequence: TextSequence
        let first: Int
        let count: Int
    }

    init(capacity: Int, _ c: TextConfiguration) {
        self.capacity = capacity
        half = c.headDim / 2
        positions = .allocate(capacity: capacity)
        source = .allocate(capacity: capacity)
        part = .allocate(capacity: capacity)
        isWanted = .allocate(capacity: capacity)
        ids = .allocate(capacity: capacity)
        positions.initialize(repeating: 0, count: capacity)
        source.initialize(repeating: 0, count: capacity)
        part.initialize(repeating: 0, count: capacity)
        isWanted.initialize(repeating: false, count: capacity)
        ids.initialize(repeating: 0, count: capacity)
        full = RotaryEmbedding(theta: c.ropeThetaFull, headDim: c.headDim)
        sliding = RotaryEmbedding(theta: c.ropeThetaSliding, headDim: c.headDim)
        tables = FloatBuffer(count: 2 * capacity * 2 * half)
        parts.reserveCapacity(1)
    }

    deinit {
        positions.deallocate()
        source.deallocate()
        part.deallocate()
        isWanted.deallocate()
        ids.deallocate()
    }

    /// Their ids, of all rows that were added.
    var tokens: UnsafeBufferPointer<Int32> { UnsafeBufferPointer(start: ids, count: added) }

    // MARK: Adding

    func clear() {
        count = 0
        added = 0
        wantedCount = 0
        parts.removeAll(keepingCapacity: true)
    }

    /// Tokens that follow what is in `sequence`.
    ///
    /// - Returns: The number of the part.
    func add(_ tokens: UnsafeBufferPointer<Int32>, _ sequence: TextSequence, _ wanted: LogitsRequest) -> Int {
        precondition(count + tokens.count <= capacity, "\(count + tokens.count) rows in room for \(capacity)")
        let number = parts.count
        parts.append(Part(sequence: sequence, first: count, count: tokens.count))
        for (index, token) in tokens.enumerated() {
            let r = count + index
            positions[r] = sequence.position + index
            source[r] = r
            part[r] = number
            ids[r] = token
            isWanted[r] = wanted == .all || wanted == .last && index == tokens.count - 1
            if isWanted[r] { wantedCount += 1 }
            rotary(full, .full, r)
            rotary(sliding, .sliding, r)
        }
        count += tokens.count
        added = count
        return number
    }

    private func rotary(_ embedding: RotaryEmbedding, _ kind: AttentionKind, _ r: Int) {
        let table = table(r, kind)
        embedding.table(position: positions[r], cos: table, sin: table + half)
    }

    /// What was added is in the caches now.
    func advanceSequences() {
        for part in parts { part.sequence.advance(part.count) }
    }

    // MARK: Rows

    /// The part of row `r` and the token's index in it.
    func place(_ r: Int) -> (part: Int, index: Int) { (part[r], source[r] - parts[part[r]].first) }

    /// The cache number `source` of the sequence that row `r` belongs to.
    func cache(_ r: Int, _ source: Int) -> KVCache { parts[part[r]].sequence.caches[source] }

    /// The rows from `first` on that belong to the same sequence.
    func neighbours(from first: Int) -> Range<Int> {
        var end = first + 1
        while end < count, part[end] == part[first] { end += 1 }
        return first..<end
    }

    /// The next neighbouring rows whose logits are wanted, before any was dropped.
    func wantedRun(from start: Int) -> Range<Int>? {
        var first = start
        while first < added, !isWanted[first] { first += 1 }
        if first == added { return nil }
        var end = first
        while end < added, isWanted[end] { end += 1 }
        return first..<end
    }

    /// Drops the rows whose logits are not wanted.
    ///
    /// - Parameter move: Called for each row that moves, in ascending order.
    func dropUnwanted(_ move: (_ old: Int, _ new: Int) -> Void) {
        var new = 0
        for old in 0..<count where isWanted[source[old]] {
            if new != old {
                positions[new] = positions[old]
                source[new] = source[old]
                part[new] = part[old]
                move(old, new)
            }
            new += 1
        }
        count = new
    }

    /// Cosines and sines of row `r`, N/2 each.
    func rotation(_ r: Int, _ kind: AttentionKind) -> (cos: UnsafePointer<Float>, sin: UnsafePointer<Float>) {
        let table = table(source[r], kind)
        return (UnsafePointer(table), UnsafePointer(table + half))
    }

    private func table(_ row: Int, _ kind: AttentionKind) -> UnsafeMutablePointer<Float> {
        tables.pointer + ((kind == .full ? 0 : capacity) + row) * 2 * half
    }
}
