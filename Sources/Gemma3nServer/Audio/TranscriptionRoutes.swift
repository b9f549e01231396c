internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost
internal import HTTPTypes
internal import Tokenization

/// `/v1/audio/transcriptions` and `/v1/audio/translations`. Long sounds are cut where they are quiet and heard piece by piece.
struct TranscriptionRoutes {
    let desk: Desk

    var routes: [Route] {
        [
            Route(.post, "/v1/audio/transcriptions") { [self] in try await answer($0, translates: false) },
            Route(.post, "/v1/audio/translations") { [self] in try await answer($0, translates: true) },
        ]
    }

    private func answer(_ exchange: Exchange, translates: Bool) async throws -> Reply {
        let request = try TranscriptionRequest(exchange, desk, translates: translates)
        guard let encoder = desk.model.model.audio else {
            throw Refusal(400, "This model was opened without its audio encoder: it hears nothing.", field: "model", code: "unsupported_model")
        }
        let clip = try decoded(request.file)
        let windows = encoder.splitter.windows(of: clip.samples)
        guard !windows.isEmpty else { throw Refusal(400, "file holds no sound.", field: "file", code: "invalid_value") }
        var options = ResponseOptions(temperature: request.temperature)
        options.topLogProbabilities = request.format == .verboseJSON || request.showsProbabilities ? 0 : nil
        options.size = request.size.map { .fixed($0) }
        let works = windows.map { window in
            let part = AudioClip(samples: Array(clip.samples[window]))
            return ChatWork(
                .messages([MessageInput(.user, Prompt(parts: [.audio(.samples(part)), .text(request.question)]))]), options: options)
        }
        let answering = try desk.begin(works, for: exchange)
        let writer = TranscriptionWriter(request: request, windows: windows, sampleCount: clip.samples.count, translates: translates, desk: desk)
        guard request.streams else { return writer.reply(try await answering.collect()) }
        _ = try await answering.begun()
        return .events { try await writer.stream(answering, to: $0) }
    }

    private func decoded(_ file: MediaSource) throws(Refusal) -> AudioClip {
        do throws(MediaError) {
            return try desk.model.decoder.audio(file)
        } catch {
            throw Refusal(400, error.description, field: "file", code: "unreadable_media")
        }
    }
}

/// Writes transcriptions.
private struct TranscriptionWriter: @unchecked Sendable {
    let request: TranscriptionRequest
    let windows: [Range<Int>]
    let sampleCount: Int
    let translates: Bool
    let desk: Desk

    private func seconds(_ samples: Int) -> Double { Double(samples) / Double(AudioClip.sampleRate) }
    private func number(_ value: Double) -> JSONValue { .number(JSONNumber((value * 1000).rounded() / 1000)) }
    private static func trimmed(_ text: String) -> String { String(text.trimmingPrefix(while: \.isWhitespace).reversed().trimmingPrefix(while: \.isWhitespace).reversed()) }

    private func text(_ answers: [FinishedAnswer]) -> String {
        answers.map { Self.trimmed($0.text) }.filter { !$0.isEmpty }.joined(separator: " ")
    }

    func reply(_ answers: [FinishedAnswer]) -> Reply {
        switch request.format {
        case .json: .json(withProbabilities(answers.flatMap(\.response.logProbabilities), ["text": .string(text(answers)), "usage": usage(answers)]))
        case .text: .text(text(answers) + "\n")
        case .srt: .text(cues(answers, separator: ",", numbered: true))
        case .vtt: .text("WEBVTT\n\n" + cues(answers, separator: ".", numbered: false), type: "text/vtt; charset=utf-8")
        case .verboseJSON: .json(verbose(answers))
        }
    }

    private func withProbabilities(_ tokens: [TokenProbabilities], _ json: JSONValue) -> JSONValue {
        request.showsProbabilities ? json.adding("logprobs", .array(tokens.map { TokenText.json($0.chosen, desk) })) : json
    }

    private func usage(_ answers: [FinishedAnswer]) -> JSONValue {
        let prompt = answers.reduce(0) { $0 + $1.response.statistics.promptTokens }
        let output = answers.reduce(0) { $0 + $1.response.statistics.responseTokens }
        let sounds = answers.reduce(0) { $0 + $1.response.statistics.promptAudioTokens }
        return [
            "type": "tokens", "input_tokens": .number(JSONNumber(prompt)),
            "input_token_details": ["audio_tokens": .number(JSONNumber(sounds)), "text_tokens": .number(JSONNumber(prompt - sounds))],
            "output_tokens": .number(JSONNumber(output)),
            "total_tokens": .number(JSONNumber(prompt + output)),
        ]
    }

    private func verbose(_ answers: [FinishedAnswer]) -> JSONValue {
        let segments: [JSONValue] = zip(windows, answers).enumerated().map { index, pair in
            let (window, answer) = pair
            let heard = Self.trimmed(answer.text)
            return [
                "id": .number(JSONNumber(index)), "seek": .number(JSONNumber(window.lowerBound / 160)), "start": number(seconds(window.lowerBound)),
                "end": number(seconds(window.upperBound)), "text": .string(heard),
                "tokens": .array(answer.response.tokens.map { .number(JSONNumber(Int($0))) }), "temperature": number(request.temperature),
                "avg_logprob": .number(JSONNumber(answer.meanLogProbability)),
                "compression_ratio": number(CompressionRatio.of(Array(heard.utf8))), "no_speech_prob": 0,
            ]
        }
        return [
            "task": translates ? "translate" : "transcribe", "language": .string(translates ? "english" : request.language ?? "unknown"),
            "duration": number(seconds(sampleCount)), "text": .string(text(answers)), "segments": .array(segments),
            "usage": ["type": "duration", "seconds": number(seconds(sampleCount))],
        ]
    }

    private func cues(_ answers: [FinishedAnswer], separator: String, numbered: Bool) -> String {
        zip(windows, answers).enumerated().map { index, pair in
            let times = "\(time(pair.0.lowerBound, separator)) --> \(time(pair.0.upperBound, separator))"
            return (numbered ? "\(index + 1)\n" : "") + "\(times)\n\(Self.trimmed(pair.1.text))\n\n"
        }.joined()
    }

    private func time(_ samples: Int, _ separator: String) -> String {
        let milliseconds = samples * 1000 / AudioClip.sampleRate
        func padded(_ value: Int, _ width: Int) -> String { String(repeating: "0", count: max(0, width - "\(value)".count)) + "\(value)" }
        return "\(padded(milliseconds / 3_600_000, 2)):\(padded(milliseconds / 60000 % 60, 2)):\(padded(milliseconds / 1000 % 60, 2))\(separator)\(padded(milliseconds % 1000, 3))"
    }

    /// Pieces are heard at the same time, and told one after the other.
    func stream(_ answering: Answering, to send: ReplySink) async throws {
        var waiting: [Int: (text: String, tokens: [TokenProbabilities])] = [:]
        var answers: [Int: FinishedAnswer] = [:]
        var current = 0
        func delta(_ text: String, _ tokens: [TokenProbabilities] = []) async throws {
            if text.isEmpty, tokens.isEmpty { return }
            try await send(ServerSentEvent.text(data: withProbabilities(tokens, ["type": "transcript.text.delta", "delta": .string(text)])))
        }
        do {
            while let piece = try await answering.next() {
                switch piece.piece {
                case .text(let more, let tokens) where piece.choice == current: try await delta(more, tokens)
                case .text(let more, let tokens):
                    let before = waiting[piece.choice] ?? ("", [])
                    waiting[piece.choice] = (before.text + more, before.tokens + tokens)
                case .end(let answer):
                    answers[piece.choice] = answer
                    while answers[current] != nil {
                        current += 1
                        if let next = waiting.removeValue(forKey: current) { try await delta(" " + next.text, next.tokens) } else if current < windows.count { try await delta(" ") }
                    }
                case .wait: try await send(ServerSentEvent.ping)
                default: break
                }
            }
            let whole = answers.sorted { $0.key < $1.key }.map(\.value)
            try await send(
                ServerSentEvent.text(
                    data: withProbabilities(
                        whole.flatMap(\.response.logProbabilities),
                        ["type": "transcript.text.done", "text": .string(text(whole)), "usage": usage(whole)])))
        } catch {
            try await send(ServerSentEvent.text(data: Dialect.openAI.body(Refusal(error), requestID: "")))
        }
    }
}
