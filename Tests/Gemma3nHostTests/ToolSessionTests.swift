import Checkpoint
import Gemma3n
import Gemma3nHost
import Synchronization
import Testing
import Tokenization

/// Sessions whose model calls tools. The model has random weights: only what is decided by constraints and by the session is tested.
@Suite struct ToolSessionTests {
    struct Dice: Tool {
        let name = "roll_dice"
        let description = "Rolls dice."
        let log: Log
        /// What a call does, given how many there were before.
        var body: @Sendable (Int) async throws -> Void = { _ in }

        struct Arguments: Generable {
            let sides: Int
            static var generationSchema: GenerationSchema {
                GenerationSchema(type: Arguments.self, properties: [.init(name: "sides", type: Int.self, guides: [.range(2...20)])])
            }
            init(_ content: GeneratedContent) throws { sides = try content.value(forProperty: "sides") }
            var generatedContent: GeneratedContent { GeneratedContent(properties: ["sides": sides]) }
        }

        func call(arguments: Arguments) async throws -> String {
            let place = log.add(arguments.sides)
            try await body(place)
            return "a \(arguments.sides)"
        }
    }

    final class Log: Sendable {
        private let entries = Mutex<[Int]>([])
        func add(_ value: Int) -> Int { entries.withLock { $0.append(value); return $0.count - 1 } }
        var all: [Int] { entries.withLock { $0 } }
    }

    static func options(_ choice: ToolChoice = .required, seed: UInt64 = 1, tokens: Int = 200) -> ResponseOptions {
        var options = ResponseOptions(sampling: .random(probabilityThreshold: 1, seed: seed), temperature: 1.5, maximumResponseTokens: tokens)
        options.topK = 0
        options.toolChoice = choice
        return options
    }

    static func kinds(_ transcript: Transcript) -> String {
        transcript.entries.map {
            switch $0 {
            case .instructions: "i"
            case .prompt: "p"
            case .response: "r"
            case .toolCalls(let calls): "c\(calls.count)"
            case .toolOutput: "o"
            }
        }.joined()
    }

    /// The next answer is what the model says to exactly the tokens the session believes in.
    static func expectConsistent(_ session: LanguageModelSession) async throws {
        let log = FeedingLog(session)
        var options = exactly(4)
        options.toolChoice = .none
        options.tools = nil
        options.topLogProbabilities = nil
        _ = try await session.respond(to: "and more", options: options)
        #expect(log.last.new <= log.last.whole.count)
    }

    @Test func toolsAreRunAndTheAnswerIsText() async throws {
        let model = try tinyModel()
        for seed in 1...6 {
            let log = Log()
            let session = try LanguageModelSession(
                model: model, tools: [Dice(log: log)], toolLimits: ToolLimits(rounds: 2, callsPerRound: 2), instructions: "be good")
            let response = try await session.respond(to: "hello", options: Self.options(seed: UInt64(seed)))
            #expect(response.finishReason == .stop || response.finishReason == .length)
            #expect(response.toolCalls.isEmpty && !session.isResponding)
            #expect(!log.all.isEmpty && log.all.allSatisfy { (2...20).contains($0) })
            let kinds = Self.kinds(session.transcript)
            #expect(["ipc1or", "ipc2oor", "ipc1oc1or", "ipc1oc2oor", "ipc2ooc1or", "ipc2ooc2oor"].contains(kinds), "\(kinds)")
            // Each output stands behind its call.
            var open: [ToolCall] = []
            for entry in session.transcript.entries {
                if case .toolCalls(let calls) = entry { open = calls }
                if case .toolOutput(let output) = entry {
                    let call = open.removeFirst()
                    #expect(output.callID == call.id && output.name == call.name && output.content.text == "a \(call.arguments["sides"]?.int ?? 0)")
                }
            }
            try await Self.expectConsistent(session)
        }
    }

    /// Every round processes the outputs of the last one and no more, and the whole reads as the chat template has it.
    @Test func roundsReuseTheCache() async throws {
        let model = try tinyModel()
        var tools: ToolCalling { get throws { try ToolCalling(tools: ToolCallingTests.tools(), choice: .required, maximumCalls: 2) } }
        var options = Self.options(.automatic, seed: 3, tokens: 600)
        options.tools = try tools
        let session = LanguageModelSession(model: model, instructions: "be good")
        let log = FeedingLog(session)
        let first = try await session.respond(to: "hello", options: options)
        try #require(first.finishReason == .toolCalls)
        #expect(first.content.isEmpty && !first.toolCalls.isEmpty)
        let whole = log.last.whole
        #expect(log.last.new == whole.count)
        let text = model.model.tokenizer.decode(whole)
        #expect(text.contains("user\nbe good\n\nYou have access to functions."))
        #expect(text.contains("]\n\nhello"))

        options.tools = try ToolCalling(tools: ToolCallingTests.tools(), choice: .none, maximumCalls: 2)
        options.maximumResponseTokens = 20
        let outputs = first.toolCalls.enumerated().map { ToolOutput(of: $1, "it is \($0)") }
        let second = try await session.respond(toToolOutputs: outputs, options: options)
        #expect(second.finishReason != .toolCalls && second.toolCalls.isEmpty)
        #expect(Array(log.last.whole.prefix(whole.count + first.tokens.count)) == whole + first.tokens)
        // The turn, and the last token of the answer unless it was determined.
        let added = log.last.whole.count - whole.count - first.tokens.count
        #expect([added, added + 1].contains(log.last.new))
        let turn = model.model.tokenizer.decode(Array(log.last.whole.dropFirst(whole.count + first.tokens.count)))
        let names = first.toolCalls.map(\.name)
        let expected = names.enumerated().map { "```tool_output\n\(names.count > 1 ? "\($1): " : "")it is \($0)\n```" }.joined(separator: "\n\n")
        #expect(turn.contains(expected), "\(turn)")

        // Other tools: the conversation is written anew with the calls as they were.
        options.tools = try ToolCalling(tools: [ToolDefinition(name: "other")], choice: .none)
        _ = try await session.respond(to: "and?", options: options)
        let again = model.model.tokenizer.decode(log.last.whole)
        #expect(again.contains("\"other\"") && !again.contains("get_weather\",\n"))
        #expect(again.contains(model.model.tokenizer.decode(first.tokens)))
    }

    /// A conversation with calls reads the same after it went through JSON.
    @Test func transcriptsSurviveJSON() async throws {
        let model = try tinyModel()
        let log = Log()
        let session = try LanguageModelSession(model: model, tools: [Dice(log: log)], toolLimits: ToolLimits(rounds: 1, callsPerRound: 3))
        _ = try await session.respond(to: "hello", options: Self.options(seed: 5, tokens: 60))
        let fed = FeedingLog(session)
        _ = try await session.respond(to: "more", options: Self.options(.none, tokens: 1))
        let json = JSONValue.array(session.transcript.messages.map(\.json)).serialized()
        let restored = try Transcript(messages: try MessageInput.parse(JSONValue.parse(json, file: ""), file: ""))
        #expect(JSONValue.array(restored.messages.map(\.json)).serialized() == json)
        var shorter = restored
        shorter.entries.removeLast(2)
        let other = try LanguageModelSession(
            model: model, tools: [Dice(log: log)], toolLimits: ToolLimits(rounds: 1, callsPerRound: 3), transcript: shorter)
        let again = FeedingLog(other)
        _ = try await other.respond(to: "more", options: Self.options(.none, tokens: 1))
        // Up to the outputs; the answer's white space is trimmed. A list of one call comes back as a call.
        func head(_ tokens: [Int32]) -> String {
            let text = model.model.tokenizer.decode(tokens).replacing("[{", with: "{").replacing("}]", with: "}")
            return text.ranges(of: "\n```").last.map { String(text[..<$0.upperBound]) } ?? ""
        }
        let isSame = head(again.last.whole) == head(fed.last.whole)
        #expect(isSame)
    }

    @Test func messagesWithTools() throws {
        func read(_ json: String) throws -> Transcript { try Transcript(messages: MessageInput.parse(JSONValue.parse(json, file: ""), file: "")) }
        let transcript = try read(
            """
            [{"role": "user", "content": "a"},
             {"role": "assistant", "content": "I look.", "tool_calls": [{"id": "x", "type": "function", "function": {"name": "f", "arguments": "{\\"a\\":1}"}},
               {"function": {"name": "g", "arguments": {"b": [1, 2]}}}]},
             {"role": "tool", "tool_call_id": "x", "content": "one"}, {"role": "tool", "tool_name": "g", "content": "two"},
             {"role": "assistant", "content": "done"}]
            """)
        #expect(Self.kinds(transcript) == "prc2oor")
        guard case .toolCalls(let calls) = transcript.entries[2], case .toolOutput(let one) = transcript.entries[3],
            case .toolOutput(let two) = transcript.entries[4]
        else { Issue.record("\(transcript)"); return }
        #expect(calls[0].argumentsText == "{\"a\":1}" && calls[1].argumentsText == "{\"b\": [1, 2]}")
        #expect(one.name == "f" && one.callID == "x" && two.callID == calls[1].id)
        for (json, sentence) in [
            (#"[{"role": "tool", "content": "x"}]"#, "messages[0] is the output of a call, but no message before it makes that call."),
            (#"[{"role": "tool", "tool_call_id": "y", "content": "x"}]"#, #"messages[0] is the output of the call "y", but no message before it makes that call."#),
            (#"[{"role": "tool", "tool_call_id": 3, "content": "x"}]"#, "messages[0].tool_call_id is a number, expected a string."),
            (#"[{"role": "assistant", "tool_calls": {}}]"#, "messages[0].tool_calls is an object, expected an array of calls."),
            (#"[{"role": "assistant", "tool_calls": [{}]}]"#, "messages[0].tool_calls[0].function.name is missing, expected a string."),
            (#"[{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]"#, "messages[0].tool_calls[0].function.arguments is no JSON object."),
            (#"[{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": [1]}}]}]"#,
             "messages[0].tool_calls[0].function.arguments is an array, expected an object or its JSON text."),
            (#"[{"role": "assistant", "tool_calls": [{"function": {"name": "f\"}"}}]}]"#,
             #"messages[0].tool_calls[0].function.name is "f"}"; a name is 1 to 64 letters, digits, '_' and '-'."#),
        ] {
            let error = #expect(throws: SessionError.self) { try read(json) }
            #expect(error?.message == sentence)
        }
    }

    @Test func streamsShowCallsAsTheyCome() async throws {
        let model = try tinyModel()
        var options = Self.options(.automatic, seed: 2, tokens: 600)
        options.tools = try ToolCallingTests.calling(.named("get_weather"), parallel: false)
        let session = LanguageModelSession(model: model)
        var seen = ""
        var last: Response?
        var id: String?
        for try await snapshot in session.streamResponse(to: "hello", options: options) {
            #expect(snapshot.content.isEmpty && snapshot.toolCalls.count <= 1)
            if let call = snapshot.toolCalls.first {
                #expect(call.name == "get_weather" && call.argumentsText.utf8.starts(with: seen.utf8))
                #expect(id == nil || id == call.id)
                (seen, id) = (call.argumentsText, call.id)
            }
            last = snapshot.response
        }
        let response = try #require(last)
        if response.finishReason == .toolCalls {
            #expect(response.toolCalls.count == 1 && response.toolCalls[0].argumentsText == seen && response.toolCalls[0].id == id)
        } else {
            #expect(response.finishReason == .length && response.toolCalls.isEmpty)
        }
        let stream = try LanguageModelSession(model: model, tools: [Dice(log: Log())], toolLimits: ToolLimits(rounds: 1)).streamResponse(
            to: "hello", options: Self.options(tokens: 100))
        let answer = try await stream.collect()
        #expect(answer.finishReason == .stop || answer.finishReason == .length)
    }

    @Test func aFailureForgetsThePrompt() async throws {
        struct Broken: Error {}
        let model = try tinyModel()
        let log = Log()
        let tool = Dice(log: log) { if $0 > 0 { throw Broken() } }
        let session = try LanguageModelSession(model: model, tools: [tool], toolLimits: ToolLimits(rounds: 1, callsPerRound: 1))
        _ = try await session.respond(to: "hello", options: Self.options(tokens: 100))
        let kept = Self.kinds(session.transcript)
        let fed = FeedingLog(session)
        await #expect {
            try await session.respond(to: "again", options: Self.options(tokens: 100))
        } throws: { error in
            guard let error = error as? ToolCallError else { return false }
            return error.tool.name == "roll_dice" && error.underlyingError is Broken && "\(error)".hasPrefix("The tool 'roll_dice' failed: Broken")
        }
        #expect(Self.kinds(session.transcript) == kept && !session.isResponding)
        let failed = fed.last.whole
        _ = try await session.respond(to: "again", options: Self.options(.none, tokens: 1))
        #expect(fed.last.whole == failed)
        // As if it had not been: nothing of the failed call.
        try await Self.expectConsistent(session)
    }

    struct Mark: Generable {
        let colour: String
        static var generationSchema: GenerationSchema {
            GenerationSchema(type: Mark.self, properties: [.init(name: "colour", type: String.self, guides: [.anyOf(["red", "green"])])])
        }
        init(_ content: GeneratedContent) throws { colour = try content.value(forProperty: "colour") }
        var generatedContent: GeneratedContent { GeneratedContent(properties: ["colour": colour]) }
    }

    /// A typed answer stays one, whatever is called before.
    @Test(arguments: [ToolChoice.required, .automatic, .none]) func typedAnswers(_ choice: ToolChoice) async throws {
        let model = try tinyModel()
        let log = Log()
        let session = try LanguageModelSession(model: model, tools: [Dice(log: log)], toolLimits: ToolLimits(rounds: 2, callsPerRound: 1))
        for seed in 1...4 {
            let answer = try await session.respond(to: "hello", generating: Mark.self, options: Self.options(choice, seed: UInt64(seed)))
            #expect(["red", "green"].contains(answer.content.colour))
        }
        if choice == .required { #expect(log.all.count >= 4) }
        if choice == .none { #expect(log.all.isEmpty) }
    }

    @Test func limitsAndNamesAreChecked() async throws {
        let model = try tinyModel()
        let log = Log()
        #expect(throws: SessionError.self) { try LanguageModelSession(model: model, tools: [Dice(log: log), Dice(log: log)]) }
        #expect(throws: SessionError.self) { try LanguageModelSession(model: model, tools: [Dice(log: log)], toolLimits: ToolLimits(rounds: 0)) }
        let session = try LanguageModelSession(model: model, tools: [Dice(log: log)])
        await #expect(throws: SessionError.self) { try await session.respond(to: "x", options: Self.options(.named("nobody"))) }
        await #expect(throws: SessionError.self) { try await session.respond(toToolOutputs: []) }
        #expect(session.transcript.entries.isEmpty && !session.isResponding && log.all.isEmpty)
        #expect(Dice(log: log).parameters.json["$defs"]?["Arguments"]?["required"]?.array?.count == 1)
    }

    /// A tool that hears nothing of cancellation is not waited for.
    @Test(.timeLimit(.minutes(2)), arguments: [true, false]) func cancellationWhileToolsRun(byStream: Bool) async throws {
        let model = try tinyModel()
        let (log, door) = (Log(), Door())
        let tool = Dice(log: log) { _ in await door.wait() }
        let session = try LanguageModelSession(model: model, tools: [tool], toolLimits: ToolLimits(rounds: 1, callsPerRound: 1))
        if byStream {
            let stream = session.streamResponse(to: "hello", options: Self.options(tokens: 100))
            while log.all.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
            stream.stop()
            let response = try await stream.collect()
            #expect(response.finishReason == .cancelled && response.content.isEmpty)
        } else {
            let task = Task { try await session.respond(to: "hello", options: Self.options(tokens: 100)) }
            while log.all.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
        #expect(session.transcript.entries.isEmpty && !session.isResponding)
        let fed = FeedingLog(session)
        _ = try await session.respond(to: "again", options: Self.options(.none, tokens: 2))
        let text = model.model.tokenizer.decode(fed.last.whole)
        #expect(!text.contains("tool_output") && text.contains("again") && Self.kinds(session.transcript) == "pr")
        door.open()
    }

    /// Waiting that nothing but `open` ends.
    private final class Door: Sendable {
        private let waiters = Mutex<[CheckedContinuation<Void, Never>]?>([])

        func wait() async {
            await withCheckedContinuation { waiter in
                let isOpen = waiters.withLock { waiters in
                    waiters?.append(waiter)
                    return waiters == nil
                }
                if isOpen { waiter.resume() }
            }
        }

        func open() {
            let waiting = waiters.withLock { waiters in
                defer { waiters = nil }
                return waiters ?? []
            }
            for waiter in waiting { waiter.resume() }
        }
    }

    /// Calls of one answer run at the same time: each waits for the other.
    @Test(.timeLimit(.minutes(2))) func parallelCallsRunTogether() async throws {
        let model = try tinyModel()
        let log = Log()
        let together = Dice(log: log) { _ in
            while log.all.count < 2 { try await Task.sleep(for: .milliseconds(1)) }
        }
        var options = Self.options(tokens: 400)
        for text in ["[", ","] { for token in model.model.tokenizer.encode(text, recognizesSpecialTokens: false) { options.logitBias[token] = 30 } }
        let definition = try ToolDefinition(name: together.name, description: together.description, parameters: together.parameters.json)
        for seed in UInt64(1)...40 {
            options.seed = seed
            options.tools = try ToolCalling(tools: [definition], choice: .required, maximumCalls: 2)
            let found = try await LanguageModelSession(model: model).respond(to: "hello", options: options)
            guard found.toolCalls.count == 2, found.finishReason == .toolCalls else { continue }
            // A session asked the same makes the same calls, and runs them.
            options.tools = nil
            let session = try LanguageModelSession(model: model, tools: [together], toolLimits: ToolLimits(rounds: 1, callsPerRound: 2))
            _ = try await session.respond(to: "hello", options: options)
            #expect(Self.kinds(session.transcript) == "pc2oor" && log.all.count == 2)
            return
        }
        Issue.record("no answer makes two calls")
    }
}
