import Checkpoint
import Constraints
import Testing

/// What compiling takes grows with the texts of a schema, not with their square: a schema can come from anybody.
@Suite struct LongTextTests {
    @Test func fewButLong() throws {
        let long = JSONValue.string(String(repeating: "a", count: 15_000))
        _ = try Constraint(jsonSchema: ["anyOf": [["const": long], ["type": "string", "pattern": "^b{3}$"]]])
    }

    @Test func many() {
        let texts = (0..<5000).map { JSONValue.string(String(repeating: "x\($0)", count: 20)) }
        #expect(throws: ConstraintError.self) { try Constraint(jsonSchema: ["anyOf": .array(texts.map { ["const": $0] })]) }
    }
}
