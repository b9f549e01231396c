internal import ArgumentParser
internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost

/// `gemma3n demo`: the questions that ship with the project.
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo", abstract: "Asks a model the demo questions and compares its answers.",
        usage: "gemma3n demo [MODEL] [--items FILE] [--json]",
        discussion: "Exits with 1 if an answer differs from the expected one.")

    @Argument(help: ArgumentHelp("The model's directory or GGUF file, if it is not the demo model.", valueName: "model"))
    var directory: String?
    @Option(help: ArgumentHelp("The questions; Demo/demo.json of the project by default.", valueName: "file"))
    var items: String?
    @OptionGroup(title: "Speculation") var speculation: SpeculationArguments
    @OptionGroup(title: "Model") var model: ModelOptions
    @OptionGroup(title: "Size") var size: SliceOptions
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        let items = try ExamItem.read(try self.items ?? Self.defaultItems())
        let clock = ContinuousClock()
        let start = clock.now
        let model = try await model.open(directory ?? self.model.directory, size: size.atOpening)
        let choice = try size.choice(model)
        let seconds = start.duration(to: clock.now) / .seconds(1)
        if !json { Output.line("\(model.files.name), opened in \(fixed(seconds * 1000, 0)) ms, \(model.threadCount) threads\n") }
        var results: [ExamResult] = []
        for item in items {
            let result = try await ExamResult.ask(item, model, choice, speculation.value)
            results.append(result)
            if !json { Output.line(Self.text(result)) }
        }
        let right = results.filter(\.isRight).count
        if json {
            Output.line(
                ([
                    "right": .number(JSONNumber(right)), "asked": .number(JSONNumber(results.count)),
                    "items": .array(results.map(Self.json)),
                ] as JSONValue).serialized(indent: 2))
        } else {
            Output.line("\(right) of \(results.count) answers are the expected ones.")
        }
        if right < results.count { throw ExitCode(1) }
    }

    /// `Demo/demo.json` here, or beside the program's build folder.
    private static func defaultItems() throws -> String {
        var folder = ""
        let program = CommandLine.arguments.first ?? ""
        var candidates = ["Demo/demo.json"]
        // …/.build/release/gemma3n and …/.build/x86_64-unknown-linux-gnu/release/gemma3n
        folder = program
        for _ in 0..<5 {
            guard let slash = folder.lastIndex(of: "/") else { break }
            folder = String(folder[..<slash])
            candidates.append("\(folder)/Demo/demo.json")
        }
        guard let found = candidates.first(where: fileExists) else {
            throw CommandError("Demo/demo.json is not here. Run the command in the project's folder, or pass --items FILE.")
        }
        return found
    }

    private static func text(_ result: ExamResult) -> String {
        let (item, statistics) = (result.item, result.response.statistics)
        let media = item.names.isEmpty ? "" : " [\(item.names.joined(separator: ", "))]"
        let encode = statistics.encodeSeconds > 0.0005 ? ", media encoded in \(fixed(statistics.encodeSeconds * 1000, 0)) ms" : ""
        return """
            \(result.isRight ? "✓" : "✗") \(item.question)\(media)
              answer    \(result.answer)
              expected  \(item.expected)
              \(statistics.promptTokens) tokens in at \(fixed(statistics.prefillTokensPerSecond, 0)) tokens/s, \
            \(statistics.responseTokens) out\(statistics.decodeSpeed(before: " at ", digits: 0))\(encode)

            """
    }

    private static func json(_ result: ExamResult) -> JSONValue {
        [
            "question": .string(result.item.question), "media": .array(result.item.names.map { .string($0) }),
            "answer": .string(result.answer), "expected": .string(result.item.expected), "right": .bool(result.isRight),
            "statistics": result.response.statistics.json,
        ]
    }
}

/// `gemma3n evaluate`: many questions, and how many answers are right.
struct EvaluateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate", abstract: "Asks a model many questions and counts right answers.",
        usage: "gemma3n evaluate [MODEL] --data FILE.jsonl [--verbose] [--json]",
        discussion: """
            Each line is an object with question, expected, and media under file, files, image, audio or video, relative to FILE; kind and \
            task group the figures. Answers to the task "transcribe" are also counted word by word. Training/heldout.py writes such a file.
            """)

    @Argument(help: ArgumentHelp("The model's directory or GGUF file, if it is not the demo model.", valueName: "model"))
    var directory: String?
    @Option(help: ArgumentHelp("The questions.", valueName: "file")) var data: String
    @Option(help: ArgumentHelp("Stop after so many questions of every kind.", valueName: "n")) var limit: Int?
    @OptionGroup(title: "Speculation") var speculation: SpeculationArguments
    @OptionGroup(title: "Model") var model: ModelOptions
    @OptionGroup(title: "Size") var size: SliceOptions
    @Flag(help: "Print the wrong answers to standard error.") var verbose = false
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        let items = try ExamItem.read(data, limit: limit)
        let model = try await model.open(directory ?? self.model.directory, size: size.atOpening)
        let choice = try size.choice(model)
        var score = ExamScore()
        for item in items {
            let result = try await ExamResult.ask(item, model, choice, speculation.value)
            score.add(result)
            if verbose, !result.isRight {
                Output.writeError("\(item.kind) \(item.names.joined(separator: " ")) \(item.question) expected: \(item.expected) answer: \(result.answer)\n")
            }
        }
        Output.write(json ? score.json.serialized(indent: 2) + "\n" : score.text)
    }
}

/// Right answers by kind and task, word errors of transcriptions, and the speed of all answers.
struct ExamScore {
    private var groups: [(name: String, right: Int, asked: Int)] = []
    private(set) var words = 0
    private(set) var wordErrors = 0
    /// Tokens after the first of each answer, and the seconds they took.
    private var tokens = 0
    private var seconds = 0.0
    private var lookup = SpeculationStatistics.Drafts()
    private var slice = SpeculationStatistics.Drafts()

    /// Of all items together.
    private(set) var right = 0
    private(set) var asked = 0

    mutating func add(_ result: ExamResult) {
        add(result.item, result.answer)
        let statistics = result.response.statistics
        tokens += max(0, statistics.responseTokens - 1)
        seconds += statistics.generationSeconds
        if let speculation = statistics.speculation {
            lookup = lookup + speculation.lookup
            slice = slice + speculation.slice
        }
    }

    mutating func add(_ item: ExamItem, _ answer: String) {
        let isRight = item.isRight(answer)
        asked += 1
        if isRight { right += 1 }
        count(item.kind, isRight)
        if !item.task.isEmpty { count("\(item.kind): \(item.task)", isRight) }
        if item.task == "transcribe" {
            words += item.expected.split(separator: " ").count
            wordErrors += item.wordErrors(answer)
        }
    }

    private mutating func count(_ name: String, _ isRight: Bool) {
        let index = groups.firstIndex { $0.name == name } ?? groups.count
        if index == groups.count { groups.append((name, 0, 0)) }
        groups[index].asked += 1
        if isRight { groups[index].right += 1 }
    }

    var text: String {
        var lines = groups.sorted { $0.name < $1.name }.map { group in
            "\(group.name)\(String(repeating: " ", count: max(1, 32 - group.name.count)))\(padded(fixed(100 * Double(group.right) / Double(group.asked), 1), 5)) %  \(group.right) of \(group.asked)"
        }
        if seconds > 0 { lines.append("speed of answers                \(padded(fixed(Double(tokens) / seconds, 1), 5)) tokens/s after the first of each, \(tokens) tokens") }
        for (name, drafts) in [("guesses of lookup", lookup), ("guesses of the slice", slice)] where drafts.drafted > 0 {
            lines.append("\(name)\(String(repeating: " ", count: 32 - name.count))\(padded(fixed(100 * drafts.acceptanceRate, 1), 5)) %  \(drafts.accepted) of \(drafts.drafted) right, \(drafts.rounds) rounds")
        }
        if words > 0 { lines.append("word error rate                 \(padded(fixed(100 * Double(wordErrors) / Double(words), 1), 5)) %  \(wordErrors) of \(words) words") }
        return lines.map { $0 + "\n" }.joined()
    }

    var groupsJSON: JSONValue {
        .array(groups.sorted { $0.name < $1.name }.map {
            ["name": .string($0.name), "right": .number(JSONNumber($0.right)), "asked": .number(JSONNumber($0.asked))]
        })
    }

    var json: JSONValue {
        func json(_ drafts: SpeculationStatistics.Drafts) -> JSONValue { .object(JSONObject(drafts.members)) }
        return [
            "groups": groupsJSON, "words": .number(JSONNumber(words)), "word_errors": .number(JSONNumber(wordErrors)),
            "answer_tokens": .number(JSONNumber(tokens)), "answer_seconds": .number(JSONNumber((seconds * 1e6).rounded() / 1e6)),
            "speculation": ["lookup": json(lookup), "self": json(slice)],
        ]
    }
}
