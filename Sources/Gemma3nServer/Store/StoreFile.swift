internal import GRDB

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// The database file: one server at a time has it, and what was committed is on the disk.
///
/// The lock is a file of its own, `FILE-lock`, so that other programs can read the database and copy it while the server runs.
final class StoreFile: Sendable {
    /// "G3nS": tells this program's databases from others.
    private static let applicationID = 0x4733_6E53

    let database: DatabasePool
    private let lock: Int32

    /// Opens the database, or makes it.
    ///
    /// - Parameter pages: Of 4096 bytes, how many the file may have; nil is as many as the disk holds.
    init(path: String, pages: Int?) throws(StoreError) {
        lock = try Self.lock(path)
        do {
            database = try Self.pool(path, pages)
        } catch {
            close(lock)
            throw error
        }
    }

    deinit { close(lock) }

    private static func lock(_ path: String) throws(StoreError) -> Int32 {
        let lock = open("\(path)-lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0 else {
            throw StoreError(.notWritable, "'\(path)-lock' cannot be made: \(String(cString: strerror(errno))). The server writes it beside the store; let it write in that directory.")
        }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            close(lock)
            throw StoreError(.inUse, "'\(path)' is in use by another server. Stop that one, or give this one another --store.")
        }
        return lock
    }

    private static func pool(_ path: String, _ pages: Int?) throws(StoreError) -> DatabasePool {
        // What people say to the model is not for others on this machine to read. SQLite gives its other files the same rights.
        let created = Self.create(path)
        do {
            var configuration = Configuration()
            configuration.busyMode = .timeout(5)
            configuration.prepareDatabase { db in
                guard !db.configuration.readonly else { return }
                let id = try Int.fetchOne(db, sql: "PRAGMA application_id")
                let tables = try Int.fetchOne(db, sql: "SELECT count(*) FROM sqlite_master") ?? 0
                guard id == applicationID || tables == 0 else {
                    throw StoreError(.notADatabase, "'\(path)' is a database, but not one of gemma3n's. Give another --store; a new file is made where there is none.")
                }
                if let pages { try db.execute(sql: "PRAGMA max_page_count = \(pages)") }
            }
            let pool = try DatabasePool(path: path, configuration: configuration)
            try pool.writeWithoutTransaction { db in
                // What a client was told is on the disk before it is told.
                try db.execute(sql: "PRAGMA synchronous = FULL")
                guard try !StoreSchema.migrator.hasBeenSuperseded(db) else {
                    throw StoreError(.newerVersion, "'\(path)' was written by a newer version of gemma3n. Use that one, or give another --store.")
                }
                try db.execute(sql: "PRAGMA application_id = \(applicationID)")
            }
            try StoreSchema.migrator.migrate(pool)
            return pool
        } catch let error as StoreError {
            if created { unlink(path) }
            throw error
        } catch let error as DatabaseError {
            throw StoreError(opening: path, error)
        } catch {
            throw StoreError(.failed, "'\(path)' cannot be opened: \(error).")
        }
    }

    /// Whether the file was not there.
    private static func create(_ path: String) -> Bool {
        let file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { return false }
        close(file)
        return true
    }
}
