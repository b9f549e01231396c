internal import ArgumentParser
internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost
internal import Synchronization
internal import Tensors

/// `gemma3n convert`: a checkpoint in fewer bits, or in another container.
struct ConvertCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert", abstract: "Writes a model in fewer bits: as a GGUF file, or packed for this program.",
        usage: "gemma3n convert MODEL OUT [--type q4_0] [--keep ple=q8_0,head=q6_k] [--format gguf|packed]",
        discussion: """
            MODEL is a checkpoint directory (Hugging Face's, MLX's or a packed one) or a GGUF file. OUT is a GGUF file if its name ends in .gguf, else the directory of a packed \
            model, whose matrices lie as the kernels read them; --format says so, too.

            --type: \(QuantizationMix.allCases.map(\.rawValue).joined(separator: ", ")); without it quantised weights keep their formats, and a plain \
            checkpoint becomes q4_0. What keeps its format comes out with the same numbers, byte for byte where both containers are other \
            programs'; from one quantised format into another the errors of both add up. --keep names kinds of tensors with formats of their own: \(TensorKind.keepWords.joined(separator: ", ")).

            What the formats cost is shown for every kind of tensor as root mean square of the error over that of the weights; --text \
            measures what it costs in perplexity, which needs as much memory as running both models.
            """)

    @Argument(help: ArgumentHelp("A checkpoint directory or a GGUF file.", valueName: "model")) var model: String
    @Argument(help: ArgumentHelp("The file or directory to write.", valueName: "out")) var output: String
    @Option(help: ArgumentHelp("The mixture of formats.", valueName: "type")) var type: String?
    @Option(help: ArgumentHelp("Formats of kinds of tensors, such as ple=q8_0,head=q6_k,vision=bf16.", valueName: "list")) var keep: String?
    @Option(help: ArgumentHelp("gguf or packed; by the name of OUT by default.", valueName: "format")) var format: String?
    @Option(help: ArgumentHelp("Also write the encoders of pictures and sound, as a GGUF projector file.", valueName: "file"))
    var mmproj: String?
    @Option(help: ArgumentHelp("The projector file of a GGUF model. One beside the model is found by itself.", valueName: "file"))
    var projector: String?
    @Option(help: ArgumentHelp("Measure perplexity before and after on this text.", valueName: "file")) var text: String?
    @Option(help: ArgumentHelp("Threads that compute; all processors by default.", valueName: "n")) var threads: Int?
    @Flag(help: "Replace what OUT is now.") var force = false
    @Flag(help: "Print the report as JSON.") var json = false

    func validate() throws {
        if let threads, threads < 1 || threads > 1024 { throw ValidationError("--threads is \(threads), expected 1 to 1024.") }
        _ = try mix()
        _ = try container()
        _ = try kept()
    }

    // MARK: Arguments

    private func mix() throws -> QuantizationMix? {
        guard let type else { return nil }
        guard let mix = QuantizationMix(rawValue: type.lowercased()) else {
            throw ValidationError("--type is '\(type)', expected one of \(QuantizationMix.allCases.map(\.rawValue).joined(separator: ", ")).")
        }
        return mix
    }

    private func container() throws -> ConversionContainer {
        guard let format else { return output.hasSuffix(".gguf") ? .gguf : .packed }
        guard let container = ConversionContainer(rawValue: format.lowercased()) else {
            throw ValidationError("--format is '\(format)', expected gguf or packed.")
        }
        return container
    }

    private func kept() throws -> [TensorKind: ElementFormat] {
        var kept: [TensorKind: ElementFormat] = [:]
        for entry in (keep ?? "").split(separator: ",") {
            let parts = entry.split(separator: "=", maxSplits: 1).map { String($0) }
            guard parts.count == 2, let kinds = TensorKind.named(parts[0].lowercased()) else {
                throw ValidationError("--keep has '\(entry)', expected KIND=FORMAT with one of the kinds \(TensorKind.keepWords.joined(separator: ", ")).")
            }
            guard let format = Self.formats.first(where: { $0.name.lowercased() == parts[1].lowercased() }) else {
                throw ValidationError("--keep has '\(entry)', expected one of the formats \(Self.formats.map { $0.name.lowercased() }.joined(separator: ", ")).")
            }
            for kind in kinds { kept[kind] = format }
        }
        return kept
    }

    private static let formats: [ElementFormat] = [.q4_0, .q4_K, .q5_0, .q5_K, .q6_K, .q8_0, .bf16, .f16, .f32]

    // MARK: Running

    func run() async throws {
        let container = try container()
        let source = try ConversionSource(ModelFiles(path: model, projector: projector))
        var options = ConversionOptions(mix: try mix(), keep: try kept(), container: container)
        if options.mix == nil, !source.isQuantized { options.mix = .q4_0 }
        let wantsProjector = mmproj != nil && container == .gguf
        if mmproj != nil, container == .packed { throw CommandError("--mmproj: a packed model holds the encoders itself. Leave the option out.") }
        let converter = try ModelConverter(source, options, projector: wantsProjector, threads: threads)
        if !json {
            Output.writeError("\(model): \(source.tensors.count) tensors; writing \(megabytes(converter.plan.byteCount)) as \(options.mix?.rawValue ?? "they are"), \(container.rawValue)\n")
        }

        let isStopped = Stop()
        Interrupts.shared.handle { isStopped.set() }
        defer { Interrupts.shared.stopHandling() }
        let meter = ProgressMeter()
        var report = try converter.write(to: output, replace: force) { progress in
            meter.show(progress.tensor, done: progress.done, total: progress.total)
            return !isStopped.isSet
        }
        var projectorReport: ConversionReport?
        if wantsProjector, let mmproj {
            projectorReport = try converter.writeProjector(to: mmproj, replace: force) { progress in
                meter.show(progress.tensor, done: progress.done, total: progress.total)
                return !isStopped.isSet
            }
        }
        meter.end()
        if container == .gguf, !wantsProjector, source.hasMedia {
            report.note("the encoders of pictures and sound are left out; --mmproj FILE writes them.")
        }
        Interrupts.shared.stopHandling()
        let change = try text.map { try measure($0) }
        if json {
            Output.line(ConversionSummary(report, projectorReport, change).json.serialized(indent: 2))
        } else {
            Output.write(ConversionSummary(report, projectorReport, change).text)
        }
    }

    /// Perplexity of the model as it was and as it is now, one after the other.
    private func measure(_ path: String) throws -> (before: Perplexity, after: Perplexity) {
        let text = String(decoding: try readFile(path, limit: 1 << 28), as: UTF8.self)
        let pool = ThreadPool(threadCount: threads ?? ProcessorCount.defaultThreadCount)
        func perplexity(_ path: String, _ what: String) throws -> Perplexity {
            let model = try Gemma3nModel(ModelFiles(path: path).source(modalities: []), modalities: [])
            let meter = ProgressMeter()
            defer { meter.end() }
            return try Perplexity(of: text, model, pool.parallelism) { done, total in
                meter.show("perplexity \(what)", done: done, total: total)
                return true
            }
        }
        return (try perplexity(model, "before"), try perplexity(output, "after"))
    }
}

/// Set by Ctrl-C, looked at between blocks.
final class Stop: Sendable {
    private let value = Atomic<Bool>(false)
    var isSet: Bool { value.load(ordering: .relaxed) }
    func set() { value.store(true, ordering: .relaxed) }
}

func megabytes(_ bytes: Int) -> String {
    bytes >= 10_000_000_000 ? "\(fixed(Double(bytes) / 1e9, 1)) GB" : bytes >= 10_000_000 ? "\(bytes / 1_000_000) MB" : "\(fixed(Double(bytes) / 1e6, 2)) MB"
}

/// What `convert` prints at its end.
struct ConversionSummary {
    private let reports: [(name: String, report: ConversionReport)]
    private let change: (before: Perplexity, after: Perplexity)?

    init(_ report: ConversionReport, _ projector: ConversionReport?, _ change: (before: Perplexity, after: Perplexity)?) {
        reports = [("model", report)] + (projector.map { [("mmproj", $0)] } ?? [])
        self.change = change
    }

    var text: String {
        var result = ""
        for (name, report) in reports {
            if reports.count > 1 { result += "\(name)\n" }
            result += "kind       tensors  formats                 before      after   rms error   max error\n"
            for (kind, error) in report.kinds { result += Self.line(kind.rawValue, error) }
            result += Self.line("all", report.total, formats: false)
            result += "\(megabytes(report.fileBytes)) written in \(fixed(report.seconds, 1)) s\n"
            for note in report.notes { result += "note: \(note)\n" }
        }
        if let change {
            let (before, after) = (change.before, change.after)
            result += "perplexity \(fixed(before.value, 4)) before, \(fixed(after.value, 4)) after: \(after.value >= before.value ? "+" : "")\(fixed((after.value / before.value - 1) * 100, 2)) %, over \(after.tokens) tokens\n"
        }
        return result
    }

    private static func line(_ name: String, _ error: ConversionError, formats: Bool = true) -> String {
        let list = formats ? error.formats.sorted { $0.value > $1.value || $0.value == $1.value && $0.key < $1.key }.map(\.key).joined(separator: " ") : ""
        func left(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(1, width - text.count)) }
        let isExact = error.squaredError == 0
        return left(name, 11) + padded("\(error.tensors)", 7) + "  " + left(list, 18) + padded(megabytes(error.bytesBefore), 12)
            + padded(megabytes(error.bytesAfter), 11) + padded(isExact ? "exact" : "\(fixed(error.relative * 100, 3)) %", 12)
            + padded(isExact ? "" : fixed(Double(error.maximum), 5), 12) + "\n"
    }

    var json: JSONValue {
        func number(_ value: Int) -> JSONValue { .number(JSONNumber(value)) }
        func object(_ error: ConversionError) -> [(String, JSONValue)] {
            [
                ("tensors", number(error.tensors)), ("elements", number(error.elements)), ("bytes_before", number(error.bytesBefore)),
                ("bytes_after", number(error.bytesAfter)), ("relative_rms_error", .number(JSONNumber(error.relative))),
                ("maximum_error", .number(JSONNumber(Double(error.maximum)))),
                ("formats", Self.object(error.formats.sorted { $0.key < $1.key }.map { ($0.key, number($0.value)) })),
            ]
        }
        var members: [(String, JSONValue)] = []
        for (name, report) in reports {
            members.append(
                (name, Self.object([
                    ("kinds", Self.object(report.kinds.map { ($0.kind.rawValue, Self.object(object($0.error))) })),
                    ("total", Self.object(object(report.total))), ("file_bytes", number(report.fileBytes)),
                    ("seconds", .number(JSONNumber(report.seconds))), ("notes", .array(report.notes.map { .string($0) })),
                ])))
        }
        if let change {
            members.append(
                ("perplexity", [
                    "before": .number(JSONNumber(change.before.value)), "after": .number(JSONNumber(change.after.value)),
                    "tokens": number(change.after.tokens),
                ]))
        }
        return Self.object(members)
    }

    private static func object(_ members: [(String, JSONValue)]) -> JSONValue {
        .object(JSONObject(members.map { JSONObject.Member(key: $0.0, value: $0.1) }))
    }
}
