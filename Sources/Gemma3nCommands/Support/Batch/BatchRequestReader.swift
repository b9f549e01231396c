internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost
internal import Tokenization

/// Reads what a line asks for.
struct BatchRequestReader {
    /// Of lines that do not say otherwise.
    let options: ResponseOptions
    let system: String?
    /// Line n draws with this number and n - 1 added: answers do not depend on what is computed beside them.
    let seed: UInt64
    /// Bytes of a line at most.
    let lineLimit: Int

    /// - Parameter number: The line's, from 1.
    /// - Returns: The line's own name, null if it has none, and the request or what is wrong.
    func read(_ line: LineSource.Line, number: Int) -> (id: JSONValue, request: Result<AnswerRequest, BatchFailure>) {
        var id = JSONValue.null
        let request = Result { () throws(BatchFailure) in
            let json = try parse(line)
            id = Self.id(of: json)
            return try self.request(json, number: number)
        }
        return (id, request)
    }

    private func parse(_ line: LineSource.Line) throws(BatchFailure) -> JSONValue {
        guard line.byteCount <= lineLimit else {
            throw BatchFailure(.lineTooLong, "The line has \(line.byteCount) bytes, and at most \(lineLimit) are read. Give a larger --max-line.")
        }
        guard line.bytes.contains(where: { ![0x20, 0x09, 0x0D].contains($0) }) else {
            throw BatchFailure(.emptyLine, "The line is empty, expected a JSON string or object.")
        }
        do throws(CheckpointError) {
            return try JSONValue.parse(line.bytes, file: "the line")
        } catch {
            throw BatchFailure(.invalidJSON, error.description)
        }
    }

    private static func id(of json: JSONValue) -> JSONValue {
        let id = json["custom_id"] ?? json["id"] ?? .null
        return id.array == nil && id.object == nil ? id : .null
    }

    private func request(_ json: JSONValue, number: Int) throws(BatchFailure) -> AnswerRequest {
        var options = options
        options.seed = seed &+ UInt64(number - 1)
        if let text = json.string { return AnswerRequest(.messages(try messages([], text)), options: options) }
        guard let object = json.object else {
            throw BatchFailure(.invalidRequest, "The line is \(json.kind), expected a string or an object with prompt, messages or body.")
        }
        let fields = try body(BatchFields(object: object))
        let input = try self.input(fields)
        return AnswerRequest(.messages(input), options: try fields.options(over: options))
    }

    /// The body of a line in OpenAI's batch format; other lines are it themselves.
    private func body(_ fields: BatchFields) throws(BatchFailure) -> BatchFields {
        guard fields["body"] != nil || fields["url"] != nil else { return fields }
        if let url = try fields.string("url"), url != "/v1/chat/completions" {
            throw BatchFailure(.unsupportedURL, "url is \"\(url.prefix(100))\"; a batch answers \"/v1/chat/completions\" only.")
        }
        if let method = try fields.string("method"), method != "POST" {
            throw fields.failure("method", "is \"\(method.prefix(20))\", expected \"POST\".")
        }
        guard let body = try fields.object("body") else { throw fields.failure("body", "is missing, expected the object of a request.") }
        return body
    }

    private func input(_ fields: BatchFields) throws(BatchFailure) -> [MessageInput] {
        switch (fields["messages"], try fields.string("prompt")) {
        case (let json?, nil):
            do throws(SessionError) {
                let messages = try MessageInput.parse(json, file: fields.name("messages"))
                return withSystem(messages)
            } catch {
                throw BatchFailure(error)
            }
        case (nil, let prompt?): return try messages(try media(fields), prompt)
        case (nil, nil): throw fields.failure("prompt", "and messages are missing, expected one of them.")
        default: throw fields.failure("prompt", "and messages both say what is asked. Give one of them.")
        }
    }

    private func messages(_ media: [Prompt.Part], _ prompt: String) throws(BatchFailure) -> [MessageInput] {
        guard !media.isEmpty || !prompt.allSatisfy(\.isWhitespace) else { throw BatchFailure(.invalidRequest, "The prompt is empty.") }
        return withSystem([MessageInput(.user, Prompt(parts: media + (prompt.isEmpty ? [] : [.text(prompt)])))])
    }

    /// The command line's instructions, unless the line has its own.
    private func withSystem(_ messages: [MessageInput]) -> [MessageInput] {
        guard let system, messages.first?.role != .system else { return messages }
        return [MessageInput(.system, Prompt(system))] + messages
    }

    /// Pictures, then videos, then sounds, as on the command line.
    private func media(_ fields: BatchFields) throws(BatchFailure) -> [Prompt.Part] {
        try sources(fields, "image").map { .image(.encoded($0)) }
            + sources(fields, "video").map { .video(.encoded($0, VideoSampling())) }
            + sources(fields, "audio").map { .audio(.encoded($0)) }
    }

    private func sources(_ fields: BatchFields, _ key: String) throws(BatchFailure) -> [MediaSource] {
        var sources: [MediaSource] = []
        for url in try fields.strings(key) ?? [] {
            do throws(MediaError) {
                sources.append(try MediaSource(url: url))
            } catch {
                throw BatchFailure(SessionError(.unreadableMedia, error.description))
            }
        }
        return sources
    }
}
