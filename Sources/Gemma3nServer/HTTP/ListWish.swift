internal import Checkpoint

/// The part of a list that a client asks for, by `limit`, `order` and `after`, as the OpenAI protocols have them.
struct ListWish {
    let limit: Int
    let isDescending: Bool
    /// The id of the last element the client has.
    let after: String?

    /// - Throws: 400 naming the parameter.
    init(_ query: Query, limits: ClosedRange<Int> = 1...100, otherwise: Int = 20) throws(Refusal) {
        limit = try query.int("limit", limits) ?? otherwise
        isDescending = try query.word("order", of: ["asc", "desc"]) != "asc"
        after = query["after"]
    }

    /// The part of a list whose elements have ids.
    ///
    /// - Parameter all: Ascending.
    /// - Throws: 400 if `after` names none of them.
    func page(of all: [JSONValue]) throws(Refusal) -> JSONValue {
        var rest = (isDescending ? all.reversed() : all)[...]
        if let after {
            guard let place = rest.firstIndex(where: { $0["id"]?.string == after }) else { throw unknown(after) }
            rest = rest[(place + 1)...]
        }
        return Self.reply(Array(rest.prefix(limit)), hasMore: rest.count > limit)
    }

    static func reply(_ page: [JSONValue], hasMore: Bool) -> JSONValue {
        [
            "object": "list", "data": .array(page), "first_id": page.first?["id"] ?? .null, "last_id": page.last?["id"] ?? .null,
            "has_more": .bool(hasMore),
        ]
    }

    func unknown(_ after: String) -> Refusal {
        Refusal(400, "after is \"\(after.prefix(80))\", which is not in the list.", field: "after", code: "invalid_value")
    }
}
