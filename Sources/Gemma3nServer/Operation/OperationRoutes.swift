internal import Checkpoint
internal import Gemma3nHost
internal import HTTPTypes

/// Whether the server is alive and takes requests, and what it has done.
struct OperationRoutes {
    let desk: Desk
    let figures: HTTPFigures
    let store: Store
    let batches: BatchRunner

    var routes: [Route] {
        [
            Route(.get, "/health", isOpen: true) { _ in .json(["status": "ok"]) },
            Route(.get, "/ready", isOpen: true) { [desk] _ in
                if desk.isStopping { throw Refusal(503, "The server is stopping.", code: "stopping", retryAfter: 5) }
                return .json(["status": "ready"])
            },
            Route(.get, "/metrics") { [desk, figures, store, batches] _ in
                var metrics = Metrics(desk.room.figures, figures.counted, try await store.figures())
                metrics.add(desk.storage.current, batches.linesDone)
                return .text(metrics.text, type: "text/plain; version=0.0.4; charset=utf-8")
            },
        ]
    }
}
