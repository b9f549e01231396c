import Checkpoint
import Constraints
import Gemma3n
import Gemma3nHost
import Testing

/// Tools as data: what the model is told, what its answer is held to, how the answer is read.
@Suite struct ToolCallingTests {
    static let weather: JSONValue = [
        "type": "object", "properties": ["city": ["type": "string", "maxLength": 9], "days": ["type": "integer", "minimum": 1, "maximum": 9]], "required": ["city"],
    ]

    static func tools() throws -> [ToolDefinition] {
        [
            try ToolDefinition(name: "get_weather", description: "The weather of a city.", parameters: weather),
            try ToolDefinition(name: "roll-dice"),
            try ToolDefinition(
                name: "tree",
                parameters: [
                    "type": "object", "properties": ["left": ["$ref": "#"], "leaf": ["$ref": "#/$defs/leaf"]], "additionalProperties": false,
                    "$defs": ["leaf": ["enum": ["}\"]", "\\", "🙂"]]],
                ]),
        ]
    }

    static func calling(_ choice: ToolChoice = .automatic, parallel: Bool = true, allowed: [String]? = nil) throws -> ToolCalling {
        try ToolCalling(tools: tools(), choice: choice, parallel: parallel, maximumCalls: 3, allowed: allowed)
    }

    static func accepts(_ constraint: Constraint, _ text: String) -> Bool {
        var matcher = ConstraintMatcher(ConstraintMachine(constraint, TokenVocabulary(tokens: [], endTokens: [])))
        return matcher.advance(text.utf8) && matcher.isAccepting
    }

    static let paris = #"{"name": "get_weather", "parameters": {"city": "Paris"}}"#
    static let dice = #"{"name": "roll-dice", "parameters": {}}"#
    static let tree = #"{"name": "tree", "parameters": {"left": {"left": {}, "leaf": "🙂"}, "leaf": "}\"]"}}"#
    static let pretty = """
        ```json
        [
          {
            "name": "get_weather",
            "parameters": {
              "city": "Paris",
              "days": 3
            }
          },
          {"name" : "tree", "parameters": { "leaf":"\\\\" } }
        ]
        ```
        """

    /// Answers and the names of the tools they call; none for text.
    static let answers: [(String, [String])] = [
        ("Hello.", []), ("\n", []), (" ", []), ("a {", []), ("It is [1]: {\"name\": \"get_weather\"", []), ("`x`", []), ("```", []), ("```\n{}", []),
        ("```python\nx = [1]\n```", []), ("```json\n{\"a\": 1}\n```", []), ("```json\n{\"name\": \"Bob\"}\n```", []), ("```json\n[1]", []),
        ("```json\n{\"name\": \"get_weat", []), ("```\n[{\"name\": \"get_weather_", []), ("``` json\n{\"name\"", []), ("```to", []), ("\n```jso", []),
        ("``", []), ("🙂{}", []), (paris, ["get_weather"]), (dice, ["roll-dice"]), (tree, ["tree"]), ("[\(paris)]", ["get_weather"]),
        ("[\(dice), \(tree), \(paris)]", ["roll-dice", "tree", "get_weather"]), ("```tool_code\n\(paris)\n```", ["get_weather"]),
        ("```\n\(dice)```", ["roll-dice"]), ("```json\n[ \(dice) ,\(tree)]\n```", ["roll-dice", "tree"]), (pretty, ["get_weather", "tree"]),
    ]

    @Test func answersThatMayBeGiven() throws {
        let constraint = try Self.calling().constraint(shape: nil)
        for (text, _) in Self.answers {
            let fits = Self.accepts(constraint, text)
            #expect(fits, "\(text)")
        }
        for text in [
            "", "{", "{}", "[]", "{\"a\": 1}", "[1]", " {\"a\": 1}", "\n[", " \(Self.paris)", "```tool_code", "```tool_code\nprint(1)\n```",
            #"{"name": "other", "parameters": {}}"#, #"{"name": "get_weather", "parameters": {}}"#, #"{"name": "get_weather"}"#,
            #"{"name": "get_weather", "parameters": {"city": "Paris", "days": 10}}"#, #"{"name": "roll-dice", "parameters": {"a": 1}}"#,
            "\(Self.dice) \(Self.dice)", "\(Self.paris) and so on", "[\(Self.dice), \(Self.dice), \(Self.dice), \(Self.dice)]",
            "```json\n{\"name\": \"get_weather\"", "```json\n{\"name\": \"get_weather\", \"parameters\": {}}\n```", "```json\n\(Self.paris)\n``` and",
            #"{"parameters": {}, "name": "roll-dice"}"#,
        ] { #expect(!Self.accepts(constraint, text), "\(text)") }
    }

    /// However an answer is cut, what is read is the same, and as the constraint sees it.
    @Test func readingInPieces() throws {
        let calling = try Self.calling()
        for (text, names) in Self.answers {
            var whole = ToolCallParser(calling, makeID: { "id" })
            let events = whole.push(text) + whole.finish()
            #expect(whole.wholeCalls.map(\.name) == names, "\(text)")
            #expect(whole.calls.count == names.count && whole.text == (names.isEmpty ? text : ""))
            let scalars = Array(text.unicodeScalars)
            for size in [1, 2, 3, 7] {
                var parser = ToolCallParser(calling, makeID: { "id" })
                var pieces: [ToolCallParser.Event] = []
                for start in stride(from: 0, to: scalars.count, by: size) {
                    var piece = ""
                    piece.unicodeScalars.append(contentsOf: scalars[start..<min(start + size, scalars.count)])
                    pieces += parser.push(piece)
                }
                pieces += parser.finish()
                #expect(Self.joined(pieces) == Self.joined(events), "\(text)")
                #expect(parser.calls == whole.calls && parser.text == whole.text)
            }
        }
    }

    private static func joined(_ events: [ToolCallParser.Event]) -> [ToolCallParser.Event] {
        var result: [ToolCallParser.Event] = []
        for event in events {
            switch (result.last, event) {
            case (.text(let a)?, .text(let b)): result[result.count - 1] = .text(a + b)
            case (.arguments(let i, let a)?, .arguments(let j, let b)) where i == j: result[result.count - 1] = .arguments(index: i, a + b)
            default: result.append(event)
            }
        }
        return result
    }

    @Test func argumentsAreReadAsTheyWereWritten() throws {
        var parser = ToolCallParser(try Self.calling())
        _ = parser.push(Self.pretty)
        let calls = parser.wholeCalls
        #expect(calls.map(\.arguments) == [["city": "Paris", "days": 3], ["leaf": "\\"]])
        #expect(calls[1].argumentsText == #"{ "leaf":"\\" }"#)
        #expect(calls[0].id != calls[1].id && calls[0].id.hasPrefix("call_") && calls[0].id.utf8.count == 29)
        let again = ToolCall(name: "get_weather", arguments: ["city": "Paris", "list": [1, 2.5, .null]])
        #expect(again.argumentsText == #"{"city": "Paris", "list": [1, 2.5, null]}"#)
        #expect(throws: SessionError.self) { try ToolCall(name: "x", argumentsText: "{") }
    }

    /// What is no call is passed over, whoever wrote it.
    @Test func hostileAnswers() throws {
        let calling = try Self.calling(.required)
        for text in ["{}", "}", "[]", "{\"name\": \"x\"}", "{\"name\": \"x\", \"parameters\": 3}", "{\"parameters\": {}}", "\"", "{\"name\": \"a\", \"parameters\": {]}}"] {
            var parser = ToolCallParser(calling)
            _ = parser.push(text) + parser.finish()
            #expect(parser.wholeCalls.isEmpty, "\(text)")
        }
    }

    @Test func choices() throws {
        let none = try Self.calling(.none).constraint(shape: nil)
        let required = try Self.calling(.required).constraint(shape: nil)
        let named = try Self.calling(.named("roll-dice"), parallel: false).constraint(shape: nil)
        let some = try Self.calling(allowed: ["tree"]).constraint(shape: nil)
        for (text, fits) in [
            ("text", [true, false, false, true]), (Self.dice, [false, true, true, false]), (Self.tree, [false, true, false, true]),
            ("[\(Self.dice)]", [false, true, true, false]), ("[\(Self.dice), \(Self.dice)]", [false, true, false, false]),
            ("```tool_code\n\(Self.tree)\n```", [false, false, false, true]), ("```json\n\(Self.dice)\n```", [false, false, false, false]),
        ] { #expect([none, required, named, some].map { Self.accepts($0, text) } == fits, "\(text)") }
    }

    @Test func withAShape() throws {
        let shape = try Constraint(jsonSchema: #"{"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}"#)
        let automatic = try Self.calling().constraint(shape: shape)
        for text in [#"{"name":"get_weather"}"#, "```tool_code\n\(Self.dice)\n```", "```tool_code\n[\(Self.dice), \(Self.tree)]\n```"] {
            #expect(Self.accepts(automatic, text), "\(text)")
        }
        for text in [Self.dice, "text", "```json\n\(Self.dice)\n```"] { #expect(!Self.accepts(automatic, text), "\(text)") }
        #expect(try Self.accepts(Self.calling(.none).constraint(shape: shape), #"{"name":"x"}"#))
        #expect(try Self.accepts(Self.calling(.required).constraint(shape: shape), Self.dice))
        for (text, calls, rest) in [
            (#"{"name":"get_weather"}"#, 0, #"{"name":"get_weather"}"#), ("```tool_code\n\(Self.dice)\n```", 1, ""), ("``", 0, "``"),
        ] {
            var parser = ToolCallParser(try Self.calling(), hasShape: true)
            for scalar in text.unicodeScalars { _ = parser.push(String(scalar)) }
            _ = parser.finish()
            #expect(parser.wholeCalls.count == calls && parser.text == rest)
        }
        // A shape that could be taken for a call.
        let ambiguous = try Constraint(regularExpression: "[`a-z_]{3,}\n.*")
        #expect(throws: SessionError.self) { try Self.calling().constraint(shape: ambiguous) }
    }

    @Test func theModelIsTold() throws {
        let calling = try ToolCalling(tools: [Self.tools()[0]], parallel: false)
        #expect(
            calling.instructions == """
                You have access to functions. If you decide to invoke any of the function(s),
                you MUST put it in the format of
                {"name": function name, "parameters": dictionary of argument name and its value}

                You SHOULD NOT include any other text in the response if you call a function
                [
                  {
                    "name": "get_weather",
                    "description": "The weather of a city.",
                    "parameters": {
                      "type": "object",
                      "properties": {
                        "city": {
                          "type": "string",
                          "maxLength": 9
                        },
                        "days": {
                          "type": "integer",
                          "minimum": 1,
                          "maximum": 9
                        }
                      },
                      "required": [
                        "city"
                      ]
                    }
                  }
                ]
                """)
    }

    /// Walks of evenly drawn tokens, as from random weights: every answer is whole, and read as what it is.
    @Test(arguments: [ToolChoice.automatic, .required, .named("tree")]) func randomAnswers(_ choice: ToolChoice) throws {
        let model = try tinyModel().model
        let calling = try Self.calling(choice)
        let machine = ConstraintMachine(
            try calling.constraint(shape: nil), TokenVocabulary(model.tokenizer, endTokens: model.generationConfiguration.eosTokenIDs))
        let single = try Self.calling(.required).constraint(shape: nil)
        var state: UInt64 = 7
        func below(_ count: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(count))
        }
        var (finished, calls) = (0, 0)
        for round in 0..<60 {
            var matcher = ConstraintMatcher(machine)
            var text: [UInt8] = []
            // Even odds would hardly ever begin a call.
            if choice == .automatic, round % 2 == 0 {
                text = Array(["{", "[{", "```tool_code\n", "```json\n[ {\n\"name\": \"tree\""][round / 2 % 4].utf8)
                let isTaken = matcher.advance(text)
                #expect(isTaken)
            }
            var isWhole = false
            for _ in 0..<300 {
                let mask = matcher.mask()
                var ids: [Int32] = []
                mask.forEach { ids.append($0) }
                guard !ids.isEmpty else { Issue.record("stuck"); break }
                let id = ids[below(ids.count)]
                let isTaken = matcher.advance(token: id)
                #expect(isTaken)
                if machine.vocabulary.endTokens.contains(id) {
                    isWhole = true
                    break
                }
                text += machine.vocabulary.bytes(of: id) ?? []
                if matcher.isFinished {
                    isWhole = true
                    break
                }
            }
            guard isWhole else { continue }
            finished += 1
            var parser = ToolCallParser(calling)
            _ = parser.push(String(decoding: text, as: UTF8.self))
            _ = parser.finish()
            if choice == .automatic, parser.calls.isEmpty {
                #expect(parser.text.utf8.elementsEqual(text))
                continue
            }
            calls += parser.calls.count
            #expect(parser.text.isEmpty && !parser.calls.isEmpty && parser.calls.count <= 3 && parser.wholeCalls.count == parser.calls.count)
            for call in parser.wholeCalls {
                if case .named(let name) = choice { #expect(call.name == name) }
                // In a fence white space is free.
                if text.starts(with: "`".utf8) { continue }
                let fits = Self.accepts(single, "{\"name\": \"\(call.name)\", \"parameters\": \(call.argumentsText)}")
                #expect(fits, "\(call.argumentsText)")
            }
        }
        #expect(finished >= 10 && calls >= 10, "\(finished), \(calls)")
    }

    @Test func wrongTools() throws {
        func code(_ body: () throws -> Void) -> SessionError? {
            do { try body() } catch { return error as? SessionError }
            return nil
        }
        for name in ["", "a b", "ä", "a\"}", String(repeating: "x", count: 65), "a\n", "<end_of_turn>"] {
            #expect(code { _ = try ToolDefinition(name: name) }?.code == .invalidOption, "\(name)")
        }
        let unknown = code { _ = try ToolDefinition(name: "x", parameters: ["type": "object", "properties": ["a": ["minFoo": 3]]]) }
        #expect(unknown?.code == .unsupportedGuide && unknown?.message.contains("Tool 'x'") == true && unknown?.message.contains("#/properties/a/minFoo") == true)
        #expect(
            code { _ = try ToolDefinition(name: "x", parameters: ["type": "string"]) }?.message
                == "Tool 'x': #/type of its parameters is \"string\", expected \"object\".")
        #expect(code { _ = try ToolDefinition(name: "x", parameters: true) }?.code == .unsupportedGuide)
        #expect(code { _ = try ToolDefinition(name: "x", parameters: ["allOf": [["type": "string"]]]) }?.code == .unsupportedGuide)
        let tools = try Self.tools()
        #expect(code { _ = try ToolCalling(tools: []) }?.code == .invalidOption)
        #expect(code { _ = try ToolCalling(tools: tools + [tools[0]]) }?.message == "Two tools are named 'get_weather'. Give each a name of its own.")
        #expect(
            code { _ = try ToolCalling(tools: tools, choice: .named("x")) }?.message
                == "The tool 'x' is not among the tools: get_weather, roll-dice, tree.")
        #expect(code { _ = try ToolCalling(tools: tools, choice: .named("tree"), allowed: ["roll-dice"]) }?.code == .invalidOption)
        #expect(code { _ = try ToolCalling(tools: tools, choice: .required, allowed: []) }?.code == .invalidOption)
        #expect(code { _ = try ToolCalling(tools: tools, maximumCalls: 0) }?.code == .invalidOption)
    }

    @Test func readingTools() throws {
        let json = try JSONValue.parse(
            """
            [{"type": "function", "function": {"name": "a", "description": null, "parameters": {"type": "object", "properties": {}}, "strict": true}},
             {"type": "function", "name": "b", "description": "B", "parameters": null}, {"name": "c"}]
            """, file: "tools")
        let tools = try ToolDefinition.parse(json)
        #expect(tools.map(\.name) == ["a", "b", "c"] && tools.map(\.description) == ["", "B", ""])
        #expect(tools[1].parameters == tools[2].parameters)
        for (text, sentence) in [
            ("{}", "tools is an object, expected an array of functions."), (#"[{"type": "retrieval"}]"#, #"tools[0].type is "retrieval", expected "function"."#),
            (#"[{"type": "function", "function": {}}]"#, "tools[0].function.name is missing, expected a string."), ("[3]", "tools[0].name is missing, expected a string."),
            (#"[{"name": "a", "description": 3}]"#, "tools[0].description is a number, expected a string."),
        ] {
            let error = #expect(throws: SessionError.self) { try ToolDefinition.parse(JSONValue.parse(text, file: "")) }
            #expect(error?.message == sentence)
        }
        #expect(try ToolChoice("auto") == .automatic && ToolChoice("none") == .none && ToolChoice("required") == .required)
        #expect(try ToolChoice(["type": "function", "function": ["name": "a"]]) == .named("a"))
        #expect(try ToolChoice(["type": "function", "name": "a"]) == .named("a"))
        #expect(throws: SessionError.self) { try ToolChoice("maybe") }
        #expect(throws: SessionError.self) { try ToolChoice(3) }
    }
}
