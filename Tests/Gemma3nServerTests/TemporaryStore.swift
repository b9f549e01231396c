import Foundation
import GRDB
import Gemma3nServer

/// A store in a directory of its own, removed with it.
final class TemporaryStore {
    let folder: String
    var path: String { folder + "/store.sqlite" }

    init() throws {
        folder = NSTemporaryDirectory() + "gemma3n-store-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// What a killed server would leave at this moment: the files as they are, without the lock.
    func crashImage() throws -> TemporaryStore {
        let image = try TemporaryStore()
        for end in ["", "-wal"] where FileManager.default.fileExists(atPath: path + end) {
            try FileManager.default.copyItem(atPath: path + end, toPath: image.path + end)
        }
        return image
    }

    /// Does something to the database behind a server's back.
    func edit<T>(_ body: (Database) throws -> T) throws -> T { try DatabaseQueue(path: path).write(body) }
}
