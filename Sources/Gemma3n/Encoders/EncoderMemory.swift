internal import CKernels
internal import Tensors

/// The memory of one run of an encoder: blocks that are given back are handed out again, so that the system clears each page
/// once. Used by the thread that drives the run; the threads of a parallel region get their share beforehand.
final class EncoderMemory {
    private var free: [(pointer: UnsafeMutablePointer<Float>, capacity: Int)] = []

    /// A block that goes back by itself when nothing refers to it any more.
    final class Loan {
        let pointer: UnsafeMutablePointer<Float>
        private let capacity: Int
        private let memory: EncoderMemory

        fileprivate init(_ count: Int, _ memory: EncoderMemory) {
            (pointer, capacity) = memory.take(count)
            self.memory = memory
        }

        deinit { memory.free.append((pointer, capacity)) }
    }

    init() {}

    deinit { for block in free { UnsafeMutableRawPointer(block.pointer).deallocate() } }

    /// At least `count` floats, uninitialised, aligned to 64 bytes.
    func lend(_ count: Int) -> Loan { Loan(count, self) }

    private func take(_ count: Int) -> (pointer: UnsafeMutablePointer<Float>, capacity: Int) {
        // The smallest that is large enough, but not one that is needed for much larger things.
        var best: Int?
        for (index, block) in free.enumerated() where block.capacity >= count && block.capacity / 4 <= count {
            if best.map({ free[$0].capacity > block.capacity }) ?? true { best = index }
        }
        if let best { return free.remove(at: best) }
        let capacity = max(16, (count + 15) / 16 * 16)
        let raw = UnsafeMutableRawPointer.allocate(byteCount: capacity * 4, alignment: 64)
        return (raw.bindMemory(to: Float.self, capacity: capacity), capacity)
    }

    /// Calls `body` for every number in `0 ..< count`, spread over the threads; calls on one thread share `scratch` floats of
    /// memory, uninitialised at first.
    func forEach(
        _ count: Int, scratch size: Int, _ parallelism: Parallelism, _ body: (_ index: Int, _ scratch: UnsafeMutablePointer<Float>) -> Void
    ) {
        let workers = min(count, parallelism.threadCount)
        if workers == 0 { return }
        let step = (max(size, 1) + 15) / 16 * 16
        let block = lend(workers * step)
        var next = 0
        withUnsafeMutablePointer(to: &next) { next in
            // As many tasks as threads, each taking numbers until there are none: a slow thread takes fewer.
            parallelism.forEach(workers) { worker in
                while true {
                    let index = ck_take_number(next)
                    if index >= count { break }
                    body(index, block.pointer + worker * step)
                }
            }
        }
    }

    /// Calls `body` for consecutive ranges that cover `0 ..< pixelCount`, spread over the threads, each with `scratchPerPixel`
    /// floats of memory for every pixel of the range, and `work`, the memory that one product with one of `matrices` takes, and at least
    /// `least` floats.
    ///
    /// The size of the ranges follows the cache and the thread count; no result depends on it.
    func forEachTile(
        _ pixelCount: Int, scratchPerPixel: Int, _ matrices: [ReadyMatrix], least: Int = 0, _ parallelism: Parallelism,
        _ body: (_ pixels: Range<Int>, _ scratch: UnsafeMutablePointer<Float>, _ work: UnsafeMutablePointer<Float>) -> Void
    ) {
        let tile = Self.tileSize(pixelCount, parallelism.threadCount)
        let size = (tile * scratchPerPixel + 15) / 16 * 16
        let work = matrices.reduce(least) { max($0, $1.scratchCount(tokens: tile)) }
        forEach((pixelCount + tile - 1) / tile, scratch: size + work, parallelism) { index, scratch in
            body(index * tile..<min((index + 1) * tile, pixelCount), scratch, scratch + size)
        }
    }

    /// Every tile reads and transposes all weights of its block, so tiles are large; but there are at least two for a thread.
    static func tileSize(_ pixelCount: Int, _ threadCount: Int) -> Int {
        let round = 2 * threadCount
        let tiles = ((pixelCount + 191) / 192 + round - 1) / round * round
        return max(12, ((pixelCount + tiles - 1) / max(tiles, 1) + 11) / 12 * 12)
    }
}
