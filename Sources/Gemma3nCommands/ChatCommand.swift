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
    @Flag(help: "Print what every answer cost to standard error.") var stats = false

    func run() async throws {
        // Without a limit of memory any size may follow.
        let model = try await model.open(directory ?? self.model.directory, size: self.model.memory == nil ? nil : size.atOpening)
        let session = LanguageModelSession(model: model, instructions: system)
        session.switching = switching.value
        session.sizeWishes = wishes.wishes
        if let choice = try size.choice(model) { session.size = choice }
        var options = sampling.options
        options.speculation = speculation.value
        options.shape = try shape.shape()
        let chat = Chat(
            session: session, options: options, media: media,
            attachments: try media.parts(), showsStatistics: stats)
        try await chat.run()
    }
}

/// The loop of a chat.
final class Chat {
    private var session: LanguageModelSession
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
                if !command(line) { return }
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
    private func command(_ line: String) -> Bool {
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
                let json = JSONValue.array(session.transcript.messages.map(\.json))
                try AtomicFile.write(Array((json.serialized(indent: 2) + "\n").utf8), to: argument)
            case "/load":
                guard !argument.isEmpty else { throw CommandError("/load needs the name of a file.") }
                let json = try JSONValue.parse(try readFile(argument), file: argument)
                let transcript = try Transcript(messages: try MessageInput.parse(json, file: argument))
                let last = session
                session = LanguageModelSession(model: last.model, transcript: transcript, contextLength: last.contextLength)
                session.size = last.size
                session.switching = last.switching
                session.sizeWishes = last.sizeWishes
                attachments = []
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
        /save FILE    write the conversation to a file (JSON chat messages)
        /load FILE    continue a saved conversation
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
