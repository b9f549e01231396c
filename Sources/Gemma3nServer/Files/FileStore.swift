internal import Checkpoint
internal import Gemma3nHost
internal import Synchronization

/// Files in a folder: `ID.data` holds the bytes of one and `ID.json` what is known of it. A file is there once the second is.
final class FileStore: Sendable {
    struct Figures {
        var count = 0
        var byteCount = 0
    }

    private struct State {
        var files: [String: StoredFile] = [:]
        /// Files that batches under way need, and how many do.
        var held: [String: Int] = [:]
        var lastOrder = 0
    }

    let folder: LockedFolder
    let clock: @Sendable () -> Int
    private let state: Mutex<State>

    /// - Throws: `FileError` if the folder cannot be read.
    init(_ folder: LockedFolder, clock: @escaping @Sendable () -> Int) throws(FileError) {
        var state = State()
        for name in try folder.names() where name.hasPrefix("file-") && name.hasSuffix(".json") {
            guard let bytes = try? readFile(folder.path(of: name), limit: 1 << 20), let record = try? JSONValue.parse(bytes, file: name),
                let file = StoredFile(record: record), name == "\(file.id).json", folder.byteCount(of: "\(file.id).data") == file.byteCount
            else { continue }
            state.files[file.id] = file
            state.lastOrder = max(state.lastOrder, file.order)
        }
        self.folder = folder
        self.clock = clock
        self.state = Mutex(state)
    }

    /// Removes bytes that belong to no file, but for those of files that batches are writing.
    func sweep(keeping written: Set<String>) throws(FileError) {
        let known = state.withLock { Set($0.files.keys) }
        for name in try folder.names() where name.hasPrefix("file-") && name.hasSuffix(".data") {
            let id = String(name.dropLast(5))
            if !known.contains(id), !written.contains(id) { folder.remove(name) }
        }
    }

    func path(of id: String) -> String { folder.path(of: "\(id).data") }

    // MARK: Looking

    subscript(id: String) -> StoredFile? {
        removeExpired()
        return state.withLock { $0.files[id] }
    }

    /// The oldest first.
    func all(purpose: String?) -> [StoredFile] {
        removeExpired()
        return state.withLock { $0.files.values.filter { purpose == nil || $0.purpose == purpose } }.sorted { $0.order < $1.order }
    }

    var figures: Figures {
        state.withLock { $0.files.values.reduce(into: Figures()) { figures, file in
            figures.count += 1
            figures.byteCount += file.byteCount
        } }
    }

    // MARK: Coming and going

    /// Makes bytes that lie at `path(of: id)` a file. Does nothing if they are one already.
    ///
    /// - Parameter seconds: Until it expires; nil if it does not.
    /// - Throws: `FileError`; the bytes stay.
    func add(_ id: String, name: String, purpose: String, seconds: Int?) throws(FileError) -> StoredFile {
        if let known = state.withLock({ $0.files[id] }) { return known }
        let now = clock()
        let order = state.withLock { state in
            state.lastOrder += 1
            return state.lastOrder
        }
        let file = StoredFile(
            id: id, byteCount: folder.byteCount(of: "\(id).data") ?? 0, created: now, order: order, name: name, purpose: purpose,
            expires: seconds.map { now + $0 })
        try AtomicFile.write(Array(file.record.serialized().utf8), to: folder.path(of: "\(id).json"))
        state.withLock { $0.files[id] = file }
        return file
    }

    /// - Throws: 404 if it is not there, 400 while a batch needs it.
    func remove(_ id: String) throws(Refusal) {
        removeExpired()
        let found: Result<Void, Refusal> = state.withLock { state in
            guard state.files[id] != nil else { return .failure(Self.unknown(id)) }
            guard state.held[id] == nil else {
                return .failure(Refusal(400, "The file '\(id)' is the input of a batch that is not over. Cancel the batch first.", code: "file_in_use"))
            }
            state.files[id] = nil
            return .success(())
        }
        try found.get()
        erase(id)
    }

    static func unknown(_ id: String, field: String? = nil) -> Refusal {
        Refusal(404, "There is no file '\(id.prefix(80))': it was never uploaded, was deleted, or has expired.", field: field, code: "file_not_found")
    }

    /// A file that is held is neither removed nor does it expire.
    func hold(_ id: String) { state.withLock { $0.held[id, default: 0] += 1 } }

    func release(_ id: String) {
        state.withLock { state in
            let count = state.held[id, default: 0]
            state.held[id] = count > 1 ? count - 1 : nil
        }
    }

    private func removeExpired() {
        let now = clock()
        let expired: [String] = state.withLock { state in
            let ids = state.files.values.filter { file in file.expires.map { $0 <= now } ?? false && state.held[file.id] == nil }.map(\.id)
            for id in ids { state.files[id] = nil }
            return ids
        }
        for id in expired { erase(id) }
    }

    /// What is known of it first: without that, the bytes are swept up if this is interrupted.
    private func erase(_ id: String) {
        folder.remove("\(id).json")
        folder.remove("\(id).data")
    }
}
