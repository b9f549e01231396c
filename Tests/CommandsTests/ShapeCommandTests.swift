import Foundation
import TestSupport
import Testing

/// Answers that are held to a shape, and `gemma3n schema check`, as their users meet them.
@Suite struct ShapeCommandTests {
    private static let colours = #"{"enum": ["red", "green", "blue"]}"#

    private func withFile<R>(_ text: String, _ body: (String) throws -> R) throws -> R {
        try withTemporaryDirectory { folder in
            try Data(text.utf8).write(to: URL(fileURLWithPath: folder + "/file"))
            return try body(folder + "/file")
        }
    }

    private func answer(_ arguments: [String]) throws -> Program.Outcome {
        try Program.run(["run", Program.tiny, "hello", "--seed", "2", "--temperature", "1.5"] + arguments)
    }

    @Test func schemasFromFilesAndFromTheLine() throws {
        let inline = try answer(["--json-schema", Self.colours])
        #expect(inline.code == 0 && inline.error.isEmpty)
        #expect(["\"red\"\n", "\"green\"\n", "\"blue\"\n"].contains(inline.output))
        let file = try withFile("\n " + Self.colours) { try answer(["--json-schema", $0]) }
        #expect(file.code == 0 && file.output == inline.output)
        let anything = try answer(["--json-schema", "true", "--max-tokens", "200"])
        #expect(anything.code == 0)
        #expect(try answer(["--json-schema", "false"]).error == "error: nothing fits: the rules contradict one another, or never come to an end.\n")
    }

    /// `--json` prints the answer with its figures, whatever the answer's own shape.
    @Test func printingJSONIsAnotherMatter() throws {
        let plain = try answer(["--json-schema", Self.colours])
        let outcome = try answer(["--json-schema", Self.colours, "--json"])
        #expect(outcome.code == 0)
        #expect(outcome.json["text"] as? String == plain.output.trimmingCharacters(in: .newlines))
        #expect(outcome.json["finish_reason"] as? String == "stop")
        #expect((outcome.json["statistics"] as? [String: Any])?["determined_tokens"] as? Int ?? -1 >= 0)
        let free = try answer(["--regex", "[ab]{3}", "--json"])
        #expect((free.json["text"] as? String)?.wholeMatch(of: /[ab]{3}/) != nil)
    }

    @Test func objectsExpressionsAndGrammars() throws {
        let object = try answer(["--json-object", "--max-tokens", "1500"])
        #expect(object.code == 0)
        #expect(try JSONSerialization.jsonObject(with: Data(object.output.utf8)) is [String: Any])
        let expression = try answer(["--regex", "(19|20)[0-9]{2}"])
        #expect(expression.code == 0 && expression.output.wholeMatch(of: /(19|20)[0-9]{2}\n/) != nil)
        let grammar = try withFile("root ::= n (\"+\" n){1,3}\nn ::= [1-9]\n") { try answer(["--grammar", $0]) }
        #expect(grammar.code == 0 && grammar.output.wholeMatch(of: /[1-9](\+[1-9]){1,3}\n/) != nil)
        let chat = try Program.run(["chat", Program.tiny, "--regex", "[ab]{3}", "--seed", "2"], input: "hello\nmore\n/exit\n")
        #expect(chat.code == 0 && chat.output.wholeMatch(of: /[ab]{3}\n[ab]{3}\n/) != nil)
    }

    @Test func anAnswerOfTooFewTokensEndsAsLength() throws {
        let outcome = try answer(["--regex", "[ab]{40}", "--max-tokens", "5", "--json"])
        #expect(outcome.code == 0 && outcome.json["finish_reason"] as? String == "length")
    }

    @Test(arguments: [
        ["--json-object", "--regex", "a"], ["--json-schema", "{}", "--json-object"], ["--grammar", "x", "--regex", "a"], ["--json-schema", "{}", "--grammar", "x"],
    ])
    func onlyOneShape(_ arguments: [String]) throws {
        for command in ["run", "chat"] {
            let outcome = try Program.run([command, Program.tiny] + arguments)
            #expect(outcome.code == 64 && outcome.output.isEmpty)
            #expect(outcome.error.hasPrefix("error: Give only one of --json-schema, --json-object, --regex and --grammar.\n"))
        }
    }

    @Test(arguments: [
        (["--json-schema", #"{"allOf": [{"properties": {"a/b": {"format": "iri"}}}]}"#],
         "#/allOf/0/properties/a~1b/format: the format 'iri' is not supported."),
        (["--json-schema", #"{"dependencies": {}}"#],
         "#/dependencies: the keyword 'dependencies' is of older drafts; write dependentRequired or dependentSchemas."),
        (["--json-schema", #"{"minimum": "x"}"#], "#/minimum: 'minimum' is a string, expected a number."),
        (["--json-schema", #"{"enum": ["#], "--json-schema: line 1, column 11 (byte 10): found the end of the file, expected a value."),
        (["--json-schema", "/nowhere.json"], "cannot open '/nowhere.json': no such file or directory."),
        (["--grammar", "/nowhere.gbnf"], "cannot open '/nowhere.gbnf': no such file or directory."),
        (["--regex", "(a"], "the regular expression has a group without ')' at character 3."),
        (["--regex", #"(a)\1"#], "the regular expression has a back reference at character 4, which is not supported."),
    ])
    func whatCannotBeKeptToIsRefused(_ arguments: [String], _ sentence: String) throws {
        let outcome = try answer(arguments)
        #expect(outcome.code == 1 && outcome.output.isEmpty)
        #expect(outcome.error.hasPrefix("error: " + sentence), "\(outcome.error)")
        #expect(outcome.error.split(separator: "\n").count == 1)
    }

    @Test func badFilesAreNamed() throws {
        try withFile("no JSON") { path in
            let schema = try answer(["--json-schema", path])
            #expect(schema.code == 1 && schema.error == "error: \(path): line 1, column 1 (byte 0): found 'n', expected a value.\n")
            let grammar = try answer(["--grammar", path])
            #expect(grammar.code == 1 && grammar.error == "error: line 1, column 4: the grammar has no '::=' behind the name of a rule.\n")
        }
    }

    // MARK: schema check

    @Test func supportedSchemas() throws {
        let text = try Program.run(["schema", "check", Self.colours])
        #expect(text.code == 0 && text.error.isEmpty && text.output == "Answers can be held to this schema.\n")
        let file = try withFile(Self.colours) { try Program.run(["schema", "check", $0, "--json"]) }
        #expect(file.code == 0 && file.json["supported"] as? Bool == true && file.json["reason"] == nil)
    }

    @Test func unsupportedSchemas() throws {
        let schema = #"{"type": "object", "properties": {"a": {"$ref": "https://example.org/a"}}}"#
        let sentence = "#/properties/a/$ref: 'https://example.org/a' is not found in this schema. Other documents are not read; put what is needed into $defs."
        let text = try Program.run(["schema", "check", schema])
        #expect(text.code == 1 && text.output.isEmpty && text.error == "error: \(sentence)\n")
        let json = try Program.run(["schema", "check", schema, "--json"])
        #expect(json.code == 1 && json.error.isEmpty)
        #expect(json.json["supported"] as? Bool == false && json.json["reason"] as? String == sentence)
    }

    @Test func whatIsNoSchema() throws {
        for flags in [[], ["--json"]] {
            let missing = try Program.run(["schema", "check", "/nowhere.json"] + flags)
            #expect(missing.code == 1 && missing.output.isEmpty && missing.error == "error: cannot open '/nowhere.json': no such file or directory.\n")
            let noJSON = try withFile("[1,") { try Program.run(["schema", "check", $0] + flags) }
            #expect(noJSON.code == 1 && noJSON.output.isEmpty && noJSON.error.hasSuffix("found the end of the file, expected a value.\n"))
        }
        #expect(try Program.run(["schema", "check"]).code == 64)
        #expect(try Program.run(["schema", "check", "{}", "--frobnicate"]).code == 64)
        let list = try withFile("[]") { try Program.run(["schema", "check", $0]) }
        #expect(list.code == 1 && list.error == "error: #: a schema is an object, true or false; found an array.\n", "\(list.error)")
    }
}
