/// A function that a session calls for the model.
///
///     struct Weather: Tool {
///         let name = "get_weather"
///         let description = "The weather of a city now."
///         @Generable struct Arguments { var city: String }
///
///         func call(arguments: Arguments) async throws -> String { "\(arguments.city): 21 degrees, sunny" }
///     }
///
///     let session = try LanguageModelSession(model: model, tools: [Weather()])
///     print(try await session.respond(to: "Do I need an umbrella in Paris?").content)
public protocol Tool: Sendable {
    associatedtype Arguments: ConvertibleFromGeneratedContent
    associatedtype Output: PromptRepresentable

    /// 1 to 64 letters, digits, `_` and `-`.
    var name: String { get }
    /// What it does and when to use it.
    var description: String { get }
    /// The arguments, an object. Those of a call always fit.
    var parameters: GenerationSchema { get }

    /// Runs it. Calls of one answer run at the same time. What is thrown ends the answer as a `ToolCallError`; what the model should know
    /// of, and can mend, is better told as output.
    func call(arguments: Arguments) async throws -> Output
}

extension Tool {
    /// The type's name.
    public var name: String { "\(Self.self)" }
}

extension Tool where Arguments: Generable {
    public var parameters: GenerationSchema { Arguments.generationSchema }
}

extension Tool {
    func output(of call: ToolCall) async throws -> ToolOutput {
        ToolOutput(of: call, try await self.call(arguments: try Arguments(GeneratedContent(call.arguments))))
    }
}

extension GeneratedContent: PromptRepresentable {
    /// Its JSON.
    public var promptRepresentation: Prompt { Prompt(jsonString) }
}

/// A tool failed, and with it the answer that called it.
public struct ToolCallError: Error, CustomStringConvertible {
    public let tool: any Tool
    public let underlyingError: any Error

    public init(tool: any Tool, underlyingError: any Error) {
        self.tool = tool
        self.underlyingError = underlyingError
    }

    public var description: String { "The tool '\(tool.name)' failed: \(underlyingError)" }
}

/// How far a session goes to answer one prompt.
public struct ToolLimits: Sendable, Equatable {
    /// Rounds of calls, at most; the answer after the last one calls no more.
    public var rounds = 8
    /// Calls of one round, at most; 1 where tools must not run at the same time.
    public var callsPerRound = ToolCalling.defaultMaximumCalls

    public init(rounds: Int = 8, callsPerRound: Int = ToolCalling.defaultMaximumCalls) {
        self.rounds = rounds
        self.callsPerRound = callsPerRound
    }
}
