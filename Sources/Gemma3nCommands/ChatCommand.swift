internal import ArgumentParser
internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost

/// `gemma3n chat`: a conversation in the terminal.
struct ChatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat", abstract: "A conversation in the terminal.", usage: "gemma3n chat [MODEL] [options]",
        discussion: "Ctrl-C stops an answer, Ctrl-D or /exit ends the conversation, /help lists the commands.")

    @Argument(help: ArgumentHelp("The model's directory or GGUF file, if it is not the demo model.", valueName: "model"))
    var directory: String?
    @Option(help: ArgumentHelp("Instructions the model gets before the conversation.", valueName: "text"))
    var system: String?
    @OptionGroup(title: "Media of the first prompt") var media: MediaArguments
    @OptionGroup(title: "Sampling") var sampling: SamplingArguments
    @OptionGroup(title: "Speculation") var speculation: SpeculationArguments
    @OptionGroup(title: "Shape") var shape: ShapeOptions
    @OptionGroup(title: "Model") var model: ModelOptions
    @OptionGroup(title: "Size") var size: SliceOptions
    @OptionGroup(title: "Size") var wishes: SizeWishOptions
    @Option(help: ArgumentHelp("After a change of size: recompute what was said before, exact, or keep it, fast.", valueName: "how"))
    var switching = SwitchingName(.recompute)
    @Option(help: ArgumentHelp("Go on with a session that was saved; its instructions and size hold.", valueName: "file"))
    var restore: String?
    @Option(help: ArgumentHelp("Save the session when the conversation ends.", valueName: "file"))
    var save: String?
    @Flag(help: "Print what every answer cost to standard error.") var stats = false

    func validate() throws {
        if restore != nil, system != nil { throw ValidationError("--system begins a conversation, and --restore goes on with one. Leave one of them out.") }
    }

    func run() async throws {
        if let save { try AtomicFile.check(path: save) }
        // Without a limit of memory any size may follow.
        let model = try await model.open(directory ?? self.model.directory, size: self.model.memory == nil ? nil : size.atOpening)
        let session: LanguageModelSession
        if let restore {
            session = try await LanguageModelSession.restored(from: restore, model: model)
        } else {
            session = LanguageModelSession(model: model, instructions: system)
            session.switching = switching.value
            session.sizeWishes = wishes.wishes
        }
        if let choice = try size.choice(model) { session.size = choice }
        var options = sampling.options
        options.speculation = speculation.value
        options.shape = try shape.shape()
        let chat = Chat(
            session: session, options: options, media: media,
            attachments: try media.parts(), showsStatistics: stats)
        try await chat.run()
        if let save { try await chat.save(save) }
    }
}

/// The loop of a chat.
final class Chat {
    private var session: LanguageModelSession
    /// Where `/back` leads.
    private var forked: [LanguageModelSession] = []
    private let options: ResponseOptions
    private let media: MediaArguments
    /// Media for the next prompt.
    private var attachments: [Prompt.Part]
    private var showsStatistics: Bool
    private let reader = LineReader()
    /// The size chosen, as the prompt shows it; empty until one is.
    private var sizeName = ""

    init(session: LanguageModelSession, options: ResponseOptions, media: MediaArguments, attachments: [Prompt.Part], showsStatistics: Bool) {
        self.session = session
        self.options = options
        self.media = media
        self.attachments = attachments
        self.showsStatistics = showsStatistics
        sizeName = Self.name(session.size, session.model)
    }

    /// Nothing for the whole model.
    private static func name(_ size: SizeChoice, _ model: Gemma3nLanguageModel) -> String {
        guard case .fixed(let size) = size else { return "auto " }
        guard let slice = try? model.slice(size), slice != model.model.text.whole.slice else { return "" }
        return slice.name(in: model.model.text.configuration) + " "
    }

    func run() async throws {
        if reader.isInteractive {
            Output.writeError("\(session.model.files.name), \(session.contextLength) tokens of context. /help lists the commands.\n")
        }
        session.prewarm()
        while let line = reader.read(prompt: sizeName + (attachments.isEmpty ? "> " : "[\(attachments.count)] > ")) {
            let line = String(line.drop { $0.isWhitespace })
            if line.hasPrefix("/") {
                if !(await command(line)) { return }
            } else if !line.allSatisfy(\.isWhitespace) {
                await answer(line)
            }
        }
        if reader.isInteractive { Output.writeError("\n") }
    }

    private func answer(_ text: String) async {
        let stream = session.streamResponse(to: Prompt(parts: attachments + [.text(text)]), options: options)
        Interrupts.shared.handle { stream.stop() }
        defer { Interrupts.shared.stopHandling() }
        do {
            let response = try await AnswerPrinter.print(stream)
            attachments = []
            if showsStatistics { Output.writeError(response.statistics.summary) }
            if response.finishReason == .contextFull {
                Output.warning("the context of \(session.contextLength) tokens is full. /clear begins a new conversation.")
            }
        } catch {
            Output.error(Gemma3nCommand.sentence(of: error) ?? "\(error)")
            // What cannot be read would fail again with the next prompt.
            if let error = error as? SessionError, error.code == .unreadableMedia { attachments = [] }
        }
    }

    /// - Returns: False to end the conversation.
    private func command(_ line: String) async -> Bool {
        let words = line.split(separator: " ", maxSplits: 1)
        let argument = words.count > 1 ? String(words[1].trimmingSpaces) : ""
        do {
            switch words[0] {
            case "/exit", "/quit", "/bye": return false
            case "/help", "/?": Output.write(Self.help)
            case "/clear":
                try session.clear()
                attachments = []
            case "/image": attachments.append(.image(.encoded(try file(argument, "/image"))))
            case "/audio": attachments.append(.audio(.encoded(try file(argument, "/audio"))))
            case "/video":
                attachments.append(
                    .video(.encoded(try file(argument, "/video"), VideoSampling(framesPerSecond: media.fps, maxFrames: media.maxFrames))))
            case "/save":
                guard !argument.isEmpty else { throw CommandError("/save needs the name of a file.") }
                try await save(argument)
            case "/load", "/restore":
                guard !argument.isEmpty else { throw CommandError("\(words[0]) needs the name of a file.") }
                session = try await load(argument)
                forked = []
                attachments = []
                sizeName = Self.name(session.size, session.model)
            case "/rewind": try rewind(argument)
            case "/fork":
                let fork = try await session.fork()
                forked.append(session)
                session = fork
                Output.line("Whatever follows, /back returns to here.")
            case "/back":
                guard let last = forked.popLast() else { throw CommandError("There was no /fork to go back to.") }
                session = last
                attachments = []
                sizeName = Self.name(session.size, session.model)
            case "/size":
                if argument.isEmpty {
                    for candidate in session.model.sizes { Output.line("\(candidate.name), \(fixed(Double(candidate.bytesPerToken) / 1e6, 1)) MB a token") }
                } else if argument == "auto" {
                    session.size = .automatic
                } else {
                    session.size = .slice(try session.model.slice(try ModelSize(argument)))
                }
                sizeName = Self.name(session.size, session.model)
            case "/stats": showsStatistics.toggle()
            default: throw CommandError("\(words[0]) is no command; /help lists them.")
            }
        } catch {
            Output.error(Gemma3nCommand.sentence(of: error) ?? "\(error)")
        }
        return true
    }

    /// Everything that the session is; or what was said, as chat messages, where the file's name ends in `.json`.
    func save(_ path: String) async throws {
        guard path.hasSuffix(".json") else { return try await session.save(to: path) }
        let json = JSONValue.array(session.transcript.messages.map(\.json))
        try AtomicFile.write(Array((json.serialized(indent: 2) + "\n").utf8), to: path)
    }

    private func load(_ path: String) async throws -> LanguageModelSession {
        guard path.hasSuffix(".json") else { return try await LanguageModelSession.restored(from: path, model: session.model) }
        let json = try JSONValue.parse(try readFile(path), file: path)
        let transcript = try Transcript(messages: try MessageInput.parse(json, file: path))
        let next = LanguageModelSession(model: session.model, transcript: transcript, contextLength: session.contextLength)
        next.size = session.size
        next.switching = session.switching
        next.sizeWishes = session.sizeWishes
        return next
    }

    private func rewind(_ argument: String) throws {
        guard let count = argument.isEmpty ? 1 : Int(argument), count > 0 else {
            throw CommandError("/rewind takes a number of prompts, 1 or more, or nothing for the last.")
        }
        var prompt: Prompt?
        for _ in 0..<count { prompt = try session.rewindLastPrompt() ?? prompt }
        attachments = []
        guard let prompt else { throw CommandError("There is no prompt to take back.") }
        Output.line("Back to before: \(prompt.text)")
    }

    private func file(_ argument: String, _ command: String) throws -> MediaSource {
        guard !argument.isEmpty else { throw CommandError("\(command) needs the name of a file.") }
        // Terminals put quotes around, or backslashes into, names dropped on them.
        var path = argument
        if path.count > 1, let quote = path.first, quote == path.last, "'\"".contains(quote) { path = String(path.dropFirst().dropLast()) }
        if !fileExists(path) { path = path.split(separator: "\\", omittingEmptySubsequences: false).joined() }
        let source = try MediaSource(url: path)
        if case .file(let path) = source, !fileExists(path) { throw CommandError("\(argument): there is no such file.") }
        return source
    }

    private static let help = """
        /image FILE   show the model a picture with the next message
        /audio FILE   let it hear a sound
        /video FILE   show it a video
        /save FILE    keep the session in a file; as JSON chat messages if its name ends in .json
        /load FILE    continue what was saved; so does /restore
        /rewind N     take back the last prompt and its answer, or the last N
        /fork         try something: /back returns to here
        /size SIZE    go on with another part of the model: E2B, 2.7B, half, whole, auto; alone it lists some
        /clear        begin anew; instructions stay
        /stats        show or hide what answers cost
        /exit         leave; so does Ctrl-D
        Ctrl-C stops an answer. A line that ends with \\ goes on in the next.

        """
}

extension Substring {
    /// Without spaces at either end.
    var trimmingSpaces: Substring {
        var result = drop { $0.isWhitespace }
        while result.last?.isWhitespace == true { result.removeLast() }
        return result
    }
}
