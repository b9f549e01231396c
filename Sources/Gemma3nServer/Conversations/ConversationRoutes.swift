internal import Checkpoint
internal import HTTPTypes

/// `/v1/conversations`
struct ConversationRoutes {
    let desk: Desk
    let store: Store

    var routes: [Route] {
        [
            Route(.post, "/v1/conversations") { [desk, store] exchange in
                let fields = try await desk.fields(of: exchange)
                let metadata = try Metadata.read(fields) ?? [:]
                return .json(Self.json(try await store.createConversation(metadata: metadata, items: try Self.items(fields) ?? [])))
            },
            Route(.get, "/v1/conversations/{id}") { [store] in .json(Self.json(try await store.conversation(Self.id($0)))) },
            Route(.post, "/v1/conversations/{id}") { [store] exchange in
                let fields = try exchange.fields()
                try await store.update(conversation: Self.id(exchange), metadata: try Metadata.read(fields) ?? [:])
                return .json(Self.json(try await store.conversation(Self.id(exchange))))
            },
            Route(.delete, "/v1/conversations/{id}") { [store] exchange in
                try await store.delete(conversation: Self.id(exchange))
                return .json(["id": .string(Self.id(exchange)), "object": "conversation.deleted", "deleted": true])
            },
            Route(.post, "/v1/conversations/{id}/items") { [desk, store] exchange in
                let fields = try await desk.fields(of: exchange)
                guard let items = try Self.items(fields), !items.isEmpty else { throw fields.refusal("items", "must be an array of 1 to 20 items, but is missing or empty.") }
                let added = try await store.add(items, toConversation: Self.id(exchange))
                return .json(ListWish.reply(added, hasMore: false))
            },
            Route(.get, "/v1/conversations/{id}/items") { [store] exchange in
                .json(try await store.items(ofConversation: Self.id(exchange), try ListWish(exchange.query)))
            },
            Route(.get, "/v1/conversations/{id}/items/{item}") { [store] exchange in
                .json(try await store.item(exchange.parameters["item"] ?? "", ofConversation: Self.id(exchange)))
            },
            Route(.delete, "/v1/conversations/{id}/items/{item}") { [store] exchange in
                try await store.delete(item: exchange.parameters["item"] ?? "", ofConversation: Self.id(exchange))
                return .json(Self.json(try await store.conversation(Self.id(exchange))))
            },
        ]
    }

    private static func id(_ exchange: Exchange) -> String { exchange.parameters["id"] ?? "" }

    private static func json(_ conversation: Store.Conversation) -> JSONValue {
        [
            "id": .string(conversation.id), "object": "conversation", "created_at": .number(JSONNumber(conversation.createdAt)),
            "metadata": conversation.metadata,
        ]
    }

    /// Items as they are kept. What could not be part of a prompt is refused now, not when it is answered.
    private static func items(_ fields: Fields) throws(Refusal) -> [JSONValue]? {
        guard let items = try fields.array("items") else { return nil }
        guard items.count <= 20 else { throw fields.refusal("items", "holds \(items.count) items, expected at most 20. Add the others by further requests.") }
        let messages = try ResponsesInput.messages(items, at: "items")
        if !messages.isEmpty { _ = try Messages.parse(.array(messages), at: "items") }
        return ResponsesInput.kept(items)
    }
}
