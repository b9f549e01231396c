import Checkpoint
import Constraints
import TestSupport
import Testing

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Damaged schemas, expressions and grammars: an error or a constraint that is never stuck. `GEMMA3N_FUZZ=250000` runs so many of each.
@Suite struct FuzzTests {
    static let count = getenv("GEMMA3N_FUZZ").flatMap { Int(String(cString: $0)) } ?? 300

    static var limits: ConstraintLimits {
        var limits = ConstraintLimits()
        limits.automatonStates = 1000
        limits.nodes = 20_000
        limits.work = 1_000_000
        return limits
    }

    static let pieces: [[UInt8]] = [
        "{\"", "\":", "\"$ref\":\"#\",", "\"not\":", "oneOf", "anyOf", "allOf", "9999999", "{3,5}", "{0,999}", "(", ")", "[", "]", "*", "::=", "|", "\"",
        "root", "\\", "true", "false", "{}", "[]", "-1", "1e300", "items", "properties", "required", "null", "^", "$", "?", "\n",
    ].map { Array($0.utf8) }

    /// Writes `count` damaged inputs and compiles them.
    func run(_ seeds: [[UInt8]], _ name: String, compile: (String, inout Lottery) throws -> Constraint) {
        var mutations = Mutations(seed: 17)
        var random = Lottery(seed: 18)
        var (compiled, stuck) = (0, 0)
        for _ in 0..<Self.count {
            var bytes = mutations.mutate(seeds[random.below(seeds.count)])
            if random.below(2) == 0 { bytes.insert(contentsOf: Self.pieces[random.below(Self.pieces.count)], at: random.below(bytes.count + 1)) }
            let text = String(decoding: bytes, as: UTF8.self)
            guard let constraint = try? compile(text, &random) else { continue }
            compiled += 1
            let machine = ConstraintMachine(constraint, SmallVocabulary.vocabulary, maximumPositions: 2000, maximumMaskBytes: 1 << 16)
            if randomWalk(machine, &random, limit: 20) == .deadEnd {
                stuck += 1
                Issue.record("\(name) is stuck: \(text)")
            }
        }
        #expect(compiled > Self.count / 100)
    }

    @Test func schemas() throws {
        let seeds = try SampleTests.schemas().filter { $0.schema.serialized().utf8.count < 2000 }.map { Array($0.schema.serialized().utf8) }
        run(seeds, "schema") { text, random in
            var options = SchemaOptions()
            options.anyPropertyOrder = random.below(2) == 0
            options.undeclaredProperties = random.below(2) == 0
            options.ignoresUnknownKeywords = true
            if random.below(3) == 0 { options.whitespace = .free(maximumRun: 2) }
            return try Constraint(jsonSchema: text, options: options, limits: Self.limits)
        }
    }

    @Test func expressions() {
        let seeds = [
            #"^(?=.*\d)[a-z\d]{3,5}$"#, #"(?:ab|c)*[^x-z]+\p{Lu}?"#, #"\u{1F642}|\x41{2,}"#, "a|b|(c(d(e)*)+)?", #"[\w.-]+@[\w-]+\.[a-z]{2,6}"#,
        ]
        run(seeds.map { Array($0.utf8) }, "expression") { text, _ in try Constraint(regularExpression: text, limits: Self.limits) }
    }

    @Test func grammars() {
        let seeds = [
            "root ::= sum\nsum ::= term ([+\\-] term)*\nterm ::= [0-9]{1,3} | \"(\" sum \")\"\n",
            "root ::= item | item \",\" root\nitem ::= [a-z]+ # c\n",
            "root ::= \"\\x41\" [^\\n]* (a | b)? .{2,3}\na ::= \"x\" root\nb ::= \"\"",
        ]
        run(seeds.map { Array($0.utf8) }, "grammar") { text, _ in try Constraint(grammar: text, limits: Self.limits) }
    }
}
