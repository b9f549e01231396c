internal import ArgumentParser
internal import Checkpoint
internal import Gemma3nHost

/// What an answer is held to.
struct ShapeOptions: ParsableArguments {
    @Option(help: ArgumentHelp("A JSON Schema, or a file that holds one: every answer is JSON that fits it.", valueName: "file or JSON"))
    var jsonSchema: String?

    @Option(help: ArgumentHelp("A regular expression (ECMA-262) that every answer matches from end to end.", valueName: "pattern"))
    var regex: String?

    @Option(help: ArgumentHelp("A file with a GBNF grammar, whose rule root every answer keeps to.", valueName: "file"))
    var grammar: String?

    @Flag(help: "Every answer is a JSON object.")
    var jsonObject = false

    func validate() throws {
        let given = [jsonSchema != nil, regex != nil, grammar != nil, jsonObject].count { $0 }
        if given > 1 { throw ValidationError("Give only one of --json-schema, --json-object, --regex and --grammar.") }
    }

    /// Nil for free text.
    ///
    /// - Throws: `FileError` for a file that cannot be read, `CheckpointError` for bad JSON, `SessionError` for what cannot be kept to.
    func shape() throws -> AnswerShape? {
        let shape: AnswerShape
        if let jsonSchema {
            shape = .jsonSchema(try Self.schema(jsonSchema))
        } else if let regex {
            shape = .regularExpression(regex)
        } else if let grammar {
            shape = .grammar(String(decoding: try readFile(grammar), as: UTF8.self))
        } else if jsonObject {
            shape = .jsonObject
        } else {
            return nil
        }
        try shape.check()
        return shape
    }

    /// JSON text begins with a brace (or is `true` or `false`); everything else names a file.
    static func schema(_ text: String) throws -> JSONValue {
        let first = text.first { !$0.isWhitespace }
        if first == "{" || text == "true" || text == "false" { return try JSONValue.parse(text, file: "--json-schema") }
        return try JSONValue.parse(try readFile(text), file: text)
    }
}
