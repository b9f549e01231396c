internal import Checkpoint
internal import Gemma3nHost

/// Chat messages from a client: as `MessageInput` reads them, but nothing of this machine's files.
enum Messages {
    /// - Throws: 400 naming the message and part that is wrong.
    static func parse(_ json: JSONValue, at place: String) throws(Refusal) -> [MessageInput] {
        try checkUnused(json, at: place)
        do throws(SessionError) {
            let messages = try MessageInput.parse(json, file: place)
            for (index, message) in messages.enumerated() { try refuseFiles(message.content, at: "\(place)[\(index)].content") }
            return messages
        } catch {
            throw Refusal(400, error.message, field: field(of: error.message, place), code: error.code.rawValue)
        }
    }

    /// What messages hold beside what is read must still be of its type.
    private static func checkUnused(_ json: JSONValue, at place: String) throws(Refusal) {
        for (index, message) in (json.array ?? []).enumerated() {
            guard let object = message.object else { continue }
            let message = Fields(object, at: "\(place)[\(index)]")
            try message.check(.string, "name", "refusal")
            try message.check(.object, "audio")
            for (number, part) in (message["content"]?.array ?? []).enumerated() {
                for (key, inner) in [("image_url", "detail"), ("input_audio", "format")] {
                    guard let object = part[key]?.object else { continue }
                    try Fields(object, at: "\(place)[\(index)].content[\(number)].\(key)").check(.string, inner)
                }
            }
        }
    }

    static func refuseFiles(_ content: Prompt, at place: String) throws(SessionError) {
        for (index, part) in content.parts.enumerated() {
            let source: MediaSource? =
                switch part {
                case .image(.encoded(let source)), .audio(.encoded(let source)), .video(.encoded(let source, _)): source
                default: nil
                }
            if case .file? = source {
                throw SessionError(
                    .unreadableMedia, "\(place)[\(index)] names a file, and a server reads none. Put the bytes in a data: URL: data:image/png;base64,….")
            }
        }
    }

    /// The field a sentence begins with.
    static func field(of sentence: String, _ place: String) -> String {
        let first = String(sentence.prefix { $0 != " " && $0 != "," })
        return first.hasPrefix(place) ? first : place
    }
}
