internal import Checkpoint
internal import Gemma3n

extension SessionFile.State {
    var json: JSONValue {
        [
            "context_length": .int(contextLength), "size": size.map { Self.json($0) } ?? nil, "switching": .string(switching.rawValue),
            "wishes": Self.json(wishes), "told_tools": toldTools.map { .string($0) } ?? nil,
            "marks": .array(marks.map { .ints([$0.entries, $0.tokens, $0.images, $0.clips]) }), "history_images": .ints(historyImages),
            "history_clips": .ints(historyClips), "caches": caches?.json ?? nil,
        ]
    }

    /// - Throws: What is missing or wrong.
    init(_ json: JSONValue) throws(SessionFile.Flaw) {
        contextLength = try json.count("context_length")
        if let size = json["size"], !size.isNull { self.size = size.string == "automatic" ? .automatic : .slice(try ModelSlice(size)) }
        guard let name = json["switching"]?.string, let switching = SizeSwitching(rawValue: name) else { throw SessionFile.Flaw(key: "switching") }
        self.switching = switching
        if let wishes = json["wishes"] { self.wishes = try Self.wishes(wishes) }
        toldTools = json["told_tools"]?.string
        for mark in try json.list("marks") {
            let numbers = try mark.counts("marks")
            guard numbers.count == 4 else { throw SessionFile.Flaw(key: "marks") }
            marks.append(HistoryMark(entries: numbers[0], tokens: numbers[1], images: numbers[2], clips: numbers[3]))
        }
        historyImages = try json.list("history_images").counts("history_images")
        historyClips = try json.list("history_clips").counts("history_clips")
        if let caches = json["caches"], !caches.isNull { self.caches = try SessionFile.Caches(caches) }
    }

    private static func json(_ size: SizeChoice) -> JSONValue {
        guard case .fixed(.slice(let slice)) = size else { return "automatic" }
        return .ints(slice.widths)
    }

    private static func json(_ wishes: SizeWishes) -> JSONValue {
        let preference: JSONValue? =
            switch wishes.preference {
            case nil: nil
            case .smallest: "smallest"
            case .largest: "largest"
            case .atLeast(let count): ["at_least": .int(count)]
            case .atMost(let count): ["at_most": .int(count)]
            }
        return [
            "preference": preference ?? nil, "milliseconds_per_token": wishes.millisecondsPerToken.map { .number(JSONNumber($0)) } ?? nil,
            "task": wishes.task.map { .string($0.rawValue) } ?? nil,
        ]
    }

    private static func wishes(_ json: JSONValue) throws(SessionFile.Flaw) -> SizeWishes {
        var wishes = SizeWishes()
        if let preference = json["preference"], !preference.isNull {
            switch preference.string {
            case "smallest": wishes.preference = .smallest
            case "largest": wishes.preference = .largest
            default:
                if let count = preference["at_least"]?.int {
                    wishes.preference = .atLeast(parameters: count)
                } else {
                    wishes.preference = .atMost(parameters: try preference.count("at_most"))
                }
            }
        }
        wishes.millisecondsPerToken = json["milliseconds_per_token"]?.double
        wishes.task = (json["task"]?.string).flatMap { SizeWishes.Task(rawValue: $0) }
        return wishes
    }
}

extension SessionFile.Caches {
    var json: JSONValue {
        [
            "format": .string(stored.format.rawValue), "position": .int(stored.position), "first_in_rings": .int(stored.firstInRings),
            "pending": .ints(pending.map { Int($0) }),
            "makers": .array(makers.map { ["start": .int($0.start), "widths": .ints($0.slice.widths)] }), "widths": .ints(slice.widths),
            "images": .ints(images), "clips": .ints(clips), "soft_images": .array(softImages.map { .ints([$0.place, $0.medium]) }),
            "soft_clips": .array(softClips.map { .ints([$0.place, $0.medium]) }),
        ]
    }

    init(_ json: JSONValue) throws(SessionFile.Flaw) {
        guard let name = json["format"]?.string, let format = KVFormat(rawValue: name) else { throw SessionFile.Flaw(key: "format") }
        stored = StoredKeyValues(format: format, position: try json.count("position"), firstInRings: try json.count("first_in_rings"))
        pending = try json.list("pending").counts("pending").map { (token) throws(SessionFile.Flaw) in
            guard let token = Int32(exactly: token) else { throw SessionFile.Flaw(key: "pending") }
            return token
        }
        for maker in try json.list("makers") {
            makers.append(Conversation.Maker(start: try maker.count("start"), slice: try ModelSlice(maker["widths"] ?? nil)))
        }
        slice = try ModelSlice(json["widths"] ?? nil)
        images = try json.list("images").counts("images")
        clips = try json.list("clips").counts("clips")
        softImages = try Self.places(json, "soft_images")
        softClips = try Self.places(json, "soft_clips")
    }

    private static func places(_ json: JSONValue, _ key: String) throws(SessionFile.Flaw) -> [SessionFile.Place] {
        var places: [SessionFile.Place] = []
        for pair in try json.list(key) {
            let numbers = try pair.counts(key)
            guard numbers.count == 2, numbers[0] > places.last?.place ?? -1 else { throw SessionFile.Flaw(key: key) }
            places.append(SessionFile.Place(place: numbers[0], medium: numbers[1]))
        }
        return places
    }
}

extension SessionFile {
    /// What is wrong in a file, as a sentence.
    struct Flaw: Error {
        let what: String
        init(_ what: String) { self.what = what }

        /// Of a key of the state.
        init(key: String) { what = "\(key) of its state is missing or makes no sense." }
    }
}

extension ModelSlice {
    /// From its widths.
    fileprivate init(_ json: JSONValue) throws(SessionFile.Flaw) { self.init(widths: try json.counts("widths")) }
}

extension JSONValue {
    fileprivate static func int(_ value: Int) -> JSONValue { .number(JSONNumber(value)) }
    fileprivate static func ints(_ values: [Int]) -> JSONValue { .array(values.map { .int($0) }) }

    /// A number from 0 on.
    fileprivate func count(_ key: String) throws(SessionFile.Flaw) -> Int {
        guard let value = self[key]?.int, value >= 0 else { throw SessionFile.Flaw(key: key) }
        return value
    }

    fileprivate func list(_ key: String) throws(SessionFile.Flaw) -> [JSONValue] {
        guard let list = self[key]?.array else { throw SessionFile.Flaw(key: key) }
        return list
    }

    fileprivate func counts(_ what: String) throws(SessionFile.Flaw) -> [Int] {
        guard let array else { throw SessionFile.Flaw(key: what) }
        return try array.counts(what)
    }
}

extension [JSONValue] {
    fileprivate func counts(_ what: String) throws(SessionFile.Flaw) -> [Int] {
        var counts: [Int] = []
        for value in self {
            guard let count = value.int, count >= 0 else { throw SessionFile.Flaw(key: what) }
            counts.append(count)
        }
        return counts
    }
}
