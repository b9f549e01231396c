internal import Checkpoint

/// What is known of a file that was uploaded or that a batch wrote.
struct StoredFile: Sendable, Equatable {
    let id: String
    let byteCount: Int
    /// In seconds since 1970.
    let created: Int
    /// Larger than that of any file before it.
    let order: Int
    /// As the client called it, without folders.
    let name: String
    let purpose: String
    let expires: Int?

    static func newID() -> String { RequestID.random("file-") }

    /// As clients see it.
    var json: JSONValue {
        [
            "id": .string(id), "object": "file", "bytes": .number(JSONNumber(byteCount)), "created_at": .number(JSONNumber(created)),
            "expires_at": expires.map { .number(JSONNumber($0)) } ?? .null, "filename": .string(name), "purpose": .string(purpose), "status": "processed",
            "status_details": nil,
        ]
    }

    /// As it lies on the disk.
    var record: JSONValue { json.adding("order", .number(JSONNumber(order))) }
}

extension StoredFile {
    /// Nil if the record is none of ours.
    init?(record: JSONValue) {
        guard let id = record["id"]?.string, let byteCount = record["bytes"]?.int, let created = record["created_at"]?.int,
            let order = record["order"]?.int, let name = record["filename"]?.string, let purpose = record["purpose"]?.string
        else { return nil }
        self.init(
            id: id, byteCount: byteCount, created: created, order: order, name: name, purpose: purpose, expires: record["expires_at"]?.int)
    }
}
