internal import Checkpoint
internal import HTTPTypes

/// What Ollama's clients do to its store of models. Here is one model, from the server's beginning to its end: it can be pulled, since it is there,
/// and all else is told why not.
struct OllamaStore {
    let desk: Desk

    var routes: [Route] {
        [
            Route(.get, "/api/status") { _ in .json(["cloud": ["disabled": true, "source": "none"]]) },
            Route(.post, "/api/pull") { [self] in try pull($0) },
            Self.refused(.post, "/api/push", "push models"), Self.refused(.post, "/api/create", "create models"),
            Self.refused(.post, "/api/copy", "copy models; --alias gives its model another name"),
            Self.refused(.delete, "/api/delete", "delete models"), Self.refused(.post, "/api/blobs/{digest}", "take files"),
            Route(.get, "/api/blobs/{digest}") { _ in throw Refusal(404, "This server keeps no files.", code: "not_found") },
        ]
    }

    private func pull(_ exchange: Exchange) throws(Refusal) -> Reply {
        let fields = try exchange.fields()
        let name = try fields.required(fields["model"] == nil ? "name" : "model")
        try fields.check(.bool, "insecure")
        let streams = try fields.bool("stream") ?? true
        _ = try desk.size(ofModel: name)
        guard streams else { return .json(["status": "success"]) }
        return .lines { send in
            for status in ["pulling manifest", "verifying sha256 digest", "writing manifest", "success"] {
                try await send(JSONValue.object(JSONObject([.init(key: "status", value: .string(status))])).serialized() + "\n")
            }
        }
    }

    private static func refused(_ method: HTTPRequest.Method, _ path: String, _ what: String) -> Route {
        Route(method, path) { _ in throw Refusal(501, "This server does not \(what): it has the one model it was started with.", code: "unsupported") }
    }
}
