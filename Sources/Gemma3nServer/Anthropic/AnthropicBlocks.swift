internal import Checkpoint

/// Content of Anthropic's messages: a string, or blocks.
enum AnthropicBlocks {
    /// A message, and before it the outputs of tools that it holds: they are messages of their own.
    ///
    /// - Throws: 400 naming the block.
    static func drafts(_ message: Fields) throws(Refusal) -> [MessageDraft] {
        let role = try message.required("role")
        guard role == "user" || role == "assistant" else { throw message.refusal("role", "is \"\(role.prefix(40))\", expected \"user\" or \"assistant\".") }
        var draft = MessageDraft(role)
        var outputs: [MessageDraft] = []
        if let text = message["content"]?.string {
            draft.add(text: text)
            return [draft]
        }
        guard let blocks = try message.objects("content") else {
            throw message.refusal("content", "must be a string or an array of blocks, but is missing.", code: "invalid_type")
        }
        for block in blocks {
            try block.check(.object, "cache_control")
            switch try block.required("type") {
            case "tool_use":
                let input = try block.object("input")?.object ?? JSONObject([])
                draft.add(callTo: try block.required("name"), arguments: JSONValue.object(input).serialized(), id: try block.required("id"))
            case "tool_result": outputs.append(try output(block))
            case "thinking", "redacted_thinking": break
            default: try add(block, to: &draft)
            }
        }
        return draft.parts.isEmpty && draft.calls.isEmpty && !outputs.isEmpty ? outputs : outputs + [draft]
    }

    /// A string, or text blocks.
    static func text(_ fields: Fields, _ key: String) throws(Refusal) -> String? {
        if fields[key]?.string != nil { return try fields.string(key) }
        guard let blocks = try fields.objects(key) else { return nil }
        var texts: [String] = []
        for block in blocks {
            guard try block.required("type") == "text" else { throw block.refusal("type", "must be \"text\" here.") }
            texts.append(try block.required("text"))
        }
        return texts.joined(separator: "\n\n")
    }

    private static func output(_ block: Fields) throws(Refusal) -> MessageDraft {
        var draft = MessageDraft("tool")
        draft.callID = try block.required("tool_use_id")
        if try block.bool("is_error") == true { draft.add(text: "Error: ") }
        if block["content"]?.string != nil {
            draft.add(text: try block.required("content"))
        } else {
            for part in try block.objects("content") ?? [] { try add(part, to: &draft) }
        }
        if draft.parts.isEmpty { draft.add(text: "") }
        return draft
    }

    /// What may stand in a user's turn and in a tool's output.
    private static func add(_ block: Fields, to draft: inout MessageDraft) throws(Refusal) {
        switch try block.required("type") {
        case "text": draft.add(text: try block.required("text"))
        case "image": draft.add(image: try imageURL(block))
        case "document": try add(document: block, to: &draft)
        case let other:
            throw block.refusal(
                "type", "is \"\(other.prefix(40))\"; known are \"text\", \"image\", \"document\", \"tool_use\" and \"tool_result\".")
        }
    }

    private static func add(document block: Fields, to draft: inout MessageDraft) throws(Refusal) {
        for key in ["title", "context"] {
            if let text = try block.string(key), !text.isEmpty { draft.add(text: text + "\n") }
        }
        let source = try source(block)
        switch try source.required("type") {
        case "text": draft.add(text: try source.required("data"))
        case "content":
            if source["content"]?.string != nil { return draft.add(text: try source.required("content")) }
            for part in try source.objects("content") ?? [] {
                guard part["type"]?.string != "document" else { throw part.refusal("type", "is \"document\", which holds no other document.") }
                try add(part, to: &draft)
            }
        case let other:
            throw source.refusal("type", "is \"\(other.prefix(40))\", expected \"text\" or \"content\": this model reads text and pictures, not PDF files.")
        }
    }

    private static func imageURL(_ block: Fields) throws(Refusal) -> String {
        let source = try source(block)
        switch try source.required("type") {
        case "base64": return "data:\(try source.string("media_type") ?? "image/png");base64,\(try source.required("data"))"
        case "url": return try source.required("url")
        case let other: throw source.refusal("type", "is \"\(other.prefix(40))\", expected \"base64\".")
        }
    }

    private static func source(_ block: Fields) throws(Refusal) -> Fields {
        guard let source = try block.object("source") else { throw block.refusal("source", "must be an object, but is missing.", code: "invalid_type") }
        return source
    }
}
