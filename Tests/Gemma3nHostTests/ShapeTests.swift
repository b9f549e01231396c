import Checkpoint
import Constraints
import Gemma3n
import Gemma3nHost
import Testing

/// Answers that are held to a shape, from a model of random weights: nothing but the constraint makes them fit.
struct ShapeTests {
    static let schema = """
        {"type": "object", "properties": {"colour": {"enum": ["red", "green"]}, "count": {"type": "integer", "minimum": 0, "maximum": 99},
         "list": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3}}, "required": ["colour", "count", "list"], "additionalProperties": false}
        """

    static func options(_ shape: AnswerShape, seed: UInt64 = 1, tokens: Int = 120) -> ResponseOptions {
        var options = ResponseOptions(sampling: .random(probabilityThreshold: 1, seed: seed), temperature: 1.5, maximumResponseTokens: tokens)
        options.topK = 0
        options.topP = 1
        options.shape = shape
        return options
    }

    static func fits(_ json: JSONValue) -> Bool {
        guard json.object?.keys == ["colour", "count", "list"] else { return false }
        guard ["red", "green"].contains(json["colour"]?.string), (0...99).contains(json["count"]?.int ?? -1) else { return false }
        return (json["list"]?.array).map { $0.count <= 3 && $0.allSatisfy { $0.bool != nil } } ?? false
    }

    @Test func `answers fit a schema`() async throws {
        let model = try tinyModel()
        let schema = try JSONValue.parse(Self.schema, file: "schema")
        var determined = 0
        for seed in 1...20 {
            let session = LanguageModelSession(model: model)
            let response = try await session.respond(to: "say something", options: Self.options(.jsonSchema(schema), seed: UInt64(seed)))
            #expect(response.finishReason == .stop)
            #expect(Self.fits(try GeneratedContent(json: response.content).json), "\(response.content)")
            determined += response.statistics.determinedTokens
        }
        // The keys and what stands between them.
        #expect(determined > 20 * 5)
    }

    @Test(arguments: [Speculation.lookup, .slice(.half), .automatic])
    func `guessing ahead changes nothing`(speculation: Speculation) async throws {
        let model = try tinyModel()
        let shape = AnswerShape.jsonSchema(try JSONValue.parse(Self.schema, file: "schema"))
        for seed in 1...5 {
            var options = Self.options(shape, seed: UInt64(seed))
            options.topLogProbabilities = 3
            let plain = try await LanguageModelSession(model: model).respond(to: "the water", options: options)
            options.speculation = speculation
            options.speculation.adapts = false
            let guessed = try await LanguageModelSession(model: model).respond(to: "the water", options: options)
            let isSame = plain.tokens == guessed.tokens && plain.chosen == guessed.chosen && plain.content == guessed.content
            #expect(isSame)
        }
    }

    @Test func `expressions and grammars hold`() async throws {
        let model = try tinyModel()
        for seed in 1...5 {
            let session = LanguageModelSession(model: model)
            let date = try await session.respond(to: "when", options: Self.options(.regularExpression("(19|20)[0-9]{2}-[01][0-9]"), seed: UInt64(seed)))
            #expect(date.content.wholeMatch(of: /(19|20)[0-9]{2}-[01][0-9]/) != nil)
            let sum = try await session.respond(to: "how much", options: Self.options(.grammar("root ::= n (\"+\" n){1,3}\nn ::= [1-9]"), seed: UInt64(seed)))
            #expect(sum.content.wholeMatch(of: /[1-9](\+[1-9]){1,3}/) != nil)
        }
    }

    @Test func `log-probabilities are those of allowed tokens`() async throws {
        let model = try tinyModel()
        var options = Self.options(.regularExpression("[ab]{4}"))
        options.topLogProbabilities = 50
        let response = try await LanguageModelSession(model: model).respond(to: "letters", options: options)
        for token in response.logProbabilities {
            let total = token.top.reduce(0.0) { $0 + Double($1.logProbability).exponential }
            // Everything that may come is among the first 50.
            #expect(abs(total - 1) < 1e-5)
        }
    }

    @Test func `what cannot be kept to is refused before anything runs`() async throws {
        let session = LanguageModelSession(model: try tinyModel())
        let shape = AnswerShape.jsonSchema(["type": "object", "minFoo": 3])
        await #expect { try await session.respond(to: "x", options: Self.options(shape)) } throws: { error in
            guard let error = error as? SessionError else { return false }
            return error.code == .unsupportedGuide && error.message.contains("minFoo")
        }
        #expect(session.transcript.entries.isEmpty)
    }

    @Test func `an answer of too few tokens is no value`() async throws {
        let session = LanguageModelSession(model: try tinyModel())
        await #expect {
            try await session.respond(to: "x", schema: GenerationSchema(json: ["type": "string", "minLength": 400]), options: ResponseOptions(maximumResponseTokens: 5))
        } throws: { ($0 as? SessionError)?.code == .decodingFailure }
    }

    @Test func `typed answers and their snapshots`() async throws {
        let session = LanguageModelSession(model: try tinyModel())
        var options = ResponseOptions(sampling: .random(top: 40, seed: 3), maximumResponseTokens: 400)
        options.topK = 40
        let schema = GenerationSchema(json: try JSONValue.parse(Self.schema, file: "schema"))
        let whole = try await session.respond(to: "x", schema: schema, options: options)
        #expect(Self.fits(whole.content.json))
        var colours: [String] = []
        var last: TypedResponseStream<Mark>.Snapshot?
        for try await snapshot in session.streamResponse(to: "again", generating: Mark.self, options: options) {
            if let colour = snapshot.content.colour { colours.append(colour) }
            last = snapshot
        }
        #expect(colours.allSatisfy { "red".hasPrefix($0) || "green".hasPrefix($0) } && !colours.isEmpty)
        let response = try #require(last?.response)
        let mark = try await session.respond(to: "once more", generating: Mark.self, options: options)
        #expect(mark.content.list.count <= 3 && mark.response.finishReason == .stop && response.finishReason == .stop)
    }

    struct Mark: Generable {
        let colour: String
        let list: [Bool]

        static var generationSchema: GenerationSchema {
            GenerationSchema(
                type: Mark.self,
                properties: [
                    .init(name: "colour", type: String.self, guides: [.anyOf(["red", "green"])]),
                    .init(name: "list", type: [Bool].self, guides: [.maximumCount(3)]),
                ])
        }

        init(_ content: GeneratedContent) throws {
            colour = try content.value(forProperty: "colour")
            list = try content.value(forProperty: "list")
        }

        var generatedContent: GeneratedContent { GeneratedContent(properties: ["colour": colour, "list": list]) }

        struct PartiallyGenerated: ConvertibleFromGeneratedContent {
            let colour: String?
            let list: [Bool]?

            init(_ content: GeneratedContent) throws {
                colour = try content.partialValue(forProperty: "colour")
                list = try content.partialValue(forProperty: "list")
            }
        }
    }
}

extension Double {
    /// e to this.
    fileprivate var exponential: Double {
        // A test needs no more than a series after halving often enough.
        var (sum, term) = (1.0, 1.0)
        let x = self / 1024
        for k in 1...12 {
            term *= x / Double(k)
            sum += term
        }
        for _ in 0..<10 { sum *= sum }
        return sum
    }
}
