internal import Synchronization

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// A thread that runs jobs one after the other: where a session computes, so that no task of the caller's is blocked.
///
/// The thread starts with the first job and ends after the last one once nobody holds the `SessionThread` any more.
final class SessionThread: Sendable {
    private let queue = JobQueue()
    private let isStarted = Mutex(false)

    deinit { queue.close() }

    /// Adds a job; jobs run in the order in which they were added.
    func run(_ job: @escaping @Sendable () -> Void) {
        queue.push(job)
        isStarted.withLock { isStarted in
            if !isStarted { isStarted = Self.start(queue) }
        }
    }

    /// Runs a job and waits for what comes of it.
    func result<T: Sendable, E: Error>(_ job: @escaping @Sendable () throws(E) -> T) async throws(E) -> T {
        let result: Result<T, E> = await withCheckedContinuation { continuation in
            run { continuation.resume(returning: Result { () throws(E) in try job() }) }
        }
        return try result.get()
    }

    private static func start(_ queue: JobQueue) -> Bool {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        // The default differs between systems (512 KiB on Apple's); layers recurse little, but media libraries like room.
        pthread_attr_setstacksize(&attributes, 8 << 20)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        defer { pthread_attr_destroy(&attributes) }
        let context = Unmanaged.passRetained(queue).toOpaque()
        #if canImport(Darwin)
        var thread: pthread_t?
        let status = pthread_create(&thread, &attributes, { context in
            Unmanaged<JobQueue>.fromOpaque(context).takeRetainedValue().work()
            return nil
        }, context)
        #else
        var thread = pthread_t()
        let status = pthread_create(&thread, &attributes, { context in
            if let context { Unmanaged<JobQueue>.fromOpaque(context).takeRetainedValue().work() }
            return nil
        }, context)
        #endif
        precondition(status == 0, "the system gives no thread (error \(status))")
        return true
    }
}

/// Jobs waiting for the thread.
private final class JobQueue: @unchecked Sendable {
    // The mutex guards `jobs` and `isClosed`; both addresses stay put for the life of the queue.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let wakeUp = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var jobs: [@Sendable () -> Void] = []
    private var isClosed = false

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wakeUp, nil)
    }

    deinit {
        pthread_cond_destroy(wakeUp)
        pthread_mutex_destroy(mutex)
        wakeUp.deallocate()
        mutex.deallocate()
    }

    func push(_ job: @escaping @Sendable () -> Void) {
        pthread_mutex_lock(mutex)
        jobs.append(job)
        pthread_cond_signal(wakeUp)
        pthread_mutex_unlock(mutex)
    }

    func close() {
        pthread_mutex_lock(mutex)
        isClosed = true
        pthread_cond_signal(wakeUp)
        pthread_mutex_unlock(mutex)
    }

    /// Runs jobs until the queue is closed and empty.
    func work() {
        while let job = next() { job() }
    }

    private func next() -> (@Sendable () -> Void)? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while jobs.isEmpty {
            if isClosed { return nil }
            pthread_cond_wait(wakeUp, mutex)
        }
        return jobs.removeFirst()
    }
}
