internal import Checkpoint
internal import Gemma3nHost
internal import HTTPTypes

/// `/v1/models`
struct ModelRoutes {
    let desk: Desk

    var routes: [Route] {
        [
            Route(.get, "/v1/models") { [desk] _ in
                let names = [desk.settings.modelName] + desk.settings.aliases
                return .json([
                    "object": "list", "data": .array(names.map { Self.model($0, desk) }), "has_more": false, "first_id": .string(names[0]),
                    "last_id": .string(names[names.count - 1]),
                ])
            },
            Route(.get, "/v1/models/{id...}") { [desk] exchange in
                let name = exchange.parameters["id"] ?? ""
                _ = try desk.size(ofModel: name)
                return .json(Self.model(name, desk))
            },
        ]
    }

    /// In the shapes of OpenAI and Anthropic at once: they have no key in common that means another thing.
    private static func model(_ name: String, _ desk: Desk) -> JSONValue {
        let sizes: [JSONValue] = desk.model.sizes.map { size in
            ["name": .string(size.name), "parameters": .number(JSONNumber(size.effectiveParameters))]
        }
        return [
            "id": .string(name), "object": "model", "created": .number(JSONNumber(desk.created)), "owned_by": "gemma3n",
            "type": "model", "display_name": .string(name), "created_at": .string(TimeStamp(seconds: desk.created, nanoseconds: 0).text),
            "context_length": .number(JSONNumber(desk.room.contextLength)), "sizes": .array(sizes),
        ]
    }
}
