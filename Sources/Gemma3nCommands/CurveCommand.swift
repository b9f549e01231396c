internal import ArgumentParser
internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost
internal import Synchronization

/// `gemma3n curve`: what a smaller part of a nested model costs in quality and gains in speed.
struct CurveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "curve", abstract: "Measures quality against size for a ladder of slices.",
        usage: "gemma3n curve [MODEL] --data FILE [--sizes LIST | --steps N | --slices FILE] [--skip-shared] [--svg OUT.svg] [--json]",
        discussion: """
            FILE is a text, whose perplexity is measured, or questions as for evaluate (.json, .jsonl), whose right answers are counted. \
            Without --sizes, a model like E4B is measured at its published slices and any other at eight even widths. Ctrl-C ends with what \
            was measured: every slice has then judged the same part of FILE.
            """)

    @Argument(help: ArgumentHelp("The model's directory or GGUF file, if it is not the demo model.", valueName: "model"))
    var directory: String?
    @Option(help: ArgumentHelp("A text, or questions.", valueName: "file")) var data: String
    @Option(help: ArgumentHelp("Sizes with commas between: whole, half, E2B, 2.7B.", valueName: "list"), transform: SizeList.init)
    var sizes: SizeList?
    @Option(help: ArgumentHelp("So many even widths, up to the whole.", valueName: "n")) var steps: Int?
    @Option(help: ArgumentHelp("Slices from a JSON file: [{\"name\": …, \"widths\": […], \"skip_layers\": […]}, …].", valueName: "file"))
    var slices: String?
    @Flag(help: "Also the whole without layers that make no keys and values: the first of them, the first two, and so on.")
    var skipShared = false
    @Option(help: ArgumentHelp("Only so many questions of every kind, or windows of 512 tokens.", valueName: "n")) var limit: Int?
    @Option(name: [.customShort("n"), .customLong("tokens")], help: ArgumentHelp("Tokens to decode for a speed; 0 for none.", valueName: "n"))
    var tokens = 32
    @Option(name: [.customShort("r"), .long], help: ArgumentHelp("Rounds over all slices that speeds are the median of.", valueName: "n"))
    var rounds = 5
    @Option(help: ArgumentHelp("A chart to write.", valueName: "file")) var svg: String?
    @OptionGroup(title: "Model") var model: ModelOptions
    @Flag(help: "Print JSON.") var json = false

    func validate() throws {
        if let steps, !(1...256).contains(steps) { throw ValidationError("--steps is \(steps), expected 1 to 256.") }
        if sizes != nil, steps != nil { throw ValidationError("--sizes and --steps both say which slices are measured. Give one of them.") }
        if let limit, limit < 1 { throw ValidationError("--limit is \(limit), expected at least 1.") }
        if !(0...100_000).contains(tokens) { throw ValidationError("-n is \(tokens), expected 0 to 100000.") }
        if !(1...10_000).contains(rounds) { throw ValidationError("-r is \(rounds), expected 1 to 10000.") }
    }

    func run() async throws {
        if let svg {
            // Before anything is measured: whether a file can stand there at all. It goes away at once.
            _ = try AtomicFile(path: svg)
        }
        let isQuestions = data.hasSuffix(".json") || data.hasSuffix(".jsonl")
        let items = isQuestions ? try ExamItem.read(data, limit: limit) : []
        let text = isQuestions ? "" : try readText()
        let model = try await model.open(directory ?? self.model.directory, modalities: isQuestions ? nil : [])
        let windows = isQuestions ? [] : Array(try Perplexity.windows(of: text, model.model).prefix(limit ?? .max))

        let stopped = Atomic(false)
        let measurement = CurveMeasurement(
            model, try ladder(model.model.text), data: name(of: data), isQuestions ? .accuracy : .perplexity
        ) { stopped.load(ordering: .relaxed) }
        Interrupts.shared.handle { stopped.store(true, ordering: .relaxed) }
        do {
            if tokens > 0 { try measurement.speeds(tokens: tokens, rounds: rounds) }
            if isQuestions { try measurement.accuracy(items) } else { try measurement.perplexity(windows) }
        } catch is CurveMeasurement.Stopped {}
        let wasStopped = Interrupts.shared.stopHandling()
        let curve = measurement.curve
        Output.write(json ? curve.json.serialized(indent: 2) + "\n" : curve.table)
        if let svg, let chart = CurveChart(curve) { try AtomicFile.write(Array(chart.svg.utf8), to: svg) }
        if wasStopped { throw ExitCode(130) }
    }

    private func ladder(_ text: TextModel) throws -> Ladder {
        var ladder = Ladder(text)
        for size in sizes?.values ?? [] { try ladder.add(try size.slice(of: text.configuration, grain: text.widthGrain)) }
        if let slices { try ladder.add(file: slices) }
        if sizes == nil, slices == nil || steps != nil { try ladder.addUsual(steps: steps) }
        if skipShared { try ladder.addWithoutSharedLayers() }
        return ladder
    }

    /// - Throws: `FileError`, `CommandError`.
    private func readText() throws -> String {
        guard let text = String(validating: try readFile(data, limit: 1 << 28), as: UTF8.self) else {
            throw CommandError("\(data) is not UTF-8 text. Give a text, or questions in a file that ends in .json or .jsonl.")
        }
        return text
    }

    private func name(of path: String) -> String { path.split(separator: "/").last.map { String($0) } ?? path }
}
