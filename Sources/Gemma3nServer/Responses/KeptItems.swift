internal import Checkpoint

extension ResponsesInput {
    /// Items as they are kept and listed: each with an id, a type and a status, and content in parts.
    static func kept(_ items: [JSONValue]) -> [JSONValue] {
        items.map { item in
            guard let object = item.object else { return item }
            let type = item["type"]?.string ?? "message"
            let given = object.members.filter { member in
                switch member.key {
                case "id", "type", "status": member.value.string != nil
                case "content": type != "message"
                default: true
                }
            }
            var members: [(String, JSONValue)] = [("id", .string(newID(type))), ("type", .string(type)), ("status", "completed")]
            members += given.map { ($0.key, $0.value) }
            if type == "message" { members.append(("content", parts(item))) }
            return .object(JSONObject(members.map { .init(key: $0.0, value: $0.1) }))
        }
    }

    /// The same item under a new id.
    static func renamed(_ item: JSONValue) -> JSONValue { item.adding("id", .string(newID(item["type"]?.string ?? ""))) }

    private static func newID(_ type: String) -> String {
        switch type {
        case "message": RequestID.random("msg_")
        case "function_call": RequestID.random("fc_")
        case "function_call_output": RequestID.random("fco_")
        default: RequestID.random("item_")
        }
    }

    private static func parts(_ message: JSONValue) -> JSONValue {
        guard let text = message["content"]?.string else { return message["content"] ?? [] }
        if message["role"] == "assistant" { return [["type": "output_text", "text": .string(text), "annotations": []]] }
        return [["type": "input_text", "text": .string(text)]]
    }
}
