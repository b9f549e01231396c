import Checkpoint
import Gemma3nHost
import Gemma3nMacros
import Testing

/// The tool of docs/tools.md.
struct Weather: Tool {
    let name = "get_weather"
    let description = "The weather of a city now."
    @Generable struct Arguments { var city: String }

    func call(arguments: Arguments) async throws -> String { "\(arguments.city): 21 degrees, sunny" }
}

struct ToolMacroTests {
    @Test func `a tool's parameters follow its arguments`() async throws {
        let tool = Weather()
        let definition = try ToolDefinition(name: tool.name, description: tool.description, parameters: tool.parameters.json)
        let choice = try ToolCalling(tools: [definition])
        #expect(choice.instructions.contains(#""name": "get_weather""#) && choice.instructions.contains(#""city""#))
        let arguments = try Weather.Arguments(GeneratedContent(json: #"{"city":"Paris"}"#))
        #expect(try await tool.call(arguments: arguments) == "Paris: 21 degrees, sunny")
    }
}
