import Checkpoint
import Constraints
import Gemma3n
import TestSupport
import Testing

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Answers of a model of random weights at temperature 1.5, held to the schemas of the test suite and of `Oracle/constraint_schemas.py`:
/// nothing but the constraint makes them fit.
///
/// `GEMMA3N_GENERATIONS=FILE` makes 10,000 and writes them as JSON lines for `Oracle/validate_samples.py`.
struct ConstrainedGenerationTests {
    static let file = getenv("GEMMA3N_GENERATIONS").map { String(cString: $0) }
    static let maximumTokens = 300

    /// Those that can be kept to, written in one way or another, with their place among all.
    static func constraints() throws -> [(index: Int, constraint: Constraint)] {
        let suite = try JSONValue.parse(try readBytes(Fixtures.path("constraints/suite.json")), file: "suite.json")
        let others = try JSONValue.parse(try readBytes(Fixtures.path("constraints/schemas.json")), file: "schemas.json")
        var result: [(Int, Constraint)] = []
        for (i, entry) in ((suite["groups"]?.array ?? []) + (others.array ?? [])).enumerated() {
            var options = SchemaOptions()
            options.undeclaredProperties = i % 3 != 0
            options.anyPropertyOrder = i % 3 == 2
            if i % 3 == 1 { options.whitespace = .free(maximumRun: 3) }
            guard let constraint = try? Constraint(jsonSchema: try #require(entry["schema"]), options: options) else { continue }
            result.append((i, constraint))
        }
        return result
    }

    @Test func answersFitTheirSchemas() throws {
        let model = try Gemma3nModel(open: fixtureOpener("tiny"))
        let ends = model.generationConfiguration.eosTokenIDs
        let vocabulary = TokenVocabulary(model.tokenizer, endTokens: ends)
        let constraints = try Self.constraints()
        #expect(constraints.count > 480)
        let output = Self.file.flatMap { fopen($0, "w") }
        defer { if let output { fclose(output) } }
        let total = output == nil ? 600 : 10_000
        var (stopped, wrong, places, wrongMasks) = (0, 0, 0, 0)
        let conversation = Conversation(model, contextLength: 400)
        for (n, (index, constraint)) in constraints.enumerated() {
            let machine = ConstraintMachine(constraint, vocabulary)
            // Makes no masks: it is asked byte by byte.
            let other = ConstraintMachine(constraint, vocabulary)
            for seed in stride(from: n, to: total, by: constraints.count) {
                var options = GenerationOptions(maxTokens: Self.maximumTokens, stopTokens: ends)
                options.sampling.temperature = 1.5
                options.sampling.seed = UInt64(seed)
                conversation.reset()
                try conversation.feed(EncodedPrompt(tokens: [2] + (0..<8).map { Int32(260 + (seed * 31 + $0 * (seed % 89 + 7)) % 500) }))
                let result = try conversation.generate(options, hooks: GenerationHooks(matcher: ConstraintMatcher(machine)))
                var reread = ConstraintMatcher(other)
                let fits = reread.advance(result.text.utf8)
                switch result.finishReason {
                case .stop:
                    stopped += 1
                    let isJSON = (try? JSONValue.parse(result.text, file: "")) != nil
                    if !fits || !reread.isAccepting || !isJSON { wrong += 1 }
                case .length: if result.tokens.count != Self.maximumTokens { wrong += 1 }
                default: wrong += 1
                }
                if wrong > 0 { Issue.record("schema \(index), seed \(seed): \(result.finishReason) \(result.text)") }
                wrong = 0
                let masks = Self.wrongMasks(result.tokens, machine, other, ends)
                places += masks.places
                wrongMasks += masks.wrong
                if let output {
                    let line: JSONValue = [
                        "schema": .number(JSONNumber(index)), "seed": .number(JSONNumber(seed)), "finish": .string(result.finishReason.rawValue),
                        "text": .string(result.text),
                    ]
                    fputs(line.serialized() + "\n", output)
                }
            }
        }
        #expect(wrongMasks == 0)
        // Most end by themselves; the others are recursive, or texts that no limit ends.
        #expect(stopped * 2 > total)
        if output != nil {
            print("\(total) answers to \(constraints.count) schemas: \(stopped) stopped; \(places) masks compared, \(wrongMasks) wrong")
        }
    }

    /// The mask at every place of an answer beside what single bytes say of every token.
    static func wrongMasks(
        _ tokens: [Int32], _ machine: ConstraintMachine, _ other: ConstraintMachine, _ ends: [Int32]
    ) -> (places: Int, wrong: Int) {
        var (matcher, byHand) = (ConstraintMatcher(machine), ConstraintMatcher(other))
        var wrong = 0
        for place in 0...tokens.count {
            let mask = matcher.mask()
            for id in 0..<Int32(machine.vocabulary.count) {
                let isAllowed: Bool
                if ends.contains(id) {
                    isAllowed = byHand.isAccepting
                } else if let bytes = machine.vocabulary.bytes(of: id) {
                    var next = byHand
                    isAllowed = next.advance(bytes)
                } else {
                    isAllowed = false
                }
                if mask.contains(id) != isAllowed { wrong += 1 }
            }
            guard place < tokens.count else { break }
            let bytes = machine.vocabulary.bytes(of: tokens[place]) ?? []
            if !matcher.advance(token: tokens[place]) || !byHand.advance(bytes) { wrong += 1 }
        }
        return (tokens.count + 1, wrong)
    }
}
