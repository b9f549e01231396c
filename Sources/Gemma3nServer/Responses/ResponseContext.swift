internal import Checkpoint

/// What was said before a request: the response it follows, or the conversation it is part of.
package struct ResponseContext: Sendable {
    package var previous: String?
    package var conversation: String?
    /// Items of the Responses protocol, oldest first.
    var items: [JSONValue] = []
    /// The number of the conversation's last item.
    package var lastItem: Int

    package init(previous: String? = nil, conversation: String? = nil, lastItem: Int = 0) {
        self.lastItem = lastItem
        self.previous = previous
        self.conversation = conversation
    }

    /// - Parameter id: The response that is made, where it has been begun already.
    /// - Throws: 400 for both at once; 404 for what is not known; 409 while another response is made in the conversation.
    static func read(_ fields: Fields, _ store: Store, for id: String? = nil) async throws -> ResponseContext {
        var context = ResponseContext(previous: try fields.string("previous_response_id"), conversation: try conversation(fields))
        if let previous = context.previous {
            if context.conversation != nil {
                throw fields.refusal("conversation", "and previous_response_id cannot both be given: a conversation holds its responses already.")
            }
            guard let items = try await store.history(upTo: previous) else { throw unknown(previous) }
            context.items = items
        } else if let conversation = context.conversation {
            (context.items, context.lastItem) = try await store.history(ofConversation: conversation, for: id)
        }
        return context
    }

    /// The id, or an object with it.
    private static func conversation(_ fields: Fields) throws(Refusal) -> String? {
        guard let value = fields["conversation"] else { return nil }
        if let id = value.string { return id }
        guard value.object != nil else { throw fields.refusal("conversation", "must be a string or an object with an id, found \(value.kind).", code: "invalid_type") }
        return try fields.object("conversation")?.required("id")
    }

    static func unknown(_ previous: String) -> Refusal {
        Refusal(
            404, "The response '\(previous.prefix(80))' is not known: it was never stored, was deleted, or made room for newer ones.",
            field: "previous_response_id", code: "previous_response_not_found")
    }
}
