internal import CKernels
internal import Synchronization
internal import Tensors

/// `softmax(q k) v` by blocks of keys.
///
/// Keys are cut where their position is a multiple of `AttentionScores.blockKeys`. For a query and a block: m, the largest
/// score; l, the sum of e^(score - m); o, the sum of e^(score - m) times value. Blocks are joined in ascending order:
///
///     M' = max(M, m);   L' = L e^(M - M') + l e^(m - M');   O' = O e^(M - M') + o e^(m - M')       at the end O / L
///
/// So a query's result depends on its position and on nothing else: neither on the queries beside it nor on how the blocks
/// were shared out, and the room needed does not grow with the context.
///
/// - Source: FlashAttention, arXiv:2205.14135; FlashAttention-2, arXiv:2307.08691.
extension TextAttention {
    func attend(
        _ queries: UnsafePointer<Float>, _ rows: TextRows, mixed: UnsafeMutablePointer<Float>, scores: AttentionScores, source: Int,
        _ parallelism: Parallelism
    ) {
        if rows.count == 0 { return }
        let attention = BlockAttention(
            queries: queries, rows: rows, mixed: mixed, source: source, headCount: headCount / queriesPerKVHead, n: headDim,
            queriesPerKVHead: queriesPerKVHead)
        // Few queries of a sequence: a task takes one block of keys, and sequences share a region. Many: one block of queries.
        var few = 0..<0
        var most = 0
        func finishFew() {
            if !few.isEmpty { attention.byKeys(few, most: most, scores, parallelism) }
        }
        while few.upperBound < rows.count {
            let next = rows.neighbours(from: few.upperBound)
            let blocks = attention.keyBlocks(from: next.lowerBound, to: next.upperBound - 1).count
            if (blocks + 1) * next.count > AttentionScores.partialLimit {
                finishFew()
                attention.byQueries(next, scores, parallelism)
                few = next.upperBound..<next.upperBound
                continue
            }
            if max(most, blocks) * (few.count + next.count) > AttentionScores.sharedLimit {
                finishFew()
                few = next
                most = blocks
            } else {
                few = few.lowerBound..<next.upperBound
                most = max(few.count == next.count ? 0 : most, blocks)
            }
        }
        finishFew()
    }
}

/// One call of `attend`.
private struct BlockAttention {
    let queries: UnsafePointer<Float>
    let rows: TextRows
    /// `[T, H N]`: the results, and before that the running sums O.
    let mixed: UnsafeMutablePointer<Float>
    /// The number of the cache in each sequence.
    let source: Int
    /// K.
    let headCount: Int
    /// N.
    let n: Int
    /// G: queries that share a key.
    let queriesPerKVHead: Int

    /// H N.
    private var width: Int { headCount * queriesPerKVHead * n }
    private static var blockKeys: Int { AttentionScores.blockKeys }

    /// Rows `first ..< first + count` of one sequence and one K/V head: their `count` G queries.
    private struct Tile {
        let first: Int
        let count: Int
        let head: Int
        let cache: KVCache
        /// `[count G, N]`.
        let queries: UnsafePointer<Float>
    }

    // MARK: Ways through the work

    /// A task takes a row, a K/V head and a block of keys; the blocks of a row are joined at the end.
    ///
    /// - Parameter most: Blocks of keys that a row sees at most.
    func byKeys(_ range: Range<Int>, most: Int, _ scores: AttentionScores, _ parallelism: Parallelism) {
        let (heads, g) = (headCount, queriesPerKVHead)
        let size = AttentionScores.roomSize(queries: g, headDim: n)
        scores.reserve(range.count * heads * most * size)
        let base = scores.pointer
        func tile(_ row: Int, _ head: Int) -> Tile {
            Tile(first: row, count: 1, head: head, cache: rows.cache(row, source), queries: queries + row * width + head * g * n)
        }
        func task(_ index: Int) {
            let (block, row, head) = (index % most, range.lowerBound + index / most / heads, index / most % heads)
            let blocks = keyBlocks(from: row, to: row)
            if block < blocks.count {
                compute(tile(row, head), block: blocks.lowerBound + block, in: Room(base + index * size, queries: g, headDim: n))
            }
        }
        func joinBlocks(of row: Int) {
            let count = keyBlocks(from: row, to: row).count
            for head in 0..<heads {
                let tile = tile(row, head)
                let first = ((row - range.lowerBound) * heads + head) * most
                let total = Room(base + first * size, queries: g, headDim: n)
                for block in 0..<count {
                    join(tile, Room(base + (first + block) * size, queries: g, headDim: n), running: total, isFirst: block == 0)
                }
                finish(tile, total)
            }
        }
        let tasks = range.count * heads * most
        // Handing out takes about as long as some ten thousand multiply-adds.
        let keys = range.reduce(0) { max($0, min(Self.blockKeys, rows.positions[$1] + 1)) }
        if tasks * keys * g * n < 1 << 17 {
            for index in 0..<tasks { task(index) }
        } else {
            parallelism.forEach(tasks, task)
        }
        if tasks * g * n < 1 << 15 {
            for row in range { joinBlocks(of: row) }
        } else {
            parallelism.forEach(range.count) { joinBlocks(of: range.lowerBound + $0) }
        }
    }

    /// A task takes a block of rows of one sequence and a K/V head, and goes through the blocks of keys.
    func byQueries(_ range: Range<Int>, _ scores: AttentionScores, _ parallelism: Parallelism) {
        let g = queriesPerKVHead
        let blockRows = AttentionScores.blockRows
        let rowBlocks = (range.count + blockRows - 1) / blockRows
        let items = rowBlocks * headCount
        let slots = min(parallelism.threadCount, items)
        let most = min(blockRows, range.count) * g
        // Room for the block, its running M and L, and the queries side by side.
        let roomSize = AttentionScores.roomSize(queries: most, headDim: n)
        let size = roomSize + 2 * most + most * n
        scores.reserve(slots * size)
        let base = scores.pointer
        let cache = rows.cache(range.lowerBound, source)
        scores.next.store(0, ordering: .relaxed)
        parallelism.forEach(slots) { slot in
            let room = Room(base + slot * size, queries: most, headDim: n)
            let running = Room(top: base + slot * size + roomSize, queries: most)
            let side = base + slot * size + roomSize + 2 * most
            while true {
                let item = scores.next.wrappingAdd(1, ordering: .relaxed).oldValue
                if item >= items { break }
                // The last rows see the most keys: they go first.
                let first = range.lowerBound + (rowBlocks - 1 - item / headCount) * blockRows
                let head = item % headCount
                let count = min(blockRows, range.upperBound - first)
                for r in 0..<count {
                    (side + r * g * n).update(from: queries + (first + r) * width + head * g * n, count: g * n)
                }
                let tile = Tile(first: first, count: count, head: head, cache: cache, queries: side)
                let blocks = keyBlocks(from: first, to: first + count - 1)
                for block in blocks {
                    compute(tile, block: block, in: room)
                    join(tile, room, running: running, isFirst: block == blocks.lowerBound)
                }
                finish(tile, running)
            }
        }
    }

    /// The blocks of keys that rows `first ... last` of one sequence see.
    func keyBlocks(from first: Int, to last: Int) -> Range<Int> {
        rows.cache(first, source).firstVisible(from: rows.positions[first]) / Self.blockKeys..<rows.positions[last] / Self.blockKeys + 1
    }

    // MARK: One block

    /// m, l and o of a tile's queries for one block of keys.
    private func compute(_ tile: Tile, block: Int, in room: Room) {
        let (g, stride) = (queriesPerKVHead, Self.blockKeys)
        let cache = tile.cache
        let tokens = tile.count * g
        let from = max(block * stride, cache.firstVisible(from: rows.positions[tile.first]))
        let to = min((block + 1) * stride, rows.positions[tile.first + tile.count - 1] + 1)
        let p = room.scores

        cache.forEachSegment(from..<to, head: tile.head) { s in
            let count = s.positions.count
            let y = p + (s.positions.lowerBound - from)
            switch cache.format {
            case .f32: ck_scores_f32(s.keys.assumingMemoryBound(to: Float.self), n, count, n, tile.queries, n, tokens, y, stride)
            case .f16: ck_scores_f16(s.keys.assumingMemoryBound(to: UInt16.self), n, count, n, tile.queries, n, tokens, y, stride)
            case .q8_0:
                ck_scores_i8(s.keys.assumingMemoryBound(to: Int8.self), n, count, n, tile.queries, n, tokens, y, stride)
                for t in 0..<tokens { ck_multiply_f32(y + t * stride, s.keyScales, y + t * stride, count) }
            }
        }
        if tile.count == 1 {
            // The values come next: the exponentials give them time to arrive.
            cache.forEachSegment(from..<min(to, from + 32), head: tile.head) { s in
                ck_prefetch(s.values, s.positions.count * cache.rowByteCount)
            }
        }
        for r in 0..<tile.count {
            let position = rows.positions[tile.first + r]
            let start = max(from, cache.firstVisible(from: position)) - from
            let end = min(to, position + 1) - from
            for t in r * g..<(r + 1) * g {
                let row = p + t * stride
                if start >= end {
                    room.m[t] = -.infinity
                    room.l[t] = 0
                    row.update(repeating: 0, count: to - from)
                    continue
                }
                // Keys this row does not see weigh nothing.
                row.update(repeating: 0, count: start)
                (row + end).update(repeating: 0, count: to - from - end)
                room.m[t] = ck_max_f32(row + start, end - start)
                room.l[t] = ck_exp_sum_f32(row + start, room.m[t], end - start)
            }
        }
        room.o.update(repeating: 0, count: tokens * n)
        cache.forEachSegment(from..<to, head: tile.head) { s in
            let count = s.positions.count
            let w = p + (s.positions.lowerBound - from)
            switch cache.format {
            case .f32:
                ck_weighted_sums_f32(w, stride, tokens, count, s.values.assumingMemoryBound(to: Float.self), n, room.o, n, n)
            case .f16:
                ck_weighted_sums_f16(w, stride, tokens, count, s.values.assumingMemoryBound(to: UInt16.self), n, room.o, n, n)
            case .q8_0:
                for t in 0..<tokens { ck_multiply_f32(w + t * stride, s.valueScales, w + t * stride, count) }
                ck_weighted_sums_i8(w, stride, tokens, count, s.values.assumingMemoryBound(to: Int8.self), n, room.o, n, n)
            }
        }
    }

    /// Adds a block to the running sums: O in `mixed`, M and L in `running` (which may be the first block's own room).
    private func join(_ tile: Tile, _ room: Room, running: Room, isFirst: Bool) {
        let g = queriesPerKVHead
        for t in 0..<tile.count * g {
            let out = mixed + (tile.first + t / g) * width + (tile.head * g + t % g) * n
            let (m, l) = (room.m[t], room.l[t])
            if isFirst {
                running.m[t] = -.infinity
                running.l[t] = 0
            }
            if m == -.infinity, l == 0 { continue }
            if running.l[t] == 0 {
                out.update(from: room.o + t * n, count: n)
                running.m[t] = m
                running.l[t] = l
                continue
            }
            let top = max(running.m[t], m)
            let (old, new) = (exponential(running.m[t] - top), exponential(m - top))
            running.m[t] = top
            running.l[t] = running.l[t] * old + l * new
            ck_scale_axpy_f32(old, new, room.o + t * n, out, n)
        }
    }

    private func exponential(_ x: Float) -> Float {
        var x = x
        return ck_exp_sum_f32(&x, 0, 1)
    }

    private func finish(_ tile: Tile, _ running: Room) {
        let g = queriesPerKVHead
        for t in 0..<tile.count * g {
            let out = mixed + (tile.first + t / g) * width + (tile.head * g + t % g) * n
            ck_scale_f32(1 / running.l[t], out, out, n)
        }
    }
}

/// Where a task keeps what it computes for one block of keys.
private struct Room {
    /// Largest score and sum of exponentials of every query.
    let m: UnsafeMutablePointer<Float>
    let l: UnsafeMutablePointer<Float>
    /// Weighted sums of values, `[queries, N]`.
    let o: UnsafeMutablePointer<Float>
    /// `[queries, blockKeys]`.
    let scores: UnsafeMutablePointer<Float>

    init(_ base: UnsafeMutablePointer<Float>, queries: Int, headDim: Int) {
        m = base
        l = base + queries
        o = base + 2 * queries
        scores = o + queries * headDim
    }

    /// Running M and L only.
    init(top base: UnsafeMutablePointer<Float>, queries: Int) {
        m = base
        l = base + queries
        o = base
        scores = base
    }
}

/// Room for attention's scores and partial sums. Its size depends on the model, the threads and a fixed bound, not on the context.
final class AttentionScores {
    /// Query rows handled together.
    static let blockRows = 16
    /// Keys handled together.
    static let blockKeys = 256
    /// Rows times blocks of keys whose partial sums are kept at a time.
    static let partialLimit = 260
    /// The same for rows of several sequences.
    static let sharedLimit = 1040
    private var buffer = FloatBuffer(count: 0)
    /// The next task of a region whose tasks are more than its slots.
    let next = Atomic<Int>(0)

    /// Floats a `Room` needs.
    static func roomSize(queries: Int, headDim: Int) -> Int { queries * (2 + headDim + blockKeys) }

    func reserve(_ count: Int) {
        // Half as much again, so that a growing context rarely allocates.
        if count > buffer.count { buffer = FloatBuffer(count: count + count / 2) }
    }

    var pointer: UnsafeMutablePointer<Float> { buffer.pointer }
}
