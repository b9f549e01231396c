internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost

/// A question with its media and the answer expected.
struct ExamItem {
    /// Groups items in summaries, such as `image`, `audio`, `text`.
    let kind: String
    /// What is asked, within the kind.
    let task: String
    let question: String
    let expected: String
    /// Media in front of the question.
    let media: [Prompt.Part]
    /// The media's names, for people.
    let names: [String]

    var prompt: Prompt { Prompt(parts: media + (question.isEmpty ? [] : [.text(question)])) }

    /// Reads `{"question", "expected"}` with media under `image`, `audio` or `video`, or `file` or `files` whose kind the name
    /// tells. Several pictures are taken for the frames of a video, one second apart.
    ///
    /// - Parameter folder: Where file names are looked for, `/` at its end.
    init(_ json: JSONValue, at place: String, folder: String) throws(CommandError) {
        guard let question = json["question"]?.string, let expected = json["expected"]?.string else {
            throw CommandError("\(place): question and expected are strings, but they are \(json["question"]?.kind ?? "missing") and \(json["expected"]?.kind ?? "missing").")
        }
        var files: [(name: String, kind: String)] = []
        for (key, kind) in [("image", "image"), ("images", "image"), ("audio", "audio"), ("video", "video"), ("file", ""), ("files", "")] {
            guard let value = json[key], !value.isNull else { continue }
            for item in value.array ?? [value] {
                guard let name = item.string else { throw CommandError("\(place): \(key) is \(item.kind), expected the name of a file.") }
                files.append((name, kind.isEmpty ? Self.kind(of: name) : kind))
            }
        }
        self.question = question
        self.expected = expected
        names = files.map(\.name)
        kind = json["kind"]?.string ?? files.first?.kind ?? "text"
        task = json["task"]?.string ?? ""
        let areFrames = kind == "frames" || files.count > 1 && files.allSatisfy { $0.kind == "image" }
        var media: [Prompt.Part] = []
        for (index, file) in files.enumerated() {
            let source = MediaSource.file(file.name.hasPrefix("/") ? file.name : folder + file.name)
            switch file.kind {
            case "audio": media.append(.audio(.encoded(source)))
            case "video": media.append(.video(.encoded(source, VideoSampling())))
            default:
                if areFrames { media.append(.text(videoTimeStamp(Double(index)))) }
                media.append(.image(.encoded(source)))
            }
        }
        self.media = media
    }

    private static func kind(of name: String) -> String {
        let ending = name.split(separator: ".").last.map { $0.lowercased() } ?? ""
        if ["wav", "flac", "mp3", "ogg", "opus", "m4a"].contains(ending) { return "audio" }
        return ["mp4", "webm", "mov"].contains(ending) ? "video" : "image"
    }

    /// Reads a JSON array (or an object with `items`), or one object a line.
    ///
    /// - Throws: `FileError`, `CheckpointError` for bad JSON, `CommandError`.
    static func read(_ path: String) throws -> [ExamItem] {
        let bytes = try readFile(path)
        let folder = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[...$0]) } ?? ""
        var list: [JSONValue] = []
        if path.hasSuffix(".jsonl") {
            for (index, line) in bytes.split(separator: UInt8(ascii: "\n")).enumerated() {
                list.append(try JSONValue.parse(Array(line), file: "\(path), line \(index + 1)"))
            }
        } else {
            let json = try JSONValue.parse(bytes, file: path)
            guard let items = json.array ?? json["items"]?.array else {
                throw CommandError("\(path) holds \(json.kind), expected an array of items.")
            }
            list = items
        }
        guard !list.isEmpty else { throw CommandError("\(path) holds no items.") }
        return try list.enumerated().map { try ExamItem($1, at: "\(path), item \($0 + 1)", folder: folder) }
    }

    /// The first `limit` items of every kind; all without one.
    static func read(_ path: String, limit: Int?) throws -> [ExamItem] {
        var seen: [String: Int] = [:]
        return try read(path).filter { item in
            seen[item.kind, default: 0] += 1
            return seen[item.kind, default: 0] <= limit ?? .max
        }
    }
}

extension ExamItem {
    func isRight(_ answer: String) -> Bool { answer == expected }

    /// Words to change, insert and delete to get from the expected answer to the given one.
    func wordErrors(_ answer: String) -> Int {
        let said = expected.split(separator: " ")
        let heard = answer.split { $0.isWhitespace }
        var row = Array(0...heard.count)
        for (i, a) in said.enumerated() {
            var corner = row[0]
            row[0] = i + 1
            for (j, b) in heard.enumerated() {
                let best = min(row[j + 1] + 1, row[j] + 1, corner + (a == b ? 0 : 1))
                corner = row[j + 1]
                row[j + 1] = best
            }
        }
        return row[heard.count]
    }
}

/// An item and what the model said.
struct ExamResult {
    let item: ExamItem
    let response: Response

    var answer: String { String(response.content[...].trimmingSpaces) }
    var isRight: Bool { item.isRight(answer) }

    /// Tokens of an answer at most.
    static let longestAnswer = 64

    /// Asks a question in a conversation of its own, greedily.
    ///
    /// - Parameter size: The part of the model that is asked; what it was opened with if nil.
    static func ask(_ item: ExamItem, _ model: Gemma3nLanguageModel, _ size: SizeChoice?, _ speculation: Speculation) async throws -> ExamResult {
        let session = LanguageModelSession(model: model)
        if let size { session.size = size }
        var options = ResponseOptions(sampling: .greedy, maximumResponseTokens: longestAnswer)
        options.speculation = speculation
        return ExamResult(item: item, response: try await session.respond(to: item.prompt, options: options))
    }
}
