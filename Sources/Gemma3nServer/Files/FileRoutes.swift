internal import Checkpoint
internal import Gemma3nHost
internal import HTTPTypes

/// `/v1/files`
struct FileRoutes {
    let desk: Desk

    /// Bytes of a form around a file at most.
    private static let formLimit = 1 << 20

    var routes: [Route] {
        [
            Route(.post, "/v1/files", uploadLimit: desk.settings.fileLimit + Self.formLimit) { [self] in try await create($0) },
            Route(.get, "/v1/files") { [self] exchange in
                let wish = try ListWish(exchange.query, limits: 1...10_000, otherwise: 10_000)
                let purpose = exchange.query["purpose"]
                let files = try await onDisk { [desk] in try desk.storage.existing()?.files.all(purpose: purpose) ?? [] }
                return .json(try wish.page(of: files.map(\.json)))
            },
            Route(.get, "/v1/files/{id}") { [self] in .json(try await file($0).file.json) },
            Route(.get, "/v1/files/{id}/content") { [self] exchange in
                let (file, store) = try await file(exchange)
                do {
                    return Reply(type: "application/octet-stream", .file(try await onDisk { try OpenFile(store.path(of: file.id)) }))
                } catch let error as FileError where error.code == .notFound {
                    throw FileStore.unknown(file.id)
                }
            },
            Route(.delete, "/v1/files/{id}") { [self] exchange in
                let (file, store) = try await file(exchange)
                try await onDisk { try store.remove(file.id) }
                return .json(["id": .string(file.id), "object": "file", "deleted": true])
            },
        ]
    }

    /// - Throws: 404 if there is none of that name.
    private func file(_ exchange: Exchange) async throws -> (file: StoredFile, store: FileStore) {
        let id = exchange.parameters["id"] ?? ""
        let found: (StoredFile, FileStore)? = try await onDisk { [desk] in
            guard let store = try desk.storage.existing()?.files, let file = store[id] else { return nil }
            return (file, store)
        }
        guard let found else { throw FileStore.unknown(id) }
        return found
    }

    private func create(_ exchange: Exchange) async throws -> Reply {
        var reader = try MultipartReader(contentType: exchange.header("content-type") ?? "")
        let announced = exchange.header("content-length").flatMap { Int($0) } ?? 0
        let limit = desk.settings.fileLimit
        let upload = try await onDisk { [desk] in try Upload(to: try desk.storage.open().files, limit: limit, announced: announced) }
        var form = UploadForm()
        while let bytes = try await exchange.upload?.read() {
            for event in try reader.push(bytes) {
                switch event {
                case .part(let name, let fileName): try form.begin(name, fileName: fileName)
                case .bytes(let bytes) where form.isFile: try await upload.write(bytes)
                case .bytes(let bytes): try form.add(bytes)
                }
            }
        }
        try reader.finish()
        guard let name = form.fileName else { throw Refusal(400, "file must be a file, but is missing.", field: "file", code: "invalid_type") }
        let file = try await upload.finish(name: name, purpose: try form.purpose(), seconds: try form.seconds())
        return .json(file.json)
    }
}
