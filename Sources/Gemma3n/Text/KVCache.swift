internal import Tensors

/// The keys and values of one layer that makes its own.
///
/// Full attention keeps every position, in blocks allocated as the context grows. Sliding attention keeps a ring of
/// `window - 1 + chunk` positions: the window of the first token of a prefill chunk, and the chunk itself.
/// Inside a block keys (and values) of one head lie one after the other, `N` floats each.
final class KVCache {
    let headCount: Int
    let headDim: Int
    /// The window of sliding attention; nil for full.
    let window: Int?
    /// Positions of one block: the whole ring, or one growth step.
    private let blockLength: Int
    private var blocks: [UnsafeMutablePointer<Float>] = []

    /// Positions a full-attention cache grows by.
    static let growth = 256

    init(headCount: Int, headDim: Int, window: Int?, chunk: Int) {
        self.headCount = headCount
        self.headDim = headDim
        self.window = window
        blockLength = window.map { $0 - 1 + chunk } ?? Self.growth
    }

    deinit { for block in blocks { block.deallocate() } }

    /// Positions a ring can hold; nil for full attention.
    var ringLength: Int? { window == nil ? nil : blockLength }

    /// Bytes held now.
    var byteCount: Int { blocks.count * blockElements * MemoryLayout<Float>.size }

    private var blockElements: Int { 2 * headCount * blockLength * headDim }

    /// Makes room for positions below `end`.
    func reserve(_ end: Int) {
        let needed = window == nil ? (end + blockLength - 1) / blockLength : 1
        while blocks.count < needed {
            let block = UnsafeMutablePointer<Float>.allocate(capacity: blockElements)
            block.initialize(repeating: 0, count: blockElements)
            blocks.append(block)
        }
    }

    /// Where the key of `head` at `position` lies; its value lies `valueOffset` further.
    func key(head: Int, position: Int) -> UnsafeMutablePointer<Float> {
        let (block, slot) = window == nil ? (position / blockLength, position % blockLength) : (0, position % blockLength)
        return blocks[block] + (head * blockLength + slot) * headDim
    }

    var valueOffset: Int { headCount * blockLength * headDim }

    /// Calls `body` for the contiguous pieces of `positions` in ascending order.
    func forEachSegment(_ positions: Range<Int>, head: Int, _ body: (_ keys: UnsafeMutablePointer<Float>, _ positions: Range<Int>) -> Void) {
        var start = positions.lowerBound
        while start < positions.upperBound {
            let end = min(positions.upperBound, (start / blockLength + 1) * blockLength)
            body(key(head: head, position: start), start..<end)
            start = end
        }
    }

    /// The first position a query at `position` attends to.
    func firstVisible(from position: Int) -> Int {
        window.map { max(0, position - $0 + 1) } ?? 0
    }
}
