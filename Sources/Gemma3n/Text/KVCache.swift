internal import CKernels
internal import Tensors

/// The keys and values of one layer that makes its own.
///
/// Full attention keeps every position, in blocks allocated as the context grows. Sliding attention keeps a ring of
/// `window - 1 + chunk + draftRoom` positions: the window of the first token of a prefill chunk, the chunk itself, and tokens that were
/// guessed and come to nothing.
/// Inside a block keys of one head lie one after the other, `N` elements each, then values likewise, then (8 bits only) the
/// scales of the keys and of the values. A position is rounded to the cache's format once, when it is stored.
///
/// A copy shares the blocks; whoever stores into a shared one gets a block of its own first.
final class KVCache {
    let headCount: Int
    let headDim: Int
    /// The window of sliding attention; nil for full.
    let window: Int?
    let format: KVFormat
    /// Positions of a ring that are never overwritten by guesses; nil for full attention.
    let ringLength: Int?
    /// Positions of one block: the whole ring, or one growth step.
    private let blockLength: Int
    private var blocks: [UnsafeMutableRawPointer] = []
    /// Who keeps them, in the same order.
    private var owners: [Block] = []

    private final class Block {
        let memory: UnsafeMutableRawPointer
        init(byteCount: Int) { memory = .allocate(byteCount: byteCount, alignment: 64) }
        deinit { memory.deallocate() }
    }

    /// Positions a full-attention cache grows by.
    static let growth = 256
    /// Positions that guesses may take beyond those that stay.
    static let draftRoom = 16

    /// - Parameters:
    ///   - contextLength: Positions at most; a ring is never longer.
    ///   - chunk: Positions stored together at most.
    init(headCount: Int, headDim: Int, window: Int?, chunk: Int, contextLength: Int, format: KVFormat) {
        self.headCount = headCount
        self.headDim = headDim
        self.window = window
        self.format = format
        blockLength = Self.blockLength(window: window, chunk: chunk, contextLength: contextLength)
        ringLength = window.map { min($0 - 1 + chunk, contextLength) }
        if window == nil {
            let count = (contextLength + blockLength - 1) / blockLength
            blocks.reserveCapacity(count)
            owners.reserveCapacity(count)
        }
    }

    /// A copy of what another one holds of the positions below `end`; of a ring, of all it holds.
    init(copying other: KVCache, upTo end: Int) {
        headCount = other.headCount
        headDim = other.headDim
        window = other.window
        format = other.format
        blockLength = other.blockLength
        ringLength = other.ringLength
        blocks.reserveCapacity(other.blocks.capacity)
        owners.reserveCapacity(other.owners.capacity)
        blocks += other.blocks.prefix(blockCount(end))
        owners += other.owners.prefix(blockCount(end))
    }

    private static func blockLength(window: Int?, chunk: Int, contextLength: Int) -> Int {
        window.map { min($0 - 1 + chunk + draftRoom, contextLength) } ?? growth
    }

    /// Bytes a cache of these settings holds with so many positions; when its context is full if nil.
    static func byteCount(
        headCount: Int, headDim: Int, window: Int?, chunk: Int, contextLength: Int, format: KVFormat, positions: Int? = nil
    ) -> Int {
        let length = blockLength(window: window, chunk: chunk, contextLength: contextLength)
        let held = window == nil ? ((positions ?? contextLength) + length - 1) / length * length : length
        return 2 * headCount * held * format.byteCount(headDim)
    }

    /// Bytes held now, those of shared blocks included.
    var byteCount: Int { blocks.count * blockByteCount }

    private var blockByteCount: Int { 2 * headCount * blockLength * format.byteCount(headDim) }

    /// Bytes it holds with positions below `end`.
    func byteCount(upTo end: Int) -> Int { blockCount(end) * blockByteCount }

    private func blockCount(_ end: Int) -> Int { window == nil ? (end + blockLength - 1) / blockLength : 1 }

    /// Makes room for positions that are about to be stored.
    func reserve(_ positions: Range<Int>) {
        let needed = blockCount(positions.upperBound)
        while blocks.count < needed {
            // Whatever is read was stored before; nothing needs to be zero.
            let block = Block(byteCount: blockByteCount)
            blocks.append(block.memory)
            owners.append(block)
        }
        for index in (window == nil ? positions.lowerBound / blockLength : 0)..<needed where !isKnownUniquelyReferenced(&owners[index]) {
            let copy = Block(byteCount: blockByteCount)
            copy.memory.copyMemory(from: blocks[index], byteCount: blockByteCount)
            blocks[index] = copy.memory
            owners[index] = copy
        }
    }

    /// Neighbouring positions of one head, as they lie in memory.
    struct Segment {
        let positions: Range<Int>
        let keys: UnsafeMutableRawPointer
        let values: UnsafeMutableRawPointer
        /// 8 bits only.
        let keyScales: UnsafeMutablePointer<Float>
        let valueScales: UnsafeMutablePointer<Float>
    }

    /// Bytes of one key or value, without its scale.
    var rowByteCount: Int { format == .q8_0 ? headDim : format.byteCount(headDim) }

    private func segment(_ positions: Range<Int>, head: Int) -> Segment {
        let slot = positions.lowerBound % blockLength
        let block = blocks[window == nil ? positions.lowerBound / blockLength : 0]
        let rowBytes = rowByteCount
        let index = head * blockLength + slot
        let all = headCount * blockLength
        let scales = (block + 2 * all * rowBytes).assumingMemoryBound(to: Float.self)
        return Segment(
            positions: positions, keys: block + index * rowBytes, values: block + (all + index) * rowBytes, keyScales: scales + index,
            valueScales: scales + all + index)
    }

    /// Keeps a key and a value, `N` floats each, rounded to the cache's format.
    func store(head: Int, position: Int, key: UnsafePointer<Float>, value: UnsafePointer<Float>) {
        let place = segment(position..<position + 1, head: head)
        switch format {
        case .f32:
            place.keys.copyMemory(from: key, byteCount: 4 * headDim)
            place.values.copyMemory(from: value, byteCount: 4 * headDim)
        case .f16:
            ck_f32_to_f16(key, place.keys.assumingMemoryBound(to: UInt16.self), headDim)
            ck_f32_to_f16(value, place.values.assumingMemoryBound(to: UInt16.self), headDim)
        case .q8_0:
            place.keyScales[0] = ck_f32_to_i8(key, place.keys.assumingMemoryBound(to: Int8.self), headDim)
            place.valueScales[0] = ck_f32_to_i8(value, place.values.assumingMemoryBound(to: Int8.self), headDim)
        }
    }

    /// Calls `body` for the contiguous pieces of `positions` in ascending order.
    @inline(__always)
    func forEachSegment(_ positions: Range<Int>, head: Int, _ body: (Segment) -> Void) {
        var start = positions.lowerBound
        while start < positions.upperBound {
            let end = min(positions.upperBound, (start / blockLength + 1) * blockLength)
            body(segment(start..<end, head: head))
            start = end
        }
    }

    /// The first position a query at `position` attends to.
    func firstVisible(from position: Int) -> Int {
        window.map { max(0, position - $0 + 1) } ?? 0
    }
}
