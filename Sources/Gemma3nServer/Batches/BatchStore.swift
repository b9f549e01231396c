internal import Checkpoint
internal import Gemma3nHost
internal import Synchronization

/// Batches in a folder: `ID.json` holds what is known of one.
final class BatchStore: Sendable {
    private struct State {
        var batches: [String: Batch] = [:]
        var lastOrder = 0
    }

    private let folder: LockedFolder
    private let state: Mutex<State>

    /// - Throws: `FileError` if the folder cannot be read.
    init(_ folder: LockedFolder) throws(FileError) {
        var state = State()
        for name in try folder.names() where name.hasPrefix("batch_") && name.hasSuffix(".json") {
            guard let bytes = try? readFile(folder.path(of: name), limit: 16 << 20), let record = try? JSONValue.parse(bytes, file: name),
                let batch = Batch(record: record), name == "\(batch.id).json"
            else { continue }
            state.batches[batch.id] = batch
            state.lastOrder = max(state.lastOrder, batch.order)
        }
        self.folder = folder
        self.state = Mutex(state)
    }

    subscript(id: String) -> Batch? { state.withLock { $0.batches[id] } }

    /// The oldest first.
    var all: [Batch] { state.withLock { Array($0.batches.values) }.sorted { $0.order < $1.order } }

    /// Files that are being written.
    var writtenFiles: Set<String> { Set(all.filter { !$0.status.isEnd }.flatMap { [$0.outputFile, $0.errorFile] }) }

    func add(_ make: (_ order: Int) -> Batch) throws -> Batch {
        try state.withLock { state in
            let batch = make(state.lastOrder + 1)
            try write(batch)
            state.lastOrder = batch.order
            state.batches[batch.id] = batch
            return batch
        }
    }

    /// Changes a batch, on the disk first if its status is another one then: how many of its lines are answered, its files tell as well.
    ///
    /// - Throws: `FileError`; nothing has changed then.
    @discardableResult func change(_ id: String, _ body: (inout Batch) throws -> Void) throws -> Batch? {
        try state.withLock { state in
            guard var batch = state.batches[id] else { return nil }
            let before = batch.status
            try body(&batch)
            if batch.status != before { try write(batch) }
            state.batches[id] = batch
            return batch
        }
    }

    private func write(_ batch: Batch) throws(FileError) {
        try AtomicFile.write(Array(batch.record.serialized().utf8), to: folder.path(of: "\(batch.id).json"))
    }
}
