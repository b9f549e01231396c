package import Checkpoint
internal import GRDB
internal import Synchronization

extension Store {
    /// A response as it is begun.
    package struct NewResponse: Sendable {
        let id: String
        /// With the status `queued` or `in_progress`.
        let response: JSONValue
        let items: [JSONValue]
        let context: ResponseContext
        /// Whether clients may ask for it later.
        let isVisible: Bool
        /// The request's body, of one answered in the background.
        let request: JSONValue?

        package init(
            id: String, response: JSONValue, items: [JSONValue] = [], context: ResponseContext = ResponseContext(), isVisible: Bool = true,
            request: JSONValue? = nil
        ) {
            self.id = id
            self.response = response
            self.items = items
            self.context = context
            self.isVisible = isVisible
            self.request = request
        }
    }

    /// A response as it is kept.
    package struct KeptResponse: Sendable {
        package let response: JSONValue
        package let items: [JSONValue]
        let isBackground: Bool
        /// Told by one answered in the background as a stream, all but the last.
        let events: String?
    }

    private static let underWay = "status IN ('queued', 'in_progress')"

    /// Writes a request ahead of its answer.
    ///
    /// - Throws: `Refusal`: 404 if what it refers to has gone meanwhile, 409 if its conversation has changed or another response is being
    ///   made in it.
    package func begin(_ new: NewResponse) async throws {
        try await write { [self] db in
            let now = try Self.now(db)
            if let conversation = new.context.conversation {
                try Self.checkUnlocked(conversation, db)
                guard try Self.lastItem(of: conversation, db) == new.context.lastItem else { throw Self.locked(conversation) }
                try db.execute(sql: "UPDATE conversation SET usedAt = ? WHERE id = ?", arguments: [now, conversation])
            }
            if let previous = new.context.previous, try Row.fetchOne(db, sql: "SELECT 1 FROM response WHERE id = ? AND isVisible", arguments: [previous]) == nil {
                throw ResponseContext.unknown(previous)
            }
            try db.execute(
                sql: """
                    INSERT INTO response (id, usedAt, status, isVisible, isBackground, response, items, previous, conversation, lastItem, request)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    new.id, now, new.response["status"]?.string ?? "in_progress", new.isVisible, new.request != nil, new.response.serialized(),
                    JSONValue.array(new.items).serialized(), new.context.previous, new.context.conversation, new.context.lastItem, new.request?.serialized(),
                ])
            try makeRoom(db)
        }
    }

    /// Writes the end of a response; of one that was answered, input and output become items of its conversation.
    ///
    /// - Parameter events: What it told before its end, where that can be asked for again.
    /// - Returns: Whether it was under way still.
    @discardableResult package func end(_ id: String, _ response: JSONValue, events: String? = nil) async throws -> Bool {
        do {
            return try await write { [self] db in
                let isEnded = try Self.settle(id, response, events: events, db)
                try makeRoom(db)
                return isEnded
            }
        } catch {
            unsettled.withLock { $0[id] = response.adding("status", "failed").adding("output", []).adding("error", Self.told(error)) }
            throw error
        }
    }

    private static func told(_ error: any Error) -> JSONValue { ["code": "server_error", "message": .string(Refusal(error).message)] }

    @discardableResult static func settle(_ id: String, _ response: JSONValue, events: String? = nil, _ db: Database) throws -> Bool {
        guard let row = try Row.fetchOne(db, sql: "SELECT isVisible, items, conversation FROM response WHERE id = ? AND \(underWay)", arguments: [id]) else {
            return false
        }
        let status = response["status"]?.string ?? "failed"
        if let conversation = row["conversation"] as String?, status == "completed" || status == "incomplete" {
            try append((try json(row["items"]).array ?? []) + (response["output"]?.array ?? []), to: conversation, db)
            try db.execute(sql: "UPDATE conversation SET usedAt = ? WHERE id = ?", arguments: [try now(db), conversation])
        }
        if row["isVisible"] {
            try db.execute(
                sql: "UPDATE response SET status = ?, response = ?, events = ?, request = NULL WHERE id = ?",
                arguments: [status, response.serialized(), events, id])
        } else {
            try db.execute(sql: "DELETE FROM response WHERE id = ?", arguments: [id])
        }
        return true
    }

    /// Ends a response without a result.
    ///
    /// - Parameter events: As those of `end`.
    /// - Returns: Whether it was under way still.
    @discardableResult package func cancel(_ id: String, events: String? = nil) async throws -> Bool {
        try await write { db in
            guard let text = try String.fetchOne(db, sql: "SELECT response FROM response WHERE id = ?", arguments: [id]) else { return false }
            return try Self.settle(id, try Self.json(text).adding("status", "cancelled"), events: events, db)
        }
    }

    /// Forgets a response of which nobody was told.
    package func withdraw(_ id: String) async throws {
        try await write { try $0.execute(sql: "DELETE FROM response WHERE id = ?", arguments: [id]) }
    }

    package func response(_ id: String) async throws -> KeptResponse? {
        try await read { db in
            guard let row = try Row.fetchOne(db, sql: "SELECT response, items, isBackground, events FROM response WHERE id = ? AND isVisible", arguments: [id]) else { return nil }
            return KeptResponse(
                response: try Self.json(row["response"]), items: try Self.json(row["items"]).array ?? [], isBackground: row["isBackground"], events: row["events"])
        }
    }

    /// The request of one that is to be answered in the background, and what it follows.
    func request(of id: String) async throws -> (request: JSONValue, response: JSONValue)? {
        try await read { db in
            guard let row = try Row.fetchOne(db, sql: "SELECT request, response FROM response WHERE id = ? AND \(Self.underWay)", arguments: [id]), let request = row["request"] as String? else { return nil }
            return (try Self.json(request), try Self.json(row["response"]))
        }
    }

    /// Everything said up to a response and in it, oldest first. Nil if there is no such response.
    ///
    /// - Throws: `Refusal`: 400 if it is still being made, 404 if the conversation it was made in is deleted.
    package func history(upTo id: String) async throws -> [JSONValue]? {
        try await read { db in
            let rows = try Row.fetchAll(
                db,
                sql: """
                    WITH RECURSIVE chain(id, depth) AS (
                        SELECT id, 0 FROM response WHERE id = ? AND isVisible
                        UNION ALL SELECT r.previous, depth + 1 FROM response AS r JOIN chain ON r.id = chain.id WHERE r.previous IS NOT NULL
                    )
                    SELECT status, items, response, conversation, lastItem FROM response JOIN chain USING (id) ORDER BY depth
                    """,
                arguments: [id])
            guard let newest = rows.first, let oldest = rows.last else { return nil }
            guard newest["status"] as String != "queued", newest["status"] as String != "in_progress" else {
                throw Refusal(400, "The response '\(id)' is still being made. Wait until it has ended.", field: "previous_response_id", code: "response_in_progress")
            }
            var items: [JSONValue] = []
            if let conversation = oldest["conversation"] as String? {
                guard try Self.exists(conversation, db) else { throw Self.unknown(conversation) }
                items = try Self.items(of: conversation, upTo: oldest["lastItem"], db)
            }
            for row in rows.reversed() {
                items += try Self.json(row["items"]).array ?? []
                items += try Self.json(row["response"])["output"]?.array ?? []
            }
            return items
        }
    }

    /// Whether it was there.
    package func delete(response id: String) async throws -> Bool {
        try await write { db in
            guard try Row.fetchOne(db, sql: "SELECT 1 FROM response WHERE id = ? AND isVisible", arguments: [id]) != nil else { return false }
            try Self.remove(response: id, db)
            return true
        }
    }

    /// Hides a response, and takes away what nothing refers to any more: it, and those before it that were hidden.
    static func remove(response id: String, _ db: Database) throws {
        try db.execute(sql: "UPDATE response SET isVisible = 0 WHERE id = ?", arguments: [id])
        var next: String? = id
        while let id = next {
            let row = try Row.fetchOne(
                db, sql: "SELECT previous FROM response WHERE id = ? AND NOT isVisible AND NOT EXISTS (SELECT 1 FROM response AS r WHERE r.previous = ?)",
                arguments: [id, id])
            guard let row else { return }
            try db.execute(sql: "DELETE FROM response WHERE id = ?", arguments: [id])
            next = row["previous"]
        }
    }

    /// After the end of a server that could not finish: what it was answering has failed, and what it was answering in the background is to
    /// be answered again.
    ///
    /// - Returns: The ids of these.
    static func recover(_ db: Database) throws -> [String] {
        try db.execute(sql: "DELETE FROM response WHERE \(underWay) AND NOT isVisible")
        let error: JSONValue = ["code": "server_error", "message": "The server ended before the response was complete. Ask again."]
        for row in try Row.fetchAll(db, sql: "SELECT id, response FROM response WHERE \(underWay) AND request IS NULL") {
            try settle(row["id"], try json(row["response"]).adding("status", "failed").adding("error", error), db)
        }
        return try String.fetchAll(db, sql: "SELECT id FROM response INDEXED BY responseUnderWay WHERE \(underWay) ORDER BY usedAt")
    }
}
