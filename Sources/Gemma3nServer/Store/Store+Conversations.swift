package import Checkpoint
internal import Gemma3nHost
internal import GRDB

extension Store {
    package struct Conversation: Sendable {
        package let id: String
        package let createdAt: Int
        package let metadata: JSONValue
    }

    // MARK: Conversations

    package func createConversation(metadata: JSONValue, items: [JSONValue]) async throws -> Conversation {
        let conversation = Conversation(id: RequestID.random("conv_"), createdAt: TimeStamp.now.seconds, metadata: metadata)
        try await write { [self] db in
            try db.execute(
                sql: "INSERT INTO conversation (id, createdAt, metadata, usedAt) VALUES (?, ?, ?, ?)",
                arguments: [conversation.id, conversation.createdAt, metadata.serialized(), try Self.now(db)])
            try Self.append(items, to: conversation.id, db)
            try makeRoom(db)
        }
        return conversation
    }

    /// - Throws: 404.
    package func conversation(_ id: String) async throws -> Conversation {
        try await read { db in
            guard let row = try Row.fetchOne(db, sql: "SELECT createdAt, metadata FROM conversation WHERE id = ?", arguments: [id]) else { throw Self.unknown(id) }
            return Conversation(id: id, createdAt: row["createdAt"], metadata: try Self.json(row["metadata"]))
        }
    }

    /// - Throws: 404.
    package func update(conversation id: String, metadata: JSONValue) async throws {
        try await write { db in
            try db.execute(sql: "UPDATE conversation SET metadata = ? WHERE id = ?", arguments: [metadata.serialized(), id])
            if db.changesCount == 0 { throw Self.unknown(id) }
        }
    }

    /// - Throws: 404; 409 while a response is made in it.
    package func delete(conversation id: String) async throws {
        try await write { db in
            try Self.checkUnlocked(id, db)
            try db.execute(sql: "DELETE FROM conversation WHERE id = ?", arguments: [id])
        }
    }

    /// All that was said, and the number of its last item.
    ///
    /// - Parameter response: The one that is being made, where it was begun already.
    /// - Throws: 404; 409 while another response is made in it.
    package func history(ofConversation id: String, for response: String? = nil) async throws -> (items: [JSONValue], lastItem: Int) {
        try await read { db in
            try Self.checkUnlocked(id, for: response, db)
            return (try Self.items(of: id, upTo: Int.max, db), try Self.lastItem(of: id, db))
        }
    }

    // MARK: Items

    /// - Returns: The items with the ids they have got.
    /// - Throws: 404; 409 while a response is made in it.
    package func add(_ items: [JSONValue], toConversation id: String) async throws -> [JSONValue] {
        try await write { [self] db in
            try Self.checkUnlocked(id, db)
            let added = try Self.append(items, to: id, db)
            try db.execute(sql: "UPDATE conversation SET usedAt = ? WHERE id = ?", arguments: [try Self.now(db), id])
            try makeRoom(db)
            return added
        }
    }

    /// - Throws: 404; 400 if the wish begins after an item that is not there.
    func items(ofConversation id: String, _ wish: ListWish) async throws -> JSONValue {
        try await read { db in
            guard try Self.exists(id, db) else { throw Self.unknown(id) }
            var bound = wish.isDescending ? Int.max : 0
            if let after = wish.after {
                guard let number = try Int.fetchOne(db, sql: "SELECT number FROM item WHERE conversation = ? AND id = ?", arguments: [id, after]) else {
                    throw wish.unknown(after)
                }
                bound = number
            }
            let rows = try String.fetchAll(
                db,
                sql: """
                    SELECT json FROM item WHERE conversation = ? AND number \(wish.isDescending ? "<" : ">") ?
                    ORDER BY number \(wish.isDescending ? "DESC" : "ASC") LIMIT ?
                    """,
                arguments: [id, bound, wish.limit + 1])
            return ListWish.reply(try rows.prefix(wish.limit).map(Self.json), hasMore: rows.count > wish.limit)
        }
    }

    /// - Throws: 404.
    package func item(_ item: String, ofConversation id: String) async throws -> JSONValue {
        try await read { db in
            guard try Self.exists(id, db) else { throw Self.unknown(id) }
            guard let text = try String.fetchOne(db, sql: "SELECT json FROM item WHERE conversation = ? AND id = ?", arguments: [id, item]) else {
                throw Self.unknown(item: item, id)
            }
            return try Self.json(text)
        }
    }

    /// - Throws: 404; 409 while a response is made in it.
    package func delete(item: String, ofConversation id: String) async throws {
        try await write { db in
            try Self.checkUnlocked(id, db)
            try db.execute(sql: "DELETE FROM item WHERE conversation = ? AND id = ?", arguments: [id, item])
            if db.changesCount == 0 { throw Self.unknown(item: item, id) }
        }
    }

    // MARK: Within a transaction

    static func exists(_ id: String, _ db: Database) throws -> Bool {
        try Row.fetchOne(db, sql: "SELECT 1 FROM conversation WHERE id = ?", arguments: [id]) != nil
    }

    static func checkUnlocked(_ id: String, for response: String? = nil, _ db: Database) throws {
        guard try exists(id, db) else { throw unknown(id) }
        let answering = try String.fetchOne(db, sql: "SELECT id FROM response WHERE conversation = ? AND status IN ('queued', 'in_progress')", arguments: [id])
        if let answering, answering != response { throw locked(id) }
    }

    static func lastItem(of id: String, _ db: Database) throws -> Int {
        try Int.fetchOne(db, sql: "SELECT coalesce(max(number), 0) FROM item WHERE conversation = ?", arguments: [id]) ?? 0
    }

    static func items(of id: String, upTo last: Int, _ db: Database) throws -> [JSONValue] {
        try String.fetchAll(db, sql: "SELECT json FROM item WHERE conversation = ? AND number <= ? ORDER BY number", arguments: [id, last]).map(json)
    }

    /// An item whose id the conversation has already gets a new one: clients send back what they were given.
    @discardableResult static func append(_ items: [JSONValue], to id: String, _ db: Database) throws -> [JSONValue] {
        var added: [JSONValue] = []
        for item in items {
            var item = item
            let isKnown = try Row.fetchOne(db, sql: "SELECT 1 FROM item WHERE conversation = ? AND id = ?", arguments: [id, item["id"]?.string]) != nil
            if isKnown { item = ResponsesInput.renamed(item) }
            try db.execute(sql: "INSERT INTO item (conversation, id, json) VALUES (?, ?, ?)", arguments: [id, item["id"]?.string, item.serialized()])
            added.append(item)
        }
        return added
    }

    // MARK: Refusals

    static func unknown(_ id: String) -> Refusal {
        Refusal(404, "The conversation '\(id.prefix(80))' is not known: there was none, or it was deleted or made room for newer ones.", field: "conversation", code: "conversation_not_found")
    }

    private static func unknown(item: String, _ id: String) -> Refusal {
        Refusal(404, "The conversation '\(id.prefix(80))' has no item '\(item.prefix(80))'.", code: "item_not_found")
    }

    static func locked(_ id: String) -> Refusal {
        Refusal(409, "Another response is being made in the conversation '\(id.prefix(80))'. Ask again when it has ended.", field: "conversation", code: "conversation_locked")
    }
}
