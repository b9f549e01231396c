public import Checkpoint
public import Gemma3n
internal import Tensors
public import Tokenization

/// A chat message as programs exchange them: a role, and text with media in order.
///
/// In JSON, `{"role": "user", "content": …}` where the content is a string or a list of
///
///     {"type": "text", "text": "What is this?"}
///     {"type": "image_url", "image_url": {"url": "cat.png"}}           or "image_url": "cat.png"
///     {"type": "audio_url", "audio_url": {"url": "file:///voice.wav"}}
///     {"type": "video_url", "video_url": {"url": "clip.mp4"}}
///     {"type": "input_audio", "input_audio": {"data": "<base64>", "format": "wav"}}    or "url"
///     {"type": "input_video", "input_video": {"data": "<base64>"}}     or "url"
///     {"type": "image", "image": "cat.png"}                            the reference library's own form; likewise audio, video
///
/// An assistant's message may hold calls of tools, and a tool's message says which call it answers:
///
///     {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}
///     {"role": "tool", "tool_call_id": "call_1", "name": "f", "content": "3"}
///
/// URLs are `data:` and `file:` URLs and plain paths. Roles are `system` (or `developer`), `user`, `assistant` (or `model`) and `tool`.
public struct MessageInput: Sendable {
    public var role: ModelMessage.Role
    public var content: Prompt
    /// Calls that an assistant's message makes.
    public var toolCalls: [ToolCall]
    /// The call whose output a tool's message is, and the tool, as far as it says so.
    public var toolCallID: String?
    public var toolName: String?

    public init(
        _ role: ModelMessage.Role, _ content: Prompt, toolCalls: [ToolCall] = [], toolCallID: String? = nil, toolName: String? = nil
    ) {
        self.role = role
        self.content = content
        self.toolCalls = toolCalls
        self.toolCallID = toolCallID
        self.toolName = toolName
    }
}

// MARK: Reading

extension MessageInput {
    /// - Parameters:
    ///   - json: An array of messages.
    ///   - file: What error sentences call it.
    ///   - resolve: Where a plain path is looked for; the path itself by default.
    /// - Throws: `decodingFailure` that says which message and part is wrong, `unreadableMedia` for a bad URL.
    public static func parse(
        _ json: JSONValue, file: String = "messages", resolve: (String) -> String = { $0 }
    ) throws(SessionError) -> [MessageInput] {
        guard let list = json.array else {
            throw SessionError(.decodingFailure, "\(file) holds \(json.kind), expected an array of messages.")
        }
        guard !list.isEmpty else { throw SessionError(.decodingFailure, "\(file) is an empty array; give at least one message.") }
        var messages: [MessageInput] = []
        for (index, message) in list.enumerated() {
            messages.append(try MessageInput(message, at: "messages[\(index)]", resolve))
        }
        return messages
    }

    private init(_ json: JSONValue, at place: String, _ resolve: (String) -> String) throws(SessionError) {
        guard json.object != nil else { throw SessionError(.decodingFailure, "\(place) is \(json.kind), expected an object with role and content.") }
        toolCalls = []
        switch json["role"]?.string {
        case "system", "developer": role = .system
        case "user": role = .user
        case "assistant", "model": role = .assistant
        case "tool", "function": role = .tool
        case let other?:
            throw SessionError(.decodingFailure, "\(place).role is \"\(other)\", expected \"system\", \"user\", \"assistant\" or \"tool\".")
        case nil:
            throw SessionError(.decodingFailure, "\(place).role is \(json["role"]?.kind ?? "missing"), expected \"system\", \"user\", \"assistant\" or \"tool\".")
        }
        switch json["content"] {
        case .string(let text)?: content = Prompt(text)
        case .array(let items)?:
            var parts: [Prompt.Part] = []
            for (index, item) in items.enumerated() { parts.append(try Self.part(item, at: "\(place).content[\(index)]", resolve)) }
            content = Prompt(parts: parts)
        // An assistant message that only called tools has no content.
        case .null? where role == .assistant, nil where role == .assistant: content = Prompt(parts: [])
        case let other:
            throw SessionError(.decodingFailure, "\(place).content is \(other?.kind ?? "missing"), expected a string or an array of parts.")
        }
        if role == .assistant, let calls = json["tool_calls"], !calls.isNull { toolCalls = try Self.calls(calls, at: "\(place).tool_calls") }
        if role == .tool {
            toolCallID = try Self.text(json, "tool_call_id", at: place)
            toolName = try Self.text(json, json["name"] == nil ? "tool_name" : "name", at: place)
        }
    }

    private static func text(_ json: JSONValue, _ key: String, at place: String) throws(SessionError) -> String? {
        guard let value = json[key], !value.isNull else { return nil }
        guard let text = value.string else { throw SessionError(.decodingFailure, "\(place).\(key) is \(value.kind), expected a string.") }
        return text
    }

    private static func calls(_ json: JSONValue, at place: String) throws(SessionError) -> [ToolCall] {
        guard let list = json.array else { throw SessionError(.decodingFailure, "\(place) is \(json.kind), expected an array of calls.") }
        var calls: [ToolCall] = []
        for (index, call) in list.enumerated() {
            let place = "\(place)[\(index)]"
            guard let function = call["function"], let name = function["name"]?.string else {
                throw SessionError(.decodingFailure, "\(place).function.name is missing, expected a string.")
            }
            guard ToolDefinition.isName(name) else {
                throw SessionError(.decodingFailure, "\(place).function.name is \"\(name)\"; a name is 1 to 64 letters, digits, '_' and '-'.")
            }
            let given = try text(call, "id", at: place)
            let id = given ?? ToolCall.newID()
            switch function["arguments"] {
            case nil, .null?: calls.append(ToolCall(id: id, name: name, arguments: [:]))
            case .object(let arguments)?: calls.append(ToolCall(id: id, name: name, arguments: .object(arguments)))
            case .string(let text)?:
                let written = try? ToolCall(id: id, name: name, argumentsText: text.isEmpty ? "{}" : text)
                guard let written, written.arguments.object != nil else {
                    throw SessionError(.decodingFailure, "\(place).function.arguments is no JSON object.")
                }
                calls.append(written)
            case let other?:
                throw SessionError(.decodingFailure, "\(place).function.arguments is \(other.kind), expected an object or its JSON text.")
            }
        }
        return calls
    }

    private static func part(_ json: JSONValue, at place: String, _ resolve: (String) -> String) throws(SessionError) -> Prompt.Part {
        if let text = json.string { return .text(text) }
        guard json.object != nil else { throw SessionError(.decodingFailure, "\(place) is \(json.kind), expected an object with a type.") }
        guard let type = json["type"]?.string else {
            throw SessionError(.decodingFailure, "\(place).type is \(json["type"]?.kind ?? "missing"), expected a string such as \"text\" or \"image_url\".")
        }
        switch type {
        case "text", "input_text", "output_text":
            guard let text = json["text"]?.string else {
                throw SessionError(.decodingFailure, "\(place).text is \(json["text"]?.kind ?? "missing"), expected a string.")
            }
            return .text(text)
        case "refusal":
            guard let text = json["refusal"]?.string else {
                throw SessionError(.decodingFailure, "\(place).refusal is \(json["refusal"]?.kind ?? "missing"), expected a string.")
            }
            return .text(text)
        case "image_url", "image", "input_image":
            return .image(.encoded(try source(json, ["image_url", "image", "url", "path"], at: place, resolve)))
        case "audio_url", "audio":
            return .audio(.encoded(try source(json, ["audio_url", "audio", "url", "path"], at: place, resolve)))
        case "video_url", "video":
            return .video(.encoded(try source(json, ["video_url", "video", "url", "path"], at: place, resolve), VideoSampling()))
        case "input_audio":
            if json["input_audio"]?["url"] != nil { return .audio(.encoded(try source(json, ["input_audio"], at: place, resolve))) }
            return .audio(.encoded(try data(json, "input_audio", at: place)))
        case "input_video":
            if json["input_video"]?["url"] != nil { return .video(.encoded(try source(json, ["input_video"], at: place, resolve), VideoSampling())) }
            return .video(.encoded(try data(json, "input_video", at: place), VideoSampling()))
        default:
            throw SessionError(
                .decodingFailure,
                "\(place).type is \"\(type)\"; known are \"text\", \"image_url\", \"audio_url\", \"input_audio\", \"video_url\" and \"input_video\".")
        }
    }

    /// What stands in base64 under `data`.
    private static func data(_ json: JSONValue, _ key: String, at place: String) throws(SessionError) -> MediaSource {
        guard let data = json[key]?["data"]?.string else {
            throw SessionError(.decodingFailure, "\(place).\(key).data is \(json[key]?["data"]?.kind ?? "missing"), expected base64 text.")
        }
        do throws(MediaError) {
            return .bytes(try decodeBase64(data.utf8, name: "\(place).\(key)"), name: "\(place).\(key)")
        } catch {
            throw SessionError(error)
        }
    }

    /// The first of `keys` that is there: a URL, or an object with a `url`.
    private static func source(
        _ json: JSONValue, _ keys: [String], at place: String, _ resolve: (String) -> String
    ) throws(SessionError) -> MediaSource {
        guard let key = keys.first(where: { json[$0] != nil }), let value = json[key] else {
            throw SessionError(.decodingFailure, "\(place).\(keys[0]) is missing, expected a path, a URL, or an object with a url.")
        }
        if value.object != nil, value["url"]?.string == nil {
            throw SessionError(.decodingFailure, "\(place).\(key).url must be a string, \(value["url"].map { "found \($0.kind)" } ?? "but is missing").")
        }
        guard let url = value.string ?? value["url"]?.string else {
            throw SessionError(.decodingFailure, "\(place).\(key) is \(value.kind), expected a path, a URL, or an object with a url.")
        }
        do throws(MediaError) {
            let source = try MediaSource(url: url)
            if case .file(let path) = source, path == url { return .file(resolve(path)) }
            return source
        } catch {
            throw SessionError(error)
        }
    }
}

// MARK: Writing

extension MessageInput {
    /// The message in the shape `parse` reads. Files are named by their path; what lies in memory becomes a `data:` URL.
    public var json: JSONValue {
        let parts = content.parts
        var members: [JSONObject.Member] = [.init(key: "role", value: .string(role.rawValue))]
        if let toolCallID { members.append(.init(key: "tool_call_id", value: .string(toolCallID))) }
        if let toolName { members.append(.init(key: "name", value: .string(toolName))) }
        if parts.count == 1, case .text(let text) = parts[0] {
            members.append(.init(key: "content", value: .string(text)))
        } else {
            members.append(.init(key: "content", value: parts.isEmpty && !toolCalls.isEmpty ? .null : .array(parts.flatMap(Self.items))))
        }
        if !toolCalls.isEmpty { members.append(.init(key: "tool_calls", value: .array(toolCalls.map(\.json)))) }
        return .object(JSONObject(members))
    }

    private static func items(_ part: Prompt.Part) -> [JSONValue] {
        switch part {
        case .text(let text): [["type": "text", "text": .string(text)]]
        case .image(.encoded(let source)): [item("image_url", url(source))]
        case .image(.pixels(let image)): [item("image_url", dataURL("image/bmp", bmp(image)))]
        case .audio(.encoded(let source)): [item("audio_url", url(source))]
        case .audio(.samples(let clip)): [item("audio_url", dataURL("audio/wav", wav(clip)))]
        case .video(.encoded(let source, _)): [item("video_url", url(source))]
        case .video(.frames(let clip)):
            // What the model is shown of it.
            clip.frames.flatMap { frame in items(.text(videoTimeStamp(frame.time))) + items(.image(.pixels(frame.image))) }
                + (clip.sound.map { items(.audio(.samples($0))) } ?? [])
        }
    }

    private static func item(_ type: String, _ url: String) -> JSONValue {
        .object(JSONObject([
            JSONObject.Member(key: "type", value: .string(type)), JSONObject.Member(key: type, value: ["url": .string(url)]),
        ]))
    }

    private static func url(_ source: MediaSource) -> String {
        switch source {
        case .file(let path): path
        case .bytes(let region, let name):
            // What came as a data: URL is called by its beginning, `data:image/png;base64`.
            dataURL(
                name.hasPrefix("data:") ? String(name.dropFirst(5).prefix { $0 != ";" && $0 != "," }) : "application/octet-stream",
                Array(region.bytes))
        }
    }

    private static func dataURL(_ type: String, _ bytes: [UInt8]) -> String { "data:\(type);base64,\(base64(bytes))" }

    /// A 24-bit bitmap, rows from the top.
    private static func bmp(_ image: RGBImage) -> [UInt8] {
        let rowBytes = (image.width * 3 + 3) / 4 * 4
        var bytes = Array("BM".utf8) + little32(54 + rowBytes * image.height) + little32(0) + little32(54)
        bytes += little32(40) + little32(image.width) + little32(-image.height) + [1, 0, 24, 0] + little32(0)
        bytes += little32(rowBytes * image.height) + little32(2835) + little32(2835) + little32(0) + little32(0)
        let padding = [UInt8](repeating: 0, count: rowBytes - image.width * 3)
        for y in 0..<image.height {
            for x in 0..<image.width {
                let at = (y * image.width + x) * 3
                bytes += [image.pixels[at + 2], image.pixels[at + 1], image.pixels[at]]
            }
            bytes += padding
        }
        return bytes
    }

    /// Float samples as they are.
    private static func wav(_ clip: AudioClip) -> [UInt8] {
        let size = clip.samples.count * 4
        var bytes = Array("RIFF".utf8) + little32(36 + size) + Array("WAVEfmt ".utf8) + little32(16) + [3, 0, 1, 0]
        bytes += little32(AudioClip.sampleRate) + little32(AudioClip.sampleRate * 4) + [4, 0, 32, 0] + Array("data".utf8) + little32(size)
        for sample in clip.samples { bytes += little32(Int(Int32(bitPattern: sample.bitPattern))) }
        return bytes
    }

    private static func little32(_ value: Int) -> [UInt8] {
        let bits = UInt32(truncatingIfNeeded: value)
        return (0..<4).map { UInt8(truncatingIfNeeded: bits >> (8 * UInt32($0))) }
    }
}

/// The standard alphabet, with padding.
package func base64(_ bytes: [UInt8]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    var index = 0
    while index < bytes.count {
        let left = bytes.count - index
        let group = UInt32(bytes[index]) << 16 | (left > 1 ? UInt32(bytes[index + 1]) << 8 : 0) | (left > 2 ? UInt32(bytes[index + 2]) : 0)
        text.append(alphabet[Int(group >> 18)])
        text.append(alphabet[Int(group >> 12 & 63)])
        text.append(left > 1 ? alphabet[Int(group >> 6 & 63)] : UInt8(ascii: "="))
        text.append(left > 2 ? alphabet[Int(group & 63)] : UInt8(ascii: "="))
        index += 3
    }
    return String(decoding: text, as: UTF8.self)
}
