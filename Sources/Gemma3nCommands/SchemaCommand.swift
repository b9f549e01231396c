internal import ArgumentParser
internal import Checkpoint
internal import Gemma3nHost

/// `gemma3n schema`: what answers can be held to.
struct SchemaCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema", abstract: "Tells whether answers can be held to a schema.", subcommands: [Check.self])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Compiles a JSON Schema and says what is not supported, and where.",
            discussion: "Exit code 0 if answers can be held to it, else 1. docs/constraints.md lists the keywords that are supported.")

        @Argument(help: ArgumentHelp("A JSON Schema, or a file that holds one.", valueName: "file or JSON"))
        var schema: String
        @Flag(help: "Print JSON.") var json = false

        func run() throws {
            let schema = try ShapeOptions.schema(schema)
            do throws(SessionError) {
                try AnswerShape.jsonSchema(schema).check()
            } catch {
                guard json else { throw error }
                let result: JSONValue = ["supported": false, "reason": .string(error.message)]
                Output.line(result.serialized(indent: 2))
                throw ExitCode(1)
            }
            let result: JSONValue = ["supported": true]
            Output.line(json ? result.serialized(indent: 2) : "Answers can be held to this schema.")
        }
    }
}
