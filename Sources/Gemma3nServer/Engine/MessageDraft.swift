internal import Checkpoint
internal import Gemma3nHost

/// A chat message in the shape of OpenAI's chat completions, which `Messages.parse` reads: other protocols are translated into it.
struct MessageDraft {
    let role: String
    var parts: [JSONValue] = []
    var calls: [JSONValue] = []
    /// Of a tool's output: which call it answers.
    var callID: String?
    var name: String?

    init(_ role: String) { self.role = role }

    mutating func add(text: String) { parts.append(["type": "text", "text": .string(text)]) }

    mutating func add(image url: String) { parts.append(["type": "image_url", "image_url": ["url": .string(url)]]) }

    /// Media in base64 without a word about what they are.
    mutating func add(base64: String) {
        let type = Self.kind(ofBase64: base64) ?? "image"
        parts.append(["type": .string("\(type)_url"), "url": .string("data:application/octet-stream;base64,\(base64)")])
    }

    /// - Parameter arguments: The JSON text.
    mutating func add(callTo name: String, arguments: String, id: String) {
        calls.append(["id": .string(id), "type": "function", "function": ["name": .string(name), "arguments": .string(arguments)]])
    }

    var json: JSONValue {
        var members: [(String, JSONValue)] = [("role", .string(role)), ("content", parts.isEmpty && role == "assistant" ? .null : .array(parts))]
        if !calls.isEmpty { members.append(("tool_calls", .array(calls))) }
        if let callID { members.append(("tool_call_id", .string(callID))) }
        if let name { members.append(("name", .string(name))) }
        return .object(JSONObject(members.map { .init(key: $0.0, value: $0.1) }))
    }

    /// Pictures, sound and video are told apart by how they begin; nil if it is none of them.
    static func kind(ofBase64 text: String) -> String? {
        guard let bytes = try? decodeBase64(text.utf8.prefix(40), name: "") else { return nil }
        func stands(_ word: String, at place: Int) -> Bool { bytes.dropFirst(place).starts(with: word.utf8) }
        if stands("WAVE", at: 8) || stands("ID3", at: 0) || stands("OggS", at: 0) || stands("fLaC", at: 0) || stands("ftypM4A", at: 4) { return "audio" }
        if bytes.count > 1, bytes[0] == 0xFF, bytes[1] & 0xE0 == 0xE0 { return "audio" }
        if stands("ftyp", at: 4) || bytes.starts(with: [0x1A, 0x45, 0xDF, 0xA3]) { return "video" }
        return bytes.withUnsafeBytes { ImageFormat($0) } == nil ? nil : "image"
    }
}
