internal import ArgumentParser
internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost
internal import Synchronization

/// `gemma3n bench`: how fast a model runs here, and how much of what the machine allows that is.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures a model's speed and memory beside the machine's limits.",
        usage: "gemma3n bench [MODEL] [-p 128,512,2048] [-n 64] [-t 1,2] [--size E2B,E4B] [--image] [--audio] [--json]",
        discussion: """
            Opens the model, answers once, then measures every part some times and shows the median. The limits (memory read, multiply-adds) \
            are measured right before and after each part. Needs a quiet machine: the limits are the best of short rounds, the parts run for seconds.
            """)

    @Argument(help: ArgumentHelp("The model, if it is not the demo model.", valueName: "model"))
    var directory: String?
    @Option(name: [.customShort("p"), .customLong("prompt")], help: ArgumentHelp("Prompt lengths, in tokens; 0 for none.", valueName: "list"))
    var prompts = NumberList([128, 512, 2048])
    @Option(name: [.customShort("n"), .customLong("tokens")], help: ArgumentHelp("Tokens to decode; 0 for none.", valueName: "n"))
    var tokens = 64
    @Option(name: .customLong("batch"), help: ArgumentHelp("Measure passes over so many tokens, as speculation makes them, beside a pass of one.", valueName: "list"))
    var batches: NumberList?
    @Option(name: [.customShort("t"), .customLong("thread-counts")], help: ArgumentHelp("Numbers of threads to measure with, instead of --threads.", valueName: "list"))
    var threadCounts: NumberList?
    @Option(name: [.customShort("r"), .long], help: ArgumentHelp("Repetitions of every part, fewer if they take long.", valueName: "n"))
    var repetitions = 3
    @Flag(help: "Measure a picture, too.") var image = false
    @Flag(help: "Measure half a minute of sound, too.") var audio = false
    @OptionGroup(title: "Model") var model: ModelOptions
    @OptionGroup(title: "Size") var size: SliceOptions
    @Flag(help: "Print JSON.") var json = false

    func validate() throws {
        if tokens < 0 || tokens > 100_000 { throw ValidationError("-n is \(tokens), expected 0 to 100000.") }
        if let bad = batches?.values.first(where: { !(1...64).contains($0) }) { throw ValidationError("--batch is \(bad), expected 1 to 64.") }
        if !(1...1000).contains(repetitions) { throw ValidationError("-r is \(repetitions), expected 1 to 1000.") }
        if let bad = threadCounts?.values.first(where: { !(1...1024).contains($0) }) {
            throw ValidationError("-t is \(bad), expected numbers of threads from 1 to 1024.")
        }
    }

    func run() async throws {
        let stopped = Atomic(false)
        Interrupts.shared.handle { stopped.store(true, ordering: .relaxed) }
        do {
            let report = try await measure { stopped.load(ordering: .relaxed) }
            if json { Output.line(report.serialized(indent: 2)) }
        } catch is ModelMeasurement.Stopped {
            throw ExitCode(130)
        }
        if Interrupts.shared.stopHandling() { throw ExitCode(130) }
    }

    private func progress(_ text: String) { Output.writeError(text + "\n") }
    /// A line of the table for people.
    private func row(_ part: String, _ result: String) {
        if !json { Output.line("\(part)\(String(repeating: " ", count: max(1, 24 - part.count)))\(result)") }
    }

    private func measure(_ isStopped: @escaping () -> Bool) async throws -> JSONValue {
        let clock = ContinuousClock()
        let counts = threadCounts?.values ?? [model.threads ?? ProcessorCount.defaultThreadCount]
        let most = counts.max() ?? 1
        var modalities: Modalities = []
        if image { modalities.insert(.image) }
        if audio { modalities.insert(.audio) }

        // Opening, and the first token a user would see.
        progress("opening …")
        let start = clock.now
        let opened = try await model.open(directory ?? model.directory, modalities: modalities, threads: most, size: size.atOpening)
        let openSeconds = start.duration(to: clock.now) / .seconds(1)
        let text = opened.model.configuration.text
        let longest = max(prompts.values.max() ?? 0, tokens, Self.firstPrompt)
        let context = model.context ?? min(max(4096, longest), text.maxPositionEmbeddings)
        if longest > context {
            throw CommandError("the longest prompt or answer is \(longest) tokens, but the context holds \(context). Pass --context \(longest).")
        }
        let whole = opened.model.text
        let asked = try size.slices(of: whole.configuration, grain: whole.widthGrain)
        let slices = asked.isEmpty ? [opened.slice] : asked
        let measurement = ModelMeasurement(opened, contextLength: context, repetitions: repetitions, isStopped: isStopped)
        measurement.use(threads: most)
        if let first = slices.first { try measurement.use(first) }
        try measurement.firstToken(after: Self.firstPrompt)
        let fromOpen = start.duration(to: clock.now) / .seconds(1)
        let fromStart = ProcessFigures.age
        row("model", opened.files.name)
        row("open", "\(fixed(openSeconds, 2)) s")
        row("first token", "\(fixed(fromOpen, 2)) s after opening began\(fromStart.map { ", \(fixed($0, 2)) s after the process did" } ?? ""), \(Self.firstPrompt) tokens of prompt")

        var runs: [JSONValue] = []
        var sizes: [JSONValue] = []
        for slice in slices {
            try measurement.use(slice)
            let part = try whole.sliced(slice)
            let work = TextWork(part)
            let name = slice.name(in: whole.configuration)
            if slices.count > 1 || slice != whole.slice {
                row("size \(name)", "\(fixed(Double(part.configuration.effectiveParameterCount) / 1e6, 2)) million effective parameters")
            }
            row("weights read", "\(fixed(work.bytesPerToken / 1e6, 2)) MB for each decoded token, by arithmetic")
            runs += try self.runs(measurement, work, counts, slices.count > 1 ? name : nil)
            var members: [JSONObject.Member] = [
                .init(key: "name", value: .string(name)),
                .init(key: "effective_parameters", value: .number(JSONNumber(part.configuration.effectiveParameterCount))),
                .init(key: "bytes_per_token", value: figure(work.bytesPerToken)),
                .init(key: "counted_bytes_per_token", value: tokens > 0 ? figure(measurement.bytesPerDecodedToken) : .null),
            ]
            if let other = slices.first(where: { $0 != slice }) {
                let seconds = try measurement.switching(to: other)
                row("switch", "\(fixed(seconds * 1e6, 1)) µs")
                members.append(.init(key: "switch_seconds", value: .number(JSONNumber(seconds))))
            }
            sizes.append(.object(JSONObject(members)))
        }
        if let batches {
            for threads in counts {
                measurement.use(threads: threads)
                progress("passes, \(threads) threads …")
                let sizes = [1] + batches.values
                let parts = try measurement.passes(sizes)
                for (size, part) in zip(sizes, parts) {
                    let ratio = part.median / parts[0].median
                    row("pass of \(size), \(threads) t", "\(fixed(1000 * part.median, 2)) ms, \(fixed(ratio, 2)) of a pass of one\(shown(part.limits))")
                    runs.append(part.json("pass", threads, ["tokens": .number(JSONNumber(size)), "of_one": figure(ratio)], nil))
                }
            }
        }
        // Text alone until here.
        let textPeak = measurement.peakBytes
        row("peak memory, text", "\(fixed(Double(textPeak) / 1e9, 2)) GB, context \(context)\(measurement.isPeakExact ? "" : ", measuring included")")
        for threads in counts where image || audio {
            measurement.use(threads: threads)
            if image {
                progress("image, \(threads) threads …")
                if let part = try measurement.image() {
                    row("image, \(threads) t", "\(fixed(part.median, 3)) s\(shown(part.limits))")
                    runs.append(part.json("image", threads, [:], nil))
                } else {
                    Output.warning("the model has no image encoder.")
                }
            }
            if audio {
                progress("audio, \(threads) threads …")
                if let (seconds, part) = try measurement.audio() {
                    row("audio \(fixed(seconds, 0)) s, \(threads) t", "\(fixed(part.median, 3)) s\(shown(part.limits))")
                    runs.append(part.json("audio", threads, ["audio_seconds": figure(seconds)], nil))
                } else {
                    Output.warning("the model has no audio encoder.")
                }
            }
        }
        if image || audio { row("peak memory", "\(fixed(Double(measurement.peakBytes) / 1e9, 2)) GB") }
        return [
            "engine": .string("gemma3n \(Gemma3nCommand.version)"), "model": .string(opened.files.name),
            "context": .number(JSONNumber(context)), "open_seconds": figure(openSeconds),
            "first_token": [
                "prompt_tokens": .number(JSONNumber(Self.firstPrompt)), "seconds_from_open": figure(fromOpen),
                "seconds_from_start": fromStart.map(figure) ?? .null,
            ],
            "bytes_per_token": sizes.first?["bytes_per_token"] ?? .null, "sizes": .array(sizes), "peak_text_bytes": .number(JSONNumber(textPeak)),
            "peak_bytes": .number(JSONNumber(measurement.peakBytes)), "peak_is_exact": .bool(measurement.isPeakExact), "runs": .array(runs),
        ]
    }

    /// Prefill and decode of one size.
    private func runs(_ measurement: ModelMeasurement, _ work: TextWork, _ counts: [Int], _ size: String?) throws -> [JSONValue] {
        var runs: [JSONValue] = []
        func members(_ members: [String: JSONValue]) -> [String: JSONValue] {
            var members = members
            if let size { members["size"] = .string(size) }
            return members
        }
        for threads in counts {
            measurement.use(threads: threads)
            for count in prompts.values where count > 0 {
                progress("prefill \(count), \(threads) threads …")
                let part = try measurement.prefill(count)
                let share = part.limits.ideal(work.prefill(count)).map { $0 / part.median }
                let speed = Double(count) / part.median
                row("prefill \(count), \(threads) t", "\(fixed(speed, 1)) tokens/s\(shown(share, "arithmetic"))\(shown(part.limits))")
                runs.append(part.json("prefill", threads, members(["tokens": .number(JSONNumber(count)), "tokens_per_second": figure(speed), "best_tokens_per_second": figure(Double(count) / part.best)]), share))
            }
            if tokens > 0 {
                progress("decode \(tokens), \(threads) threads …")
                let part = try measurement.decode(tokens)
                let read = measurement.bytesPerDecodedToken
                let ideal = read / part.limits.readBytesPerSecond
                row("decode \(tokens), \(threads) t", "\(fixed(1 / part.median, 2)) tokens/s, best \(fixed(1 / part.best, 2))\(shown(ideal / part.median, "memory"))\(shown(part.limits))")
                row("weights read, counted", "\(fixed(read / 1e6, 2)) MB for each decoded token")
                runs.append(part.json("decode", threads, members(["tokens": .number(JSONNumber(tokens)), "tokens_per_second": figure(1 / part.median), "best_tokens_per_second": figure(1 / part.best), "mean_tokens_per_second": figure(part.rate), "counted_bytes_per_token": figure(read)]), ideal / part.median))
            }
        }
        return runs
    }

    /// Tokens of the prompt before the first token that is timed.
    private static let firstPrompt = 16

    private func shown(_ share: Double?, _ what: String) -> String { share.map { ", \(fixed(100 * $0, 0)) % of \(what)" } ?? "" }

    private func shown(_ limits: MachineLimits) -> String {
        let int8 = limits.int8OperationsPerSecond.map { ", \(fixed($0 / 1e9, 0)) int8 GOP/s" } ?? ""
        return "  (\(fixed(limits.readBytesPerSecond / 1e9, 1)) GB/s, \(fixed(limits.operationsPerSecond / 1e9, 0)) GFLOP/s\(int8))"
    }
}

/// Six significant decimals at most, for programs.
private func figure(_ value: Double) -> JSONValue { .number(JSONNumber((value * 1e6).rounded() / 1e6)) }

extension MachineLimits {
    /// Seconds the multiply-adds take at the limit; nil where the limit of 8-bit integers is needed and not known.
    fileprivate func ideal(_ work: TextWork.MultiplyAdds) -> Double? {
        let float = 2 * work.float / operationsPerSecond
        if work.integer == 0 { return float }
        return int8OperationsPerSecond.map { float + 2 * work.integer / $0 }
    }

    fileprivate var json: JSONValue {
        [
            "read_bytes_per_second": figure(readBytesPerSecond), "float_operations_per_second": figure(operationsPerSecond),
            "int8_operations_per_second": int8OperationsPerSecond.map(figure) ?? .null, "instruction_set": .string(instructionSet),
        ]
    }
}

extension ModelMeasurement.Part {
    fileprivate func json(_ name: String, _ threads: Int, _ more: [String: JSONValue], _ share: Double?) -> JSONValue {
        var members: [JSONObject.Member] = [
            .init(key: "part", value: .string(name)), .init(key: "threads", value: .number(JSONNumber(threads))),
        ]
        members += more.sorted { $0.key < $1.key }.map { .init(key: $0.key, value: $0.value) }
        members.append(.init(key: "median_seconds", value: figure(median)))
        // Of decoded tokens there are many.
        if seconds.count <= 16 { members.append(.init(key: "seconds", value: .array(seconds.map(figure)))) }
        members.append(.init(key: "share_of_limit", value: share.map(figure) ?? .null))
        members.append(.init(key: "limits", value: limits.json))
        return .object(JSONObject(members))
    }
}

/// Whole numbers with commas between.
package struct NumberList: ExpressibleByArgument {
    package let values: [Int]

    init(_ values: [Int]) { self.values = values }

    package init?(argument: String) {
        let values = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
        guard !values.isEmpty, values.allSatisfy({ ($0 ?? -1) >= 0 && ($0 ?? 0) <= 1 << 20 }) else { return nil }
        self.values = values.compactMap { $0 }
    }

    package var defaultValueDescription: String { values.map { "\($0)" }.joined(separator: ",") }
}
