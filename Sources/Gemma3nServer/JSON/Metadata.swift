internal import Checkpoint

/// `metadata`: what a client notes beside a response or a conversation, for itself.
enum Metadata {
    /// Nil where there is none.
    ///
    /// - Throws: 400 for more than 16 members, keys of more than 64 characters, and values that are no strings of at most 512.
    static func read(_ fields: Fields) throws(Refusal) -> JSONValue? {
        guard let metadata = try fields.object("metadata") else { return nil }
        guard metadata.object.count <= 16 else { throw fields.refusal("metadata", "has \(metadata.object.count) members, expected at most 16.") }
        for member in metadata.object.members {
            guard member.key.count <= 64 else { throw fields.refusal("metadata", "has the key \"\(member.key.prefix(64))…\", expected at most 64 characters.") }
            guard let text = member.value.string else { throw metadata.refusal(member.key, "must be a string, found \(member.value.kind).", code: "invalid_type") }
            guard text.count <= 512 else { throw metadata.refusal(member.key, "has \(text.count) characters, expected at most 512.") }
        }
        return .object(metadata.object)
    }
}
