package import Checkpoint

/// The lines of a server-sent event. JSON has no line breaks, so one `data:` line holds it.
enum ServerSentEvent {
    static func text(event: String? = nil, data: JSONValue) -> String {
        (event.map { "event: \($0)\n" } ?? "") + "data: \(data.serialized())\n\n"
    }

    /// A comment, which clients pass over.
    static let ping = ": ping\n\n"
    static let done = "data: [DONE]\n\n"
}

extension JSONValue {
    /// An object with one more member.
    package func adding(_ key: String, _ value: JSONValue) -> JSONValue {
        .object(JSONObject((object?.members ?? []) + [JSONObject.Member(key: key, value: value)]))
    }
}
