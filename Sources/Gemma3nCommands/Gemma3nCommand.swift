public import ArgumentParser
internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost
#if SERVER
internal import Gemma3nServer
#endif

/// The `gemma3n` program.
public struct Gemma3nCommand: AsyncParsableCommand {
    public static let version = "0.1.0"

    public static let configuration = CommandConfiguration(
        commandName: "gemma3n",
        abstract: "Runs Gemma 3n: text, pictures, sound and video in, text out.",
        discussion: """
            MODEL is the directory of a Hugging Face checkpoint (config.json, the tokenizer and the weights) or a GGUF file. Without one, the \
            small demo model inside this program answers: it shows every path at work, and is no assistant.
            """,
        version: "gemma3n \(version)",
        subcommands: [
            RunCommand.self, ChatCommand.self, BatchCommand.self, InspectCommand.self, TokenizeCommand.self, DetokenizeCommand.self, TraceCommand.self,
            BenchCommand.self, ConvertCommand.self, SliceCommand.self, DemoCommand.self, EvaluateCommand.self, CurveCommand.self, SchemaCommand.self,
        ] + server)

    /// Not in a program built without the server.
    private static var server: [any ParsableCommand.Type] {
        #if SERVER
        [ServeCommand.self]
        #else
        []
        #endif
    }

    public init() {}

    /// Parses the arguments, runs the command and exits: 0, 1 with `error: …` on standard error, or 64 for wrong usage.
    public static func run(_ arguments: [String]? = nil) async -> Never {
        do {
            var command = try parseAsRoot(arguments)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            Output.exit(0)
        } catch {
            Output.exit(report(error))
        }
    }

    /// Writes what an error has to say and gives the exit code.
    static func report(_ error: any Error) -> Int32 {
        if let status = error as? ExitCode { return status.rawValue }
        if let sentence = sentence(of: error) {
            Output.error(sentence)
            return 1
        }
        // What is left is the argument parser's: help, version, wrong usage.
        let code = exitCode(for: error).rawValue
        var text = fullMessage(for: error)
        if code == 0 {
            Output.write(text + "\n")
        } else {
            if text.hasPrefix("Error: ") { text = "error: " + text.dropFirst("Error: ".count) }
            Output.writeError(text + "\n")
        }
        return code
    }

    /// What to tell the user about one of our own errors; nil for others.
    package static func sentence(of error: any Error) -> String? {
        switch error {
        case let error as SessionError: error.description
        case let error as CheckpointError: error.description
        case let error as GenerationError: error.description
        case let error as MediaError: error.description
        case let error as FileError: error.description
        case let error as SliceError: error.description
        case let error as CommandError: error.message
        #if SERVER
        case let error as StoreError: error.message
        #endif
        case is CancellationError: "cancelled."
        default: nil
        }
    }
}

/// What a command itself has to complain about.
struct CommandError: Error {
    let message: String
    init(_ message: String) { self.message = message }
}
