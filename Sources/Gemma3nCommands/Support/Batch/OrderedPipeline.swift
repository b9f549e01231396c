internal import Dispatch

/// Items read, worked on many at a time, and written in the order in which they were read. No more than fill a window are between
/// reading and writing, so memory stays bounded however many there are.
package enum OrderedPipeline {
    /// - Parameters:
    ///   - window: Places for items read and not yet written.
    ///   - next: The next item, nil at the end. May block: it is called on a thread of its own.
    ///   - size: Places that an item takes: at least one, at most all.
    ///   - start: Begins the work on an item, in order, on the same thread. What it returns waits for the result.
    ///   - write: Takes the results in order.
    /// - Throws: What `next` and `write` throw; results of items before are written first.
    package static func run<Item, Result: Sendable>(
        window: Int, next: sending @escaping () throws -> Item?, size: @escaping @Sendable (Item) -> Int = { _ in 1 },
        start: sending @escaping (Item) -> @Sendable () async -> Result,
        write: (Result) async throws -> Void
    ) async throws {
        // Counted up from 0: a semaphore must not end below what it began with.
        let places = DispatchSemaphore(value: 0)
        for _ in 0..<max(1, window) { places.signal() }
        let (tasks, continuation) = AsyncThrowingStream<(task: Task<Result, Never>, size: Int), any Error>.makeStream(bufferingPolicy: .unbounded)
        let reading = Reading(next: next, start: start)
        DispatchQueue(label: "gemma3n.batch.input").async {
            do {
                while true {
                    places.wait()
                    guard let item = try reading.next() else { break }
                    let size = max(1, min(size(item), window))
                    for _ in 1..<size { places.wait() }
                    let result = reading.start(item)
                    continuation.yield((Task { await result() }, size))
                }
                continuation.finish()
            } catch {
                continuation.finish(throwing: error)
            }
        }
        for try await (task, size) in tasks {
            try await write(await task.value)
            for _ in 0..<size { places.signal() }
        }
    }

    /// Handed over once, to the thread that reads.
    private struct Reading<Item, Result>: @unchecked Sendable {
        let next: () throws -> Item?
        let start: (Item) -> @Sendable () async -> Result
    }
}
