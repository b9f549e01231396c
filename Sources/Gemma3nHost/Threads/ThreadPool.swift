internal import CKernels
internal import Synchronization
public import Tensors

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#elseif canImport(Darwin)
internal import Darwin
#endif

/// Threads that share the tasks of a parallel region: the caller and `threadCount - 1` workers.
///
/// A region gives every thread a run of neighbouring task numbers, which usually means neighbouring memory, and lets threads that have
/// finished theirs take single tasks of the others': a thread that a busy neighbour slows down does fewer tasks and holds up nobody
/// for longer than one. Workers that find no work spin for some microseconds (the next
/// region of a token usually follows at once) and then sleep on a condition variable. Starting a region allocates one box of
/// 32 bytes, in which `withoutActuallyEscaping` lends the closure to the workers, and nothing else.
///
/// A waiting worker fetches what it was told it will read first (`Parallelism.willRead`), so that memory is busy between regions.
///
/// Regions from several threads take turns. A region started from inside a task runs on that thread alone.
public final class ThreadPool: Sendable {
    /// Threads that run tasks at the same time, the caller included.
    public let threadCount: Int
    private let shared: Shared
    private let workers: [pthread_t]

    /// - Parameter threadCount: At least 1; with 1 everything runs on the caller. If the system refuses a thread, the pool
    ///   makes do with those it got.
    public init(threadCount: Int = ProcessorCount.defaultThreadCount) {
        let shared = Shared(threadCount: max(1, threadCount))
        var workers: [pthread_t] = []
        for index in 1..<max(1, threadCount) {
            guard let thread = Self.start(shared, index) else { break }
            workers.append(thread)
        }
        self.shared = shared
        self.workers = workers
        self.threadCount = workers.count + 1
        shared.workerCount.store(workers.count, ordering: .relaxed)
    }

    deinit {
        shared.stop()
        for worker in workers { pthread_join(worker, nil) }
    }

    /// The pool as the core sees it. Keeps the pool alive.
    public var parallelism: Parallelism {
        Parallelism(threadCount: threadCount, expect: { self.shared.expect($0, $1) }) { count, task in self.run(count, task) }
    }

    /// Calls `task` once for every index in `0 ..< count`, on any thread and in any order; returns when all are done.
    public func run(_ count: Int, _ task: (Int) -> Void) {
        if count <= 1 || threadCount == 1 || pthread_getspecific(Self.insideTask) != nil {
            for index in 0..<max(0, count) { task(index) }
            return
        }
        shared.run(count, task)
    }

    // MARK: Threads

    /// Set on a thread while it runs tasks.
    fileprivate static let insideTask: pthread_key_t = {
        var key = pthread_key_t()
        precondition(pthread_key_create(&key, nil) == 0, "no thread-specific storage left")
        return key
    }()

    private static func start(_ shared: Shared, _ index: Int) -> pthread_t? {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        // The kernels keep blocks of partial sums on the stack; Darwin's default of 512 KiB would do, this leaves room.
        pthread_attr_setstacksize(&attributes, 2 << 20)
        let argument = Unmanaged.passRetained(Worker(shared: shared, index: index))
        #if canImport(Darwin)
        var thread: pthread_t?
        let result = pthread_create(&thread, &attributes, { Unmanaged<Worker>.fromOpaque($0).takeRetainedValue().work(); return nil }, argument.toOpaque())
        #else
        var thread = pthread_t()
        let result = pthread_create(&thread, &attributes, { Unmanaged<Worker>.fromOpaque($0!).takeRetainedValue().work(); return nil }, argument.toOpaque())
        #endif
        if result != 0 {
            argument.release()
            return nil
        }
        return thread
    }
}

/// What a thread is started with.
private final class Worker {
    private let shared: Shared
    private let index: Int

    init(shared: Shared, index: Int) {
        self.shared = shared
        self.index = index
    }

    func work() { shared.work(as: index) }
}

/// What the caller and the workers share.
private final class Shared: @unchecked Sendable {
    /// Rounds of `pause` before a worker sleeps, some hundred microseconds; the caller waits for the last tasks as long as they take.
    static let spins = 20_000
    /// Every so many rounds a waiting thread offers its processor: on a busy machine the one it waits for may need it.
    static let roundsPerYield = 100

    let workerCount = Atomic<Int>(0)
    /// Number of the current region; workers wait for it to change. Odd while a region takes new workers.
    private let epoch = Atomic<Int>(0)
    /// For every thread the next task of its run, a cache line apart.
    private let next: UnsafeMutablePointer<Atomic<Int>>
    private let threadCount: Int
    private static let nextStride = 16
    /// For every thread where the memory begins that it reads first in the region to come, and how much of it; a cache line apart.
    private let ahead: UnsafeMutablePointer<Atomic<UInt>>
    private let aheadCount: UnsafeMutablePointer<Atomic<Int>>
    /// Bytes a waiting worker fetches ahead: what memory gives it in some microseconds, a small part of its second-level cache.
    private static let workerFetches = 128 << 10
    /// Bytes the caller asks for before it goes on with work of its own: as many lines as may be under way at a time.
    private static let callerFetches = 8 << 10
    /// Bytes fetched between two looks at whether there is work.
    private static let fetchStep = 1 << 10
    /// Workers inside the current region.
    private let inside = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)
    private let sleepers = Atomic<Int>(0)
    // Written before `epoch` announces the region, read after.
    private nonisolated(unsafe) var count = 0
    private nonisolated(unsafe) var region: UnsafePointer<Region>?

    /// A closure as it is: to be pointed at alone it would be wrapped in another one on the heap.
    private struct Region {
        let task: (Int) -> Void
    }

    private let regionLock: UnsafeMutablePointer<pthread_mutex_t>
    private let sleepLock: UnsafeMutablePointer<pthread_mutex_t>
    private let wake: UnsafeMutablePointer<pthread_cond_t>

    init(threadCount: Int) {
        self.threadCount = threadCount
        next = .allocate(capacity: threadCount * Self.nextStride)
        for i in 0..<threadCount * Self.nextStride { (next + i).initialize(to: Atomic(0)) }
        ahead = .allocate(capacity: threadCount * Self.nextStride)
        aheadCount = .allocate(capacity: threadCount * Self.nextStride)
        for i in 0..<threadCount * Self.nextStride {
            (ahead + i).initialize(to: Atomic(0))
            (aheadCount + i).initialize(to: Atomic(0))
        }
        regionLock = .allocate(capacity: 1)
        sleepLock = .allocate(capacity: 1)
        wake = .allocate(capacity: 1)
        pthread_mutex_init(regionLock, nil)
        pthread_mutex_init(sleepLock, nil)
        pthread_cond_init(wake, nil)
    }

    deinit {
        pthread_mutex_destroy(regionLock)
        pthread_mutex_destroy(sleepLock)
        pthread_cond_destroy(wake)
        next.deinitialize(count: threadCount * Self.nextStride)
        next.deallocate()
        ahead.deinitialize(count: threadCount * Self.nextStride)
        ahead.deallocate()
        aheadCount.deinitialize(count: threadCount * Self.nextStride)
        aheadCount.deallocate()
        regionLock.deallocate()
        sleepLock.deallocate()
        wake.deallocate()
    }

    func expect(_ thread: Int, _ bytes: UnsafeRawBufferPointer) {
        if thread >= threadCount { return }
        aheadCount[thread * Self.nextStride].store(min(bytes.count, thread == 0 ? Self.callerFetches : Self.workerFetches), ordering: .relaxed)
        ahead[thread * Self.nextStride].store(UInt(bitPattern: bytes.baseAddress), ordering: .releasing)
    }

    /// What `thread` was told it will read first, once.
    private func takeExpected(_ thread: Int) -> UnsafeRawBufferPointer? {
        let slot = thread * Self.nextStride
        if ahead[slot].load(ordering: .relaxed) == 0 { return nil }
        let start = UnsafeRawPointer(bitPattern: ahead[slot].exchange(0, ordering: .acquiring))
        return start.map { UnsafeRawBufferPointer(start: $0, count: aheadCount[slot].load(ordering: .relaxed)) }
    }

    func run(_ count: Int, _ task: (Int) -> Void) {
        pthread_mutex_lock(regionLock)
        withoutActuallyEscaping(task) { task in
            // The closure lives in this frame until every worker has left the region.
            withUnsafePointer(to: Region(task: task)) { pointer in
                self.count = count
                self.region = pointer
                for thread in 0..<threadCount { next[thread * Self.nextStride].store(Parallelism.firstTask(of: thread, count, threadCount: threadCount), ordering: .relaxed) }
                epoch.wrappingAdd(1, ordering: .sequentiallyConsistent)
                if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
                    pthread_mutex_lock(sleepLock)
                    pthread_cond_broadcast(wake)
                    pthread_mutex_unlock(sleepLock)
                }
                takeTasks(task, count, as: 0)
                if let expected = takeExpected(0) { ck_prefetch_later(expected.baseAddress, expected.count) }
                // Close the region, then wait for those inside: nobody enters a closed one.
                epoch.wrappingAdd(1, ordering: .sequentiallyConsistent)
                var spins = 0
                while inside.load(ordering: .acquiring) != 0 {
                    spins += 1
                    if spins % Self.roundsPerYield != 0 { ck_pause() } else { sched_yield() }
                }
            }
        }
        pthread_mutex_unlock(regionLock)
    }

    @inline(__always)
    private func takeTasks(_ task: (Int) -> Void, _ count: Int, as thread: Int) {
        pthread_setspecific(ThreadPool.insideTask, UnsafeRawPointer(bitPattern: 1))
        // Its own run first, then what is left of the others'.
        for other in 0..<threadCount {
            let owner = (thread + other) % threadCount
            let end = Parallelism.firstTask(of: owner + 1, count, threadCount: threadCount)
            while true {
                let index = next[owner * Self.nextStride].wrappingAdd(1, ordering: .relaxed).oldValue
                if index >= end { break }
                task(index)
            }
        }
        pthread_setspecific(ThreadPool.insideTask, nil)
    }

    func work(as thread: Int) {
        var seen = 0
        while true {
            guard let current = waitForRegion(after: seen, as: thread) else { return }
            // Enter first, then look whether the region is still open: the caller closes it first, then looks who is inside.
            inside.wrappingAdd(1, ordering: .sequentiallyConsistent)
            if epoch.load(ordering: .sequentiallyConsistent) == current, let region {
                takeTasks(region.pointee.task, count, as: thread)
            }
            inside.wrappingSubtract(1, ordering: .sequentiallyConsistent)
            seen = current
        }
    }

    /// The number of an open region other than `seen`; nil when the pool stops.
    private func waitForRegion(after seen: Int, as thread: Int) -> Int? {
        var expected = UnsafeRawBufferPointer(start: nil, count: 0)
        for round in 0..<Self.spins {
            let current = epoch.load(ordering: .acquiring)
            if current != seen && current & 1 == 1 { return current }
            if stopping.load(ordering: .relaxed) { return nil }
            if let new = takeExpected(thread) { expected = new }
            if !expected.isEmpty {
                let step = min(expected.count, Self.fetchStep)
                ck_prefetch_later(expected.baseAddress, step)
                expected = UnsafeRawBufferPointer(rebasing: expected[step...])
                continue
            }
            if round % Self.roundsPerYield == Self.roundsPerYield - 1 { sched_yield() } else { ck_pause() }
        }
        pthread_mutex_lock(sleepLock)
        defer { pthread_mutex_unlock(sleepLock) }
        // Announced before the last look at `epoch`; the caller changes `epoch` before it looks for sleepers.
        sleepers.wrappingAdd(1, ordering: .sequentiallyConsistent)
        defer { sleepers.wrappingSubtract(1, ordering: .sequentiallyConsistent) }
        while true {
            let current = epoch.load(ordering: .sequentiallyConsistent)
            if current != seen && current & 1 == 1 { return current }
            if stopping.load(ordering: .sequentiallyConsistent) { return nil }
            pthread_cond_wait(wake, sleepLock)
        }
    }

    func stop() {
        pthread_mutex_lock(sleepLock)
        stopping.store(true, ordering: .sequentiallyConsistent)
        pthread_cond_broadcast(wake)
        pthread_mutex_unlock(sleepLock)
    }
}
