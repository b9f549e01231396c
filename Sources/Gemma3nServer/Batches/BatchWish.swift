internal import Checkpoint

/// A request to make a batch.
struct BatchWish {
    static let endpoints = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"]

    let inputFile: String
    let endpoint: String
    let metadata: JSONValue
    let outputSeconds: Int?

    /// - Throws: 400 naming the field.
    init(_ fields: Fields) throws(Refusal) {
        inputFile = try fields.required("input_file_id")
        endpoint = try fields.required("endpoint")
        guard Self.endpoints.contains(endpoint) else {
            throw fields.refusal("endpoint", "is \"\(endpoint.prefix(60))\", expected one of \(Self.endpoints.map { "\"\($0)\"" }.joined(separator: ", ")).")
        }
        let window = try fields.required("completion_window")
        guard window == "24h" else { throw fields.refusal("completion_window", "is \"\(window.prefix(40))\", expected \"24h\".") }
        metadata = try Self.metadata(fields)
        outputSeconds = try fields.object("output_expires_after").map { after throws(Refusal) in
            try Expiry.seconds(anchor: try after.string("anchor"), try after.int("seconds"), field: "output_expires_after")
        }
    }

    private static func metadata(_ fields: Fields) throws(Refusal) -> JSONValue {
        guard let metadata = try fields.object("metadata") else { return .null }
        guard metadata.object.members.count <= 16 else {
            throw fields.refusal("metadata", "has \(metadata.object.members.count) members, expected at most 16.")
        }
        for member in metadata.object.members {
            let text = try metadata.string(member.key) ?? ""
            guard member.key.count <= 64, text.count <= 512 else {
                throw metadata.refusal(String(member.key.prefix(64)), "is too long: keys have at most 64 characters, values 512.")
            }
        }
        return .object(metadata.object)
    }
}
