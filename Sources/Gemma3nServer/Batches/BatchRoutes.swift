internal import Checkpoint
internal import Gemma3nHost
internal import HTTPTypes

/// `/v1/batches`
struct BatchRoutes {
    let desk: Desk
    let runner: BatchRunner

    var routes: [Route] {
        [
            Route(.post, "/v1/batches") { [self] in .json(try await create($0).json) },
            Route(.get, "/v1/batches") { [self] exchange in
                let wish = try ListWish(exchange.query)
                let batches = try await onDisk { [desk] in try desk.storage.existing()?.batches.all ?? [] }
                return .json(try wish.page(of: batches.map(\.json)))
            },
            Route(.get, "/v1/batches/{id}") { [self] in .json(try await batch($0).batch.json) },
            Route(.post, "/v1/batches/{id}/cancel") { [self] in .json(try await cancel($0).json) },
        ]
    }

    /// - Throws: 404 if there is none of that name.
    private func batch(_ exchange: Exchange) async throws -> (batch: Batch, opened: Storage.Opened) {
        let id = exchange.parameters["id"] ?? ""
        let opened = try await onDisk { [desk] in try desk.storage.existing() }
        guard let opened, let batch = opened.batches[id] else { throw Refusal(404, "There is no batch '\(id.prefix(80))'.", code: "batch_not_found") }
        return (batch, opened)
    }

    private func create(_ exchange: Exchange) async throws -> Batch {
        let wish = try BatchWish(try exchange.fields())
        let opened = try await onDisk { [desk] in try desk.storage.existing() }
        guard let opened, let file = opened.files[wish.inputFile] else { throw FileStore.unknown(wish.inputFile, field: "input_file_id") }
        guard file.purpose == "batch" else {
            throw Refusal(
                400, "input_file_id names a file of purpose \"\(file.purpose)\", expected \"batch\".", field: "input_file_id", code: "invalid_value")
        }
        let batch = try await onDisk { [desk] in
            opened.files.hold(file.id)
            do {
                return try opened.batches.add { Batch(wish, order: $0, model: desk.settings.modelName, created: opened.files.clock()) }
            } catch {
                opened.files.release(file.id)
                throw error
            }
        }
        runner.wake(opened)
        return batch
    }

    private func cancel(_ exchange: Exchange) async throws -> Batch {
        let (batch, opened) = try await batch(exchange)
        let cancelled = try await onDisk {
            try opened.batches.change(batch.id) { batch in
                switch batch.status {
                case .validating, .inProgress: batch.come(to: .cancelling, at: opened.files.clock())
                case .cancelling, .cancelled: break
                case .finalizing, .completed, .failed, .expired:
                    throw Refusal(400, "A batch that is \(batch.status.rawValue) cannot be cancelled.", code: "invalid_batch_status")
                }
            }
        }
        runner.cancelLines(of: batch.id)
        runner.wake(opened)
        return cancelled ?? batch
    }
}
