internal import Gemma3nHost
internal import Logging
internal import Synchronization

/// Runs the batches of a folder, a few at a time, until they or the server end.
final class BatchRunner: Sendable {
    private struct State {
        /// Batches on their way, and of those that answer lines, that work.
        var tasks: [String: Task<Void, Never>] = [:]
        var lines: [String: Task<Void, any Error>] = [:]
        var isStopped = false
        var done = (completed: 0, failed: 0)
    }

    private static let batchLimit = 4

    private let desk: Desk
    private let router: Router
    private let log: Logger
    private let state = Mutex(State())

    /// - Parameter router: Where lines are answered.
    init(_ desk: Desk, _ router: Router, _ log: Logger) {
        self.desk = desk
        self.router = router
        self.log = log
    }

    /// Lines answered since the server began.
    var linesDone: (completed: Int, failed: Int) { state.withLock { $0.done } }

    /// Goes on with batches that are not over, the oldest first.
    func wake(_ opened: Storage.Opened) {
        let batches = opened.batches.all.filter { !$0.status.isEnd }
        state.withLock { state in
            guard !state.isStopped else { return }
            for batch in batches where state.tasks[batch.id] == nil && (state.tasks.count < Self.batchLimit || batch.status == .cancelling) {
                state.tasks[batch.id] = Task { await run(batch, opened) }
            }
        }
    }

    private func run(_ batch: Batch, _ opened: Storage.Opened) async {
        let run = BatchRun(id: batch.id, desk: desk, opened: opened, router: router, log: log) { [self] isFailure in
            state.withLock { state in
                if isFailure { state.done.failed += 1 } else { state.done.completed += 1 }
            }
        }
        do {
            try await run.run { body in try await answerLines(batch.id, opened, body) }
        } catch is CancellationError {
            // The server stops: the next one goes on.
        } catch {
            log.error("a batch cannot go on", metadata: ["batch": "\(batch.id)", "error": "\(error)"])
            let failed = try? opened.batches.change(batch.id) { batch in
                batch.errors.append(BatchLineError(code: "server_error", message: "The server could not read or write the batch's files. Its log says more."))
                batch.come(to: .failed, at: opened.files.clock())
            }
            // What cannot even be noted is tried again, but not at once.
            if failed == nil { try? await Task.sleep(for: .seconds(10)) }
        }
        if opened.batches[batch.id]?.status.isEnd ?? true { opened.files.release(batch.inputFile) }
        state.withLock { $0.tasks[batch.id] = nil }
        wake(opened)
    }

    private func answerLines(_ id: String, _ opened: Storage.Opened, _ body: @escaping @Sendable () async throws -> Void) async throws {
        let lines: Task<Void, any Error> = state.withLock { state in
            let lines = Task { try await body() }
            state.lines[id] = lines
            return lines
        }
        // It may have been cancelled before there was anything to cancel.
        if opened.batches[id]?.status == .cancelling { lines.cancel() }
        do {
            try await withTaskCancellationHandler { try await lines.value } onCancel: { lines.cancel() }
        } catch is CancellationError {
        }
        state.withLock { $0.lines[id] = nil }
    }

    /// Ends what is being answered of a batch that was cancelled.
    func cancelLines(of id: String) { state.withLock { $0.lines[id] }?.cancel() }

    /// Leaves all batches where they are.
    func stop() async {
        let tasks = state.withLock { state in
            state.isStopped = true
            return Array(state.tasks.values)
        }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }
}
