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
                400, "response_format is \"\(wanted.prefix(40))\", expected \"json\", \"text\", \"srt\", \"vtt\" or \"verbose_json\".",
                field: "response_format", code: "invalid_value")
        }
        self.format = format
        for granularity in form.all("timestamp_granularities[]") where granularity.text != "segment" {
            throw Refusal(
                400, "timestamp_granularities[] asks for times of words; there are times of segments only.", field: "timestamp_granularities[]",
                code: "unsupported_parameter")
        }
        let given = try text("temperature") ?? "0"
        guard let temperature = Double(given), (0...100).contains(temperature) else {
            throw Refusal(400, "temperature is \"\(given.prefix(40))\", expected a number from 0 on.", field: "temperature", code: "invalid_value")
        }
        self.temperature = temperature
        streams = try text("stream") == "true"
        let language = try text("language").flatMap { $0.isEmpty ? nil : $0 }
        self.language = language
        var question = translates ? "Translate the audio into English." : language.map { "Transcribe the audio in \($0)." } ?? "Transcribe the audio."
        if let context = try text("prompt"), !context.isEmpty { question += " Context: \(context)" }
        self.question = question
    }
}
