internal import Checkpoint
internal import Gemma3nHost
internal import HTTPTypes

/// `/v1/models`
struct ModelRoutes {
    let desk: Desk

    var routes: [Route] {
        [
            Route(.get, "/v1/models") { [desk] _ in
                .json(["object": "list", "data": .array(([desk.settings.modelName] + desk.settings.aliases).map { Self.model($0, desk) })])
            },
            Route(.get, "/v1/models/{id...}") { [desk] exchange in
                let name = exchange.parameters["id"] ?? ""
                _ = try desk.size(ofModel: name)
                return .json(Self.model(name, desk))
            },
        ]
    }

    private static func model(_ name: String, _ desk: Desk) -> JSONValue {
        let sizes: [JSONValue] = desk.model.sizes.map { size in
            ["name": .string(size.name), "parameters": .number(JSONNumber(size.effectiveParameters))]
        }
        return [
            "id": .string(name), "object": "model", "created": .number(JSONNumber(desk.created)), "owned_by": "gemma3n",
            "context_length": .number(JSONNumber(desk.room.contextLength)), "sizes": .array(sizes),
        ]
    }
}
