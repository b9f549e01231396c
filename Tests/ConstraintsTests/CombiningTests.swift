import Checkpoint
import Constraints
import Testing

/// Constraints put together, against their parts.
@Suite struct CombiningTests {
    static let text = "(?![ \\n]*[{\\[])[\\s\\S]+"

    static func parts() throws -> [Constraint] {
        [
            try Constraint(regularExpression: text), try Constraint(jsonSchema: MaskTests.schemas[0]), try Constraint(jsonSchema: MaskTests.schemas[6]),
            try Constraint(literal: "[\"é\"]"),
        ]
    }

    /// A text fits the union exactly if it fits a part: texts that do, and the same with a byte changed.
    @Test func anyOfIsTheUnion() throws {
        let parts = try Self.parts()
        let union = try Constraint.anyOf(parts)
        var random = Lottery(seed: 4)
        var (fitting, others, wrong) = (0, 0, 0)
        for round in 0..<400 {
            guard case .finished(var text) = randomWalk(SmallVocabulary.machine(parts[round % parts.count]), &random, limit: 30) else { continue }
            if round % 2 == 1, !text.isEmpty { text[random.below(text.count)] = UInt8(random.below(128)) }
            let string = String(decoding: text, as: UTF8.self)
            guard Array(string.utf8) == text else { continue }
            let expected = parts.contains { $0.accepts(string) }
            if union.accepts(string) != expected { wrong += 1 }
            if expected { fitting += 1 } else { others += 1 }
        }
        #expect(wrong == 0)
        #expect(fitting > 100 && others > 10, "\(fitting), \(others)")
    }

    @Test func masksEqualBruteForce() throws {
        let parts = try Self.parts()
        let masks = MaskTests()
        masks.check(try .anyOf(parts), limit: 200, "any of")
        masks.check(try .anyOf([parts[0], parts[1]]), limit: 200, "text or object")
        masks.check(try .sequence([parts[1], Constraint(literal: "\n"), parts[0]]), limit: 150, "sequence")
        masks.check(try .list(of: parts[2], separator: Constraint(literal: ", "), maximum: 4), limit: 150, "list")
        masks.check(parts[0], limit: 60, "text")
    }

    @Test func noWalkIsStuck() throws {
        let parts = try Self.parts()
        var random = Lottery(seed: 8)
        var finished = 0
        for constraint in [
            try Constraint.anyOf(parts), try .sequence([parts[1], parts[2], parts[1]]),
            try .list(of: .anyOf([parts[1], parts[2]]), separator: Constraint(literal: ","), maximum: 3),
        ] {
            let machine = SmallVocabulary.machine(constraint)
            for _ in 0..<100 {
                let walk = randomWalk(machine, &random, limit: 60)
                #expect(walk != .deadEnd)
                if case .finished(let text) = walk {
                    finished += 1
                    #expect(constraint.accepts(String(decoding: text, as: UTF8.self)))
                }
            }
        }
        #expect(finished > 60)
    }

    @Test func sequencesAndLists() throws {
        let item = try Constraint(regularExpression: "[ab]{1,2}")
        let list = try Constraint.sequence([
            Constraint(literal: "["), .list(of: item, separator: Constraint(literal: ", "), maximum: 3), Constraint(literal: "]"),
        ])
        for text in ["[a]", "[ab, b]", "[a, b, ba]"] { #expect(list.accepts(text), "\(text)") }
        for text in ["[]", "[a, ]", "[a,b]", "[a, b, a, b]", "[a", "[aba]"] { #expect(!list.accepts(text), "\(text)") }
        // A rule that calls itself, behind and before others.
        let tree = try Constraint(jsonSchema: MaskTests.schemas[6])
        let twice = try Constraint.sequence([tree, tree])
        for text in ["nullnull", "[[],null][]", "null[[null]]"] { #expect(twice.accepts(text), "\(text)") }
        for text in ["null", "[[]", "[]]"] { #expect(!twice.accepts(text), "\(text)") }
        #expect(throws: ConstraintError.self) { try Constraint.list(of: item, separator: item, maximum: 0) }
        #expect(throws: ConstraintError.self) { try Constraint.anyOf([]) }
    }

    /// Free text may be anything and may end anywhere, but not begin as it must not.
    @Test func freeText() throws {
        let text = try Constraint(regularExpression: Self.text)
        for text1 in ["a", " ", "\n\n", "a{", "1 [", "é", "🙂 {\"a\": 1}"] { #expect(text.accepts(text1), "\(text1)") }
        for text1 in ["", "{", "[x", " {a", "\n [\n"] { #expect(!text.accepts(text1), "\(text1)") }
        // Every token may follow.
        var matcher = ConstraintMatcher(SmallVocabulary.machine(text))
        let begun = matcher.advance("a".utf8)
        let mask = matcher.mask()
        var missing = 0
        for id in 0..<Int32(SmallVocabulary.vocabulary.count) {
            guard let bytes = SmallVocabulary.vocabulary.bytes(of: id), String(validating: bytes, as: UTF8.self) != nil else { continue }
            if !mask.contains(id) { missing += 1 }
        }
        #expect(begun && missing == 0 && mask.contains(SmallVocabulary.end))
    }

    @Test func spacedJSON() throws {
        var options = SchemaOptions()
        options.whitespace = .spaced
        let schema = #"{"type":"object","properties":{"a":{"type":"array","items":{"type":"integer"}},"b":{"type":"string"}},"required":["a"]}"#
        let constraint = try Constraint(jsonSchema: schema, options: options)
        for text in [#"{"a": [1, 2], "b": "x,y:z"}"#, #"{"a": []}"#] { #expect(constraint.accepts(text), "\(text)") }
        for text in [#"{"a":[1]}"#, #"{"a": [1,2]}"#, #"{"a": [1 , 2]}"#, #"{ "a": []}"#] { #expect(!constraint.accepts(text), "\(text)") }
    }
}
