internal import Gemma3nHost

/// A file on its way into a store: what came is on the disk, and nothing of it stays unless it is finished. Used by one task.
final class Upload: @unchecked Sendable {
    let id = StoredFile.newID()
    private let store: FileStore
    private let limit: Int
    private var file: AtomicFile?
    private var byteCount = 0
    /// Not yet on the disk: small pieces go there together.
    private var pending: [UInt8] = []

    private static let pieceSize = 256 << 10

    /// - Parameters:
    ///   - limit: Bytes at most.
    ///   - announced: Bytes that are to come, as far as that is known.
    /// - Throws: `FileError`; `diskFull` at once where so much does not fit.
    init(to store: FileStore, limit: Int, announced: Int) throws(FileError) {
        self.store = store
        self.limit = limit
        let path = store.path(of: id)
        try checkFreeSpace(for: path, bytes: announced)
        file = try AtomicFile(path: path)
    }

    func write(_ bytes: [UInt8]) async throws {
        byteCount += bytes.count
        guard byteCount <= limit else {
            throw Refusal(413, "The file is larger than \(limit) bytes, the most this server takes (--max-file).", field: "file", code: "file_too_large")
        }
        pending += bytes
        guard pending.count >= Self.pieceSize else { return }
        let piece = pending
        pending = []
        try await onDisk { [self] in try file?.write(piece) }
    }

    func finish(name: String, purpose: String, seconds: Int?) async throws -> StoredFile {
        try await onDisk { [self] in
            guard var file = file.take() else { preconditionFailure("an upload is finished once") }
            try file.write(pending)
            try file.commit()
            do {
                return try store.add(id, name: name, purpose: purpose, seconds: seconds)
            } catch {
                store.folder.remove("\(id).data")
                throw error
            }
        }
    }
}
