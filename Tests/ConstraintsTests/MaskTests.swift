import Constraints
import Testing

/// Masks against trying every token, byte by byte, in a machine that has no tree and no masks of its own.
@Suite struct MaskTests {
    static let schemas = [
        #"{"type":"object","properties":{"foo":{"type":"string"},"bar":{"type":"array","items":{"type":"integer"}}},"required":["foo"]}"#,
        #"{"type":"string","minLength":2,"maxLength":45}"#,
        #"{"type":"string","maxLength":3}"#,
        #"{"type":"string","pattern":"^[a-c\"]+é?$"}"#,
        #"{"anyOf":[{"type":"string"},{"type":"string","maxLength":3},{"type":"number"}]}"#,
        #"{"type":"object","additionalProperties":{"type":["boolean","null"]},"properties":{"foo":{"type":"number"}}}"#,
        ##"{"$ref":"#/$defs/t","$defs":{"t":{"anyOf":[{"type":"null"},{"type":"array","items":{"$ref":"#/$defs/t"},"maxItems":2}]}}}"##,
        #"{}"#,
    ]

    func check(_ constraint: Constraint, limit: Int, _ name: String) {
        let vocabulary = SmallVocabulary.vocabulary
        let machine = SmallVocabulary.machine(constraint)
        let other = SmallVocabulary.machine(constraint)
        var random = Lottery(seed: 9)
        var places: [(ConstraintMatcher, ConstraintMatcher)] = [(ConstraintMatcher(machine), ConstraintMatcher(other))]
        var wrong = 0
        var checked = 0
        while let place = places.popLast(), checked < limit {
            checked += 1
            var matcher = place.0
            let mask = matcher.mask()
            var allowed: [Int32] = []
            for id in 0..<Int32(vocabulary.count) {
                var byHand = place.1
                let isAllowed: Bool
                if vocabulary.endTokens.contains(id) {
                    isAllowed = byHand.isAccepting
                } else if let bytes = vocabulary.bytes(of: id) {
                    isAllowed = byHand.advance(bytes)
                } else {
                    isAllowed = false
                }
                if mask.contains(id) != isAllowed { wrong += 1 }
                if isAllowed { allowed.append(id) }
            }
            if allowed.isEmpty { wrong += 1 }
            for _ in 0..<3 {
                let id = allowed[random.below(allowed.count)]
                var next = place
                guard let bytes = vocabulary.bytes(of: id) else { continue }
                if next.0.advance(token: id), next.1.advance(bytes) { places.insert(next, at: random.below(places.count + 1)) }
            }
        }
        #expect(wrong == 0, "\(name)")
        #expect(checked > 10, "\(name)")
    }

    @Test(arguments: schemas) func equalBruteForce(_ schema: String) throws {
        check(try Constraint(jsonSchema: schema), limit: 150, schema)
        var options = SchemaOptions()
        options.anyPropertyOrder = true
        options.undeclaredProperties = true
        options.whitespace = .free(maximumRun: 3)
        check(try Constraint(jsonSchema: schema, options: options), limit: 150, schema)
    }

    @Test func equalBruteForceForGrammars() throws {
        check(try Constraint(regularExpression: #"(foo|bar)+\d{2,4}( the cat|é)*"#), limit: 100, "expression")
        check(try Constraint(grammar: #"root ::= "(" root ")" | [a-c]* ("," root)?"#), limit: 100, "grammar")
    }

    /// A machine that forgets at every turn gives the same masks.
    @Test func forgettingChangesNothing() throws {
        let constraint = try Constraint(jsonSchema: Self.schemas[5])
        let small = ConstraintMachine(constraint, SmallVocabulary.vocabulary, maximumPositions: 1, maximumMaskBytes: 100)
        let large = SmallVocabulary.machine(constraint)
        var random = Lottery(seed: 3)
        for _ in 0..<20 {
            var (a, b) = (ConstraintMatcher(small), ConstraintMatcher(large))
            for _ in 0..<60 {
                let (mask, other) = (a.mask(), b.mask())
                let same = mask.words == other.words
                #expect(same)
                var ids: [Int32] = []
                mask.forEach { ids.append($0) }
                let id = ids[random.below(ids.count)]
                let (first, second) = (a.advance(token: id), b.advance(token: id))
                #expect(first && second)
            }
        }
    }

    @Test func copiesGoBack() throws {
        let machine = SmallVocabulary.machine(try Constraint(jsonSchema: Self.schemas[0]))
        var matcher = ConstraintMatcher(machine)
        let begun = matcher.advance("{\"foo\":\"a".utf8)
        #expect(begun)
        let copy = matcher
        let results = [
            matcher.advance("\",\"bar\":[1".utf8), matcher.advance("x".utf8), matcher.advance("]}".utf8), matcher.isFinished,
        ]
        #expect(results == [true, false, true, true])
        matcher = copy
        let again = matcher.advance("b\"}".utf8)
        #expect(again && matcher.isFinished)
    }

    @Test func forcedBytes() throws {
        let schema = #"{"type":"object","properties":{"name":{"const":"Ada"},"age":{"type":"integer"}},"required":["name","age"]}"#
        var matcher = ConstraintMatcher(SmallVocabulary.machine(try Constraint(jsonSchema: schema)))
        #expect(String(decoding: matcher.forcedBytes(), as: UTF8.self) == #"{"name":"Ada","age":"#)
        let determined = matcher.advance(matcher.forcedBytes())
        #expect(determined)
        #expect(matcher.forcedBytes().isEmpty)
        let digit = matcher.advance("4".utf8)
        #expect(digit)
        #expect(matcher.forcedBytes().isEmpty && !matcher.isAccepting)
        let closed = matcher.advance("}".utf8)
        #expect(closed && matcher.isFinished)
    }
}
