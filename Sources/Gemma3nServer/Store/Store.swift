internal import Checkpoint
internal import GRDB
internal import Synchronization

/// Responses and conversations that later requests may refer to: in a file, or in memory, where the oldest make room.
///
/// A request is written before its first token is told, and its response before its end is told. All work is done on the database's own
/// threads, and to its end even if the task that waits for it is cancelled.
package final class Store: Sendable {
    package struct Limits: Sendable {
        /// Responses, and conversations, at most; bytes of all.
        package var entries = 1000
        package var bytes = 128 << 20

        package init(entries: Int = 1000, bytes: Int = 128 << 20) {
            self.entries = entries
            self.bytes = bytes
        }
    }

    let database: any DatabaseWriter
    /// Keeps the lock.
    private let file: StoreFile?
    /// Only memory is limited.
    let limits: Limits?
    /// Responses whose end could not be written; the next thing that is written settles them.
    let unsettled = Mutex<[String: JSONValue]>([:])
    /// Those answered in the background that a server before this one did not finish.
    package let interrupted: [String]

    /// In memory.
    package init(limits: Limits = Limits()) throws(StoreError) {
        do {
            database = try DatabaseQueue()
            try StoreSchema.migrator.migrate(database)
        } catch {
            throw StoreError(.failed, "SQLite cannot make a database in memory: \(error).")
        }
        file = nil
        self.limits = limits
        interrupted = []
    }

    /// In a file, which is made if it is not there.
    ///
    /// - Parameter pages: Of 4096 bytes, how many the file may have; nil is as many as the disk holds.
    package init(path: String, pages: Int? = nil) throws(StoreError) {
        let file = try StoreFile(path: path, pages: pages)
        do {
            interrupted = try file.database.write { try Self.recover($0) }
        } catch {
            throw (error as? DatabaseError).map { StoreError(opening: path, $0) } ?? StoreError(.failed, "'\(path)' cannot be read: \(error).")
        }
        database = file.database
        self.file = file
        limits = nil
    }

    /// - Throws: `StoreError`, and what `updates` throws, after which nothing has changed.
    func write<T: Sendable>(_ updates: @escaping @Sendable (Database) throws -> T) async throws -> T {
        await settleAll()
        return try await perform { try await $0.write(updates) }
    }

    private func settleAll() async {
        let all = unsettled.withLock { $0 }
        guard !all.isEmpty else { return }
        let done: Void? = try? await perform { database in
            try await database.write { db in
                for (id, response) in all { try Self.settle(id, response, db) }
            }
        }
        if done != nil { unsettled.withLock { state in for id in all.keys { state[id] = nil } } }
    }

    func read<T: Sendable>(_ value: @escaping @Sendable (Database) throws -> T) async throws -> T {
        try await perform { try await $0.read(value) }
    }

    private func perform<T: Sendable>(_ work: @escaping @Sendable (any DatabaseWriter) async throws -> T) async throws -> T {
        do {
            return try await Task { [database] in try await work(database) }.value
        } catch let error as DatabaseError {
            throw StoreError(error)
        }
    }

    /// What stands in a column that this program wrote.
    static func json(_ text: String) throws -> JSONValue {
        do throws(CheckpointError) {
            return try JSONValue.parse(text, file: "The store")
        } catch {
            throw StoreError(.failed, "The server's store is damaged: \(error.description)")
        }
    }

    // MARK: Room

    /// The next moment, over responses and conversations.
    static func now(_ db: Database) throws -> Int {
        try Int.fetchOne(db, sql: "SELECT 1 + max((SELECT coalesce(max(usedAt), 0) FROM response), (SELECT coalesce(max(usedAt), 0) FROM conversation))") ?? 1
    }

    /// Takes away what is oldest until the rest is within the limits. What is under way stays.
    func makeRoom(_ db: Database) throws {
        guard let limits else { return }
        while true {
            let figures = try Self.figures(db)
            let isTooMuch = figures.bytes > limits.bytes
            let response = try isTooMuch || figures.responses > limits.entries ? Self.oldestResponse(db) : nil
            let conversation = try isTooMuch || figures.conversations > limits.entries ? Self.oldestConversation(db) : nil
            if let response, response.usedAt < conversation?.usedAt ?? Int.max {
                try Self.remove(response: response.id, db)
            } else if let conversation {
                try db.execute(sql: "DELETE FROM conversation WHERE id = ?", arguments: [conversation.id])
            } else {
                return
            }
        }
    }

    private static func oldestResponse(_ db: Database) throws -> (id: String, usedAt: Int)? {
        try Row.fetchOne(
            db, sql: "SELECT id, usedAt FROM response WHERE isVisible AND status NOT IN ('queued', 'in_progress') ORDER BY usedAt LIMIT 1"
        ).map { ($0["id"], $0["usedAt"]) }
    }

    private static func oldestConversation(_ db: Database) throws -> (id: String, usedAt: Int)? {
        try Row.fetchOne(
            db,
            sql: """
                SELECT id, usedAt FROM conversation AS c
                WHERE NOT EXISTS (SELECT 1 FROM response WHERE conversation = c.id AND status IN ('queued', 'in_progress')) ORDER BY usedAt LIMIT 1
                """
        ).map { ($0["id"], $0["usedAt"]) }
    }

    // MARK: Figures

    package struct Figures: Sendable {
        package let responses: Int
        package let conversations: Int
        /// Of the database, without what deleted rows left.
        package let bytes: Int
    }

    package func figures() async throws -> Figures { try await read { try Self.figures($0) } }

    private static func figures(_ db: Database) throws -> Figures {
        func number(_ sql: String) throws -> Int { try Int.fetchOne(db, sql: sql) ?? 0 }
        let pages = try number("PRAGMA page_count") - number("PRAGMA freelist_count")
        return Figures(
            responses: try number("SELECT count(*) FROM response WHERE isVisible = 1"), conversations: try number("SELECT count(*) FROM conversation"),
            bytes: try pages * number("PRAGMA page_size"))
    }
}
