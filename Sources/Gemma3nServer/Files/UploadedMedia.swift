internal import Checkpoint
internal import Gemma3nHost

/// Parts of messages that are files, `{"type": "file", "file": {"file_id": …}}` or `file_data`, as parts that hold what the files are: pictures,
/// sounds and videos.
struct UploadedMedia {
    let storage: Storage
    /// Bytes of a file at most.
    let limit: Int

    init(_ desk: Desk) {
        storage = desk.storage
        limit = desk.settings.bodyLimit
    }

    /// - Throws: 400 naming the part.
    func placed(in messages: JSONValue, at place: String) throws(Refusal) -> JSONValue {
        guard let list = messages.array, list.contains(where: { Self.parts($0).contains(where: Self.isFile) }) else { return messages }
        var placed: [JSONValue] = []
        for (index, message) in list.enumerated() {
            guard let object = message.object, Self.parts(message).contains(where: Self.isFile) else {
                placed.append(message)
                continue
            }
            var parts: [JSONValue] = []
            for (number, part) in Self.parts(message).enumerated() {
                parts.append(Self.isFile(part) ? try media(part, at: "\(place)[\(index)].content[\(number)]") : part)
            }
            // Of two members of one name the last counts.
            placed.append(.object(JSONObject(object.members + [.init(key: "content", value: .array(parts))])))
        }
        return .array(placed)
    }

    private static func parts(_ message: JSONValue) -> [JSONValue] { message["content"]?.array ?? [] }

    private static func isFile(_ part: JSONValue) -> Bool { part["type"] == "file" }

    private func media(_ part: JSONValue, at place: String) throws(Refusal) -> JSONValue {
        guard let object = part.object, let file = try Fields(object, at: place).object("file") else {
            throw Refusal(400, "\(place).file must be an object, but is missing.", field: "\(place).file", code: "invalid_type")
        }
        if let data = try file.string("file_data") {
            let base64 = data.hasPrefix("data:") ? String(data.drop { $0 != "," }.dropFirst()) : data
            return try Self.part(base64, file.name("file_data"))
        }
        let id = try file.required("file_id")
        return try Self.part(base64(try bytes(of: id, file.name("file_id"))), file.name("file_id"))
    }

    private static func part(_ base64: String, _ field: String) throws(Refusal) -> JSONValue {
        guard let type = MessageDraft.kind(ofBase64: base64) else {
            throw Refusal(400, "\(field) is no picture, sound or video that this server reads.", field: field, code: "unreadable_media")
        }
        return ["type": .string("\(type)_url"), "\(type)_url": ["url": .string("data:application/octet-stream;base64,\(base64)")]]
    }

    private func bytes(of id: String, _ field: String) throws(Refusal) -> [UInt8] {
        do {
            guard let store = try storage.existing()?.files, let file = store[id] else {
                throw Refusal(400, FileStore.unknown(id).message, field: field, code: "file_not_found")
            }
            guard file.byteCount <= limit else {
                throw Refusal(400, "\(field) names a file of \(file.byteCount) bytes; as a medium it may have \(limit).", field: field, code: "file_too_large")
            }
            return try readFile(store.path(of: id))
        } catch {
            throw Refusal(error)
        }
    }
}
