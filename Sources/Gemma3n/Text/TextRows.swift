internal import Tensors

/// The tokens a layer works on: their positions, where they stand in the chunk, and their rotary tables.
///
/// A prefill chunk starts with all its tokens; above the last layer that makes K/V only those whose logits are wanted remain.
final class TextRows {
    private(set) var count = 0
    let positions: UnsafeMutablePointer<Int>
    /// The row's index in the chunk.
    let source: UnsafeMutablePointer<Int>
    private let capacity: Int
    private let half: Int
    private let full: RotaryEmbedding
    private let sliding: RotaryEmbedding
    /// `[kind][chunk row][cos, sin][N/2]`.
    private let tables: FloatBuffer

    init(capacity: Int, _ c: TextConfiguration) {
        self.capacity = capacity
        half = c.headDim / 2
        positions = .allocate(capacity: capacity)
        source = .allocate(capacity: capacity)
        positions.initialize(repeating: 0, count: capacity)
        source.initialize(repeating: 0, count: capacity)
        full = RotaryEmbedding(theta: c.ropeThetaFull, headDim: c.headDim)
        sliding = RotaryEmbedding(theta: c.ropeThetaSliding, headDim: c.headDim)
        tables = FloatBuffer(count: 2 * capacity * 2 * half)
    }

    deinit {
        positions.deallocate()
        source.deallocate()
    }

    /// `count` tokens at consecutive positions.
    func start(at position: Int, count: Int) {
        precondition(count <= capacity, "\(count) rows in room for \(capacity)")
        self.count = count
        for r in 0..<count {
            positions[r] = position + r
            source[r] = r
            rotary(full, .full, r)
            rotary(sliding, .sliding, r)
        }
    }

    private func rotary(_ embedding: RotaryEmbedding, _ kind: AttentionKind, _ r: Int) {
        let table = table(r, kind)
        embedding.table(position: positions[r], cos: table, sin: table + half)
    }

    /// Keeps the rows `kept`.
    func keep(_ kept: Range<Int>) {
        for (new, old) in kept.enumerated() {
            positions[new] = positions[old]
            source[new] = source[old]
        }
        count = kept.count
    }

    /// Cosines and sines of row `r`, N/2 each.
    func rotation(_ r: Int, _ kind: AttentionKind) -> (cos: UnsafePointer<Float>, sin: UnsafePointer<Float>) {
        let table = table(source[r], kind)
        return (UnsafePointer(table), UnsafePointer(table + half))
    }

    private func table(_ chunkRow: Int, _ kind: AttentionKind) -> UnsafeMutablePointer<Float> {
        tables.pointer + ((kind == .full ? 0 : capacity) + chunkRow) * 2 * half
    }
}
