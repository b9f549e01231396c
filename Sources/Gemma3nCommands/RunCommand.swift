internal import ArgumentParser
internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost

/// `gemma3n run`: one prompt, one answer.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Answers one prompt.", usage: "gemma3n run [MODEL] PROMPT... [options]",
        discussion: """
            The prompt's words are joined by spaces. `-`, or a pipe and no words, reads the prompt from standard input.

              gemma3n run --image photo.jpg "What is in the picture?"
              gemma3n run ./gemma-3n-E2B-it --audio voice.wav "Transcribe the audio."
            """)

    @Argument(help: ArgumentHelp("The model's directory or GGUF file, if it is not the demo model, and the prompt.", valueName: "model and prompt"))
    var words: [String] = []

    @OptionGroup(title: "Media") var media: MediaArguments
    @Option(help: ArgumentHelp("Instructions the model gets before the prompt.", valueName: "text"))
    var system: String?
    @OptionGroup(title: "Sampling") var sampling: SamplingArguments
    @OptionGroup(title: "Speculation") var speculation: SpeculationArguments
    @OptionGroup(title: "Shape") var shape: ShapeOptions
    @OptionGroup(title: "Model") var model: ModelOptions
    @OptionGroup(title: "Size") var size: SliceOptions
    @OptionGroup(title: "Size") var wishes: SizeWishOptions
    @Flag(help: "Print what the answer cost to standard error.") var stats = false
    @Flag(help: "Print the answer as JSON.") var json = false

    func run() async throws {
        let (directory, words) = try model.split(words)
        var prompt = Prompt(parts: try media.parts())
        var text = words.joined(separator: " ")
        if words == ["-"] || (words.isEmpty && !Output.isInputTerminal && prompt.parts.isEmpty) {
            text = String(decoding: Output.readInput(), as: UTF8.self)
        }
        if !text.allSatisfy(\.isWhitespace) { prompt.parts.append(.text(text)) }
        guard !prompt.parts.isEmpty else {
            throw words.isEmpty && Output.isInputTerminal
                ? ValidationError("The prompt is missing.") as any Error : CommandError("the prompt is empty; write something or add a picture, sound or video.")
        }

        let model = try await model.open(directory, size: size.atOpening)
        let session = LanguageModelSession(model: model, instructions: system)
        if let choice = try size.choice(model) { session.size = choice }
        session.sizeWishes = wishes.wishes
        var options = sampling.options
        options.speculation = speculation.value
        options.shape = try shape.shape()
        let stream = session.streamResponse(to: prompt, options: options)
        Interrupts.shared.handle { stream.stop() }
        let response = try await AnswerPrinter.print(stream, quietly: json)
        let wasInterrupted = Interrupts.shared.stopHandling()
        if json { Output.line(response.json.serialized(indent: 2)) }
        if stats { Output.writeError(response.statistics.summary + memorySummary(session.model)) }
        if response.finishReason == .contextFull { Output.warning("the context of \(session.contextLength) tokens is full; the answer ends there.") }
        if wasInterrupted { throw ExitCode(130) }
    }
}

/// What the process held at most, beside what was planned.
func memorySummary(_ model: Gemma3nLanguageModel) -> String {
    let planned = model.memoryPlan.map { ", planned \(gigabytes($0.byteCount)): context \($0.contextLength), \($0.keyValues.rawValue) keys and values, prefill by \($0.chunk)" }
    return "peak memory \(gigabytes(ProcessFigures.peakBytes))\(planned ?? "")\n"
}

/// Prints an answer as it comes.
enum AnswerPrinter {
    static func print(_ stream: ResponseStream, quietly: Bool = false) async throws -> Response {
        var printed = 0
        do {
            for try await snapshot in stream {
                if !quietly {
                    let bytes = Array(snapshot.content.utf8.dropFirst(printed))
                    if !bytes.isEmpty { Output.write(String(decoding: bytes, as: UTF8.self)) }
                    printed += bytes.count
                }
                if let response = snapshot.response {
                    if !quietly, !response.content.utf8.reversed().starts(with: [UInt8(ascii: "\n")]) { Output.write("\n") }
                    return response
                }
            }
        } catch {
            if printed > 0 { Output.write("\n") }
            throw error
        }
        throw CancellationError()
    }
}

extension Response {
    /// The answer for programs.
    var json: JSONValue {
        [
            "text": .string(content), "finish_reason": .string(finishReason.rawValue),
            "token_ids": .array(tokens.map { .number(JSONNumber(Int($0))) }), "size": statistics.size?.json ?? .null,
            "statistics": statistics.json,
        ]
    }
}

extension SizeDecision {
    var json: JSONValue {
        .object(JSONObject([.init(key: "name", value: .string(name))] + (slice.json.object?.members ?? []) + [.init(key: "reason", value: .string(reason))]))
    }
}

extension ResponseStatistics {
    var json: JSONValue {
        func seconds(_ value: Double) -> JSONValue { .number(JSONNumber((value * 1e6).rounded() / 1e6)) }
        func rate(_ value: Double) -> JSONValue { .number(JSONNumber((value * 100).rounded() / 100)) }
        return [
            "prompt_tokens": .number(JSONNumber(promptTokens)), "cached_tokens": .number(JSONNumber(cachedTokens)),
            "response_tokens": .number(JSONNumber(responseTokens)), "determined_tokens": .number(JSONNumber(determinedTokens)), "decode_media_seconds": seconds(decodeMediaSeconds),
            "encode_seconds": seconds(encodeSeconds), "prefill_seconds": seconds(prefillSeconds),
            "time_to_first_token": seconds(timeToFirstToken), "generation_seconds": seconds(generationSeconds),
            "prefill_tokens_per_second": rate(prefillTokensPerSecond), "decode_tokens_per_second": rate(decodeTokensPerSecond),
            "speculation": speculation?.json ?? .null,
        ]
    }

    /// Tokens per second of the answer, for people; nothing for an answer of one token, which has no speed of its own.
    func decodeSpeed(before: String, digits: Int) -> String {
        responseTokens > 1 ? "\(before)\(fixed(decodeTokensPerSecond, digits)) tokens/s" : ""
    }

    /// Two lines for people, and one about each of size and speculation.
    var summary: String {
        let media = encodeSeconds + decodeMediaSeconds > 0.001 ? ", media \(fixed(encodeSeconds + decodeMediaSeconds, 2)) s" : ""
        let part = size.map { "size \($0.name): \($0.reason)\n" } ?? ""
        return """
            prompt \(promptTokens) tokens (\(cachedTokens) cached), \(fixed(prefillTokensPerSecond, 1)) tokens/s\(media)
            answer \(responseTokens) tokens\(decodeSpeed(before: ", ", digits: 1)), first after \(fixed(timeToFirstToken, 2)) s
            \(part)\(speculation?.summary ?? "")
            """
    }
}

/// A number with so many decimal places.
package func fixed(_ value: Double, _ places: Int) -> String {
    guard value.isFinite, value.magnitude < 1e12 else { return "\(value)" }
    var scale = 1
    for _ in 0..<places { scale *= 10 }
    let scaled = Int((value.magnitude * Double(scale)).rounded())
    let fraction = String(scaled % scale)
    let sign = value < 0 && scaled != 0 ? "-" : ""
    return places == 0 ? "\(sign)\(scaled)" : "\(sign)\(scaled / scale).\(String(repeating: "0", count: places - fraction.count))\(fraction)"
}
