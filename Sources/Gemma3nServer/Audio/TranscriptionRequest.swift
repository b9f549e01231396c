internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost

/// A request to `/v1/audio/transcriptions` or `/translations`.
struct TranscriptionRequest {
    enum Format: String {
        case json, text, srt, vtt
        case verboseJSON = "verbose_json"
    }

    let file: MediaSource
    let format: Format
    let language: String?
    let temperature: Double
    let streams: Bool
    let showsProbabilities: Bool
    /// What the model is asked.
    let question: String
    let size: ModelSize?

    /// - Throws: 400 naming the field, 404 for another model.
    init(_ exchange: Exchange, _ desk: Desk, translates: Bool) throws(Refusal) {
        let form = try Multipart(exchange.body, contentType: exchange.header("content-type") ?? "")
        func text(_ name: String) throws(Refusal) -> String? {
            guard let part = form[name] else { return nil }
            guard let text = part.text else { throw Refusal(400, "\(name) must be UTF-8 text.", field: name, code: "invalid_type") }
            return text
        }
        guard let part = form["file"] else { throw Refusal(400, "file must be a sound file, but is missing.", field: "file", code: "invalid_type") }
        guard !part.bytes.isEmpty else { throw Refusal(400, "file is empty.", field: "file", code: "invalid_value") }
        file = .bytes(Array(part.bytes), name: part.fileName ?? "file")
        size = try desk.size(ofModel: try text("model"))
        let wanted = try text("response_format") ?? "json"
        guard let format = Format(rawValue: wanted) else {
            throw Refusal(
                400,
                "response_format is \"\(wanted.prefix(40))\", expected \"json\", \"text\", \"srt\", \"vtt\" or \"verbose_json\"."
                    + (wanted == "diarized_json" ? " Speakers are not told apart." : ""),
                field: "response_format", code: "invalid_value")
        }
        self.format = format
        for granularity in form.all("timestamp_granularities[]") where granularity.text != "segment" {
            throw Refusal(
                400, "timestamp_granularities[] asks for times of words; there are times of segments only.", field: "timestamp_granularities[]",
                code: "unsupported_parameter")
        }
        for part in form.all("include[]") where part.text != "logprobs" {
            throw Refusal(400, "include[] must be \"logprobs\".", field: "include[]", code: "invalid_value")
        }
        showsProbabilities = form["include[]"] != nil
        if showsProbabilities, format != .json {
            throw Refusal(400, "include[] asks for logprobs, which only response_format json has.", field: "include[]", code: "invalid_value")
        }
        let heat = try text("temperature") ?? "0"
        guard let temperature = Double(heat), (0...100).contains(temperature) else {
            throw Refusal(400, "temperature is \"\(heat.prefix(40))\", expected a number from 0 on.", field: "temperature", code: "invalid_value")
        }
        self.temperature = temperature
        let stream = try text("stream") ?? "false"
        guard stream.lowercased() == "true" || stream.lowercased() == "false" else {
            throw Refusal(400, "stream is \"\(stream.prefix(40))\", expected \"true\" or \"false\".", field: "stream", code: "invalid_value")
        }
        streams = stream.lowercased() == "true"
        let given = try form["language"] == nil ? text("languages[]") : text("language")
        let language = given.flatMap { $0.isEmpty ? nil : $0 }
        self.language = language
        var question = translates ? "Translate the audio into English." : language.map { "Transcribe the audio in \($0)." } ?? "Transcribe the audio."
        if let context = try text("prompt"), !context.isEmpty { question += " Context: \(context)" }
        let words = form.all("keywords[]").compactMap(\.text).filter { !$0.isEmpty }
        if !words.isEmpty { question += " Words that may occur: \(words.joined(separator: ", "))." }
        self.question = question
    }
}
