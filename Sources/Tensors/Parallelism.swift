/// How the core spreads work over threads: a value handed down like the weights.
///
/// Serial by default; a host passes one backed by its thread pool. Tasks of one `forEach` run in any order and on any
/// thread, so they must write to different places; since every output element is computed by one task in one fixed
/// order, the thread count never changes a result.
public struct Parallelism {
    /// Threads that may run tasks at the same time, the caller included; at least 1.
    public let threadCount: Int
    private let run: (_ count: Int, _ task: (Int) -> Void) -> Void
    private let expect: (_ thread: Int, _ bytes: UnsafeRawBufferPointer) -> Void

    /// - Parameters:
    ///   - run: Calls `task` once for every index in `0 ..< count` and returns when all are done. Threads should begin where `firstTask`
    ///     says.
    ///   - expect: Told what a thread will read first in the region after the next one; it may fetch that while it waits.
    public init(
        threadCount: Int, expect: @escaping (_ thread: Int, _ bytes: UnsafeRawBufferPointer) -> Void = { _, _ in },
        run: @escaping (_ count: Int, _ task: (Int) -> Void) -> Void
    ) {
        self.threadCount = max(1, threadCount)
        self.run = run
        self.expect = expect
    }

    /// Where the run of neighbouring tasks that `thread` begins with starts; that of the last thread ends at `count`.
    public static func firstTask(of thread: Int, _ count: Int, threadCount: Int) -> Int {
        // count * thread / threadCount, which might be too large before the division.
        count / threadCount * thread + count % threadCount * thread / threadCount
    }

    /// Says what `thread` will read first in the region after the next one. Changes speed only.
    package func willRead(_ bytes: UnsafeRawBufferPointer, by thread: Int) { expect(thread, bytes) }

    /// Everything on the calling thread.
    public static var serial: Parallelism {
        Parallelism(threadCount: 1) { count, task in
            for index in 0..<count { task(index) }
        }
    }

    /// Calls `task` for every index in `0 ..< count`; returns when all are done.
    @inline(__always)
    public func forEach(_ count: Int, _ task: (Int) -> Void) {
        if count <= 0 { return }
        if count == 1 { task(0) } else { run(count, task) }
    }

    /// Calls `task` for consecutive ranges of at most `size` that cover `0 ..< count`.
    @inline(__always)
    public func forEachRange(_ count: Int, by size: Int, _ task: (Range<Int>) -> Void) {
        let size = max(1, size)
        forEach((count + size - 1) / size) { task($0 * size..<min(count, ($0 + 1) * size)) }
    }
}

// The closure is the host's; it is called from the one thread that drives a session.
extension Parallelism: @unchecked Sendable {}
