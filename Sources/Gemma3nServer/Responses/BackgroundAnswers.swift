internal import Checkpoint
internal import Logging
internal import Synchronization

/// Answers that are made in the background: begun by one request, asked for by others.
final class BackgroundAnswers: Sendable {
    private let desk: Desk
    private let store: Store
    private let runs = Mutex<[String: BackgroundRun]>([:])

    init(_ desk: Desk, _ store: Store) {
        self.desk = desk
        self.store = store
    }

    /// Those under way.
    subscript(id: String) -> BackgroundRun? { runs.withLock { $0[id] } }

    /// Takes one on. It is written before this returns.
    ///
    /// - Parameter body: The request, to be read again by a server after this one.
    func begin(_ request: ResponsesRequest, _ body: JSONValue, _ exchange: Exchange) async throws -> BackgroundRun {
        if desk.isStopping { throw Refusal(503, "The server is stopping.", code: "shutting_down", retryAfter: 5) }
        let run = BackgroundRun(ResponsesWriter(request: request))
        let answering = try desk.begin(request.work, for: exchange.with(connection: run.connection))
        try await store.begin(.init(id: run.writer.id, response: run.response, items: request.items, context: request.context, request: body))
        start(run) { answering }
        return run
    }

    /// Makes again what a server before this one did not finish.
    func resume(_ exchange: Exchange) {
        for id in store.interrupted {
            Task {
                do {
                    guard let (body, response) = try await store.request(of: id) else { return }
                    do {
                        let fields = Fields(body.object ?? JSONObject([]))
                        let request = try ResponsesRequest(fields, desk, context: try await ResponseContext.read(fields, store, for: id))
                        let run = BackgroundRun(ResponsesWriter(request: request, id: id, created: response["created_at"]?.int))
                        start(run) { [desk] in try await Self.patiently { try desk.begin(request.work, for: exchange.with(connection: run.connection)) } }
                    } catch {
                        try await store.end(id, response.adding("status", "failed").adding("error", ResponsesWriter.told(error)))
                    }
                } catch {
                    exchange.log.error("a response could not be made again", metadata: ["response": "\(id)", "error": "\(error)"])
                }
            }
        }
    }

    /// Waits until there is a place.
    private static func patiently(_ begin: () throws -> Answering) async throws -> Answering {
        while true {
            do {
                return try begin()
            } catch let refusal as Refusal where refusal.status == 429 {
                try await Task.sleep(for: .seconds(refusal.retryAfter ?? 1))
            }
        }
    }

    private func start(_ run: BackgroundRun, _ begin: @escaping @Sendable () async throws -> Answering) {
        let id = run.writer.id
        runs.withLock { $0[id] = run }
        Task { [store] in
            let isKept: Bool
            do {
                let answering = try await begin()
                isKept = try await run.writer.stream(answering, to: { run.send($0) }, begun: { run.response = $0 }) { response in
                    // Nobody is told before it is written.
                    do {
                        if try await store.end(id, response, events: run.told) { run.response = response }
                    } catch {
                        run.response = run.writer.frame("failed", error: ResponsesWriter.told(error))
                        throw error
                    }
                }
            } catch {
                run.response = run.writer.frame("failed", error: ResponsesWriter.told(error))
                isKept = (try? await store.end(id, run.response)) != nil
            }
            run.close()
            // One whose end could not be written can be asked for here as long as the server runs.
            if isKept { self.runs.withLock { $0[id] = nil } }
        }
    }

    /// Ends one. What has ended already stays as it is.
    func cancel(_ id: String) async throws {
        let run = self[id]
        let isCancelled = try await store.cancel(id, events: run?.told)
        guard isCancelled, let run else { return }
        run.response = run.writer.frame("cancelled")
        run.connection.close()
        run.close()
    }

    /// Waits until all have ended.
    func finish() async throws {
        while runs.withLock({ $0.values.contains { !$0.isEnded } }) { try await Task.sleep(for: .milliseconds(20)) }
    }
}
