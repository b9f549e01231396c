internal import Checkpoint

/// A URL in a request.
struct MediaField: Sendable {
    /// `messages[2].content[0].image_url.url`
    let place: String
    let url: String

    func refusal(_ error: RemoteMediaError) -> Refusal { Refusal(400, "\(place) \(error.message)", field: place, code: "unfetchable_media") }
}

/// Finds the `http` and `https` URLs of media in requests of all protocols.
enum MediaFields {
    private static let types: Set<String> = [
        "image_url", "audio_url", "video_url", "input_image", "input_audio", "input_video", "image", "audio", "video",
    ]
    /// Where a part of one of these types has its URL, itself or in an object under `url`.
    private static let keys: Set<String> = ["image_url", "audio_url", "video_url", "input_audio", "input_video", "image", "audio", "video", "source", "url"]
    private static let requestLists: Set<String> = ["messages", "input", "items"]
    private static let lists: Set<String> = ["content", "output"]

    /// The request with its URLs replaced by what `change` says; nil leaves one as it is.
    static func changed(_ request: JSONObject, _ change: (MediaField) -> String?) -> JSONObject {
        JSONObject(request.members.map { member in
            guard requestLists.contains(member.key) else { return member }
            return .init(key: member.key, value: list(member.value, member.key, change))
        })
    }

    private static func list(_ json: JSONValue, _ place: String, _ change: (MediaField) -> String?) -> JSONValue {
        guard let items = json.array else { return json }
        return .array(items.enumerated().map { index, item in item.object.map { .object(object($0, "\(place)[\(index)]", change)) } ?? item })
    }

    private static func object(_ object: JSONObject, _ place: String, _ change: (MediaField) -> String?) -> JSONObject {
        let isMedia = object["type"]?.string.map { types.contains($0) } ?? false
        return JSONObject(object.members.map { member in
            let place = "\(place).\(member.key)"
            var value = member.value
            if lists.contains(member.key) { value = list(value, place, change) }
            if isMedia, keys.contains(member.key) { value = source(value, place, change) }
            // A document's source holds parts of its own.
            if !isMedia, member.key == "source", let source = member.value.object { value = .object(self.object(source, place, change)) }
            return .init(key: member.key, value: value)
        })
    }

    private static func source(_ json: JSONValue, _ place: String, _ change: (MediaField) -> String?) -> JSONValue {
        switch json {
        case .string(let url) where isRemote(url): change(MediaField(place: place, url: url)).map { .string($0) } ?? json
        case .object(let object):
            .object(JSONObject(object.members.map { member in
                guard member.key == "url", let url = member.value.string, isRemote(url) else { return member }
                return .init(key: "url", value: change(MediaField(place: "\(place).url", url: url)).map { .string($0) } ?? member.value)
            }))
        default: json
        }
    }

    private static func isRemote(_ url: String) -> Bool {
        let start = url.prefix(8).lowercased()
        return start.hasPrefix("http://") || start == "https://"
    }
}
