import Constraints
import Testing

@Suite struct GrammarTests {
    @Test func arithmetic() throws {
        let constraint = try Constraint(grammar: "root ::= sum\nsum ::= term ([+\\-] term)*\nterm ::= [0-9]{1,3} | \"(\" sum \")\"")
        for text in ["1", "12+3", "(1-(2+345))+6"] { #expect(constraint.accepts(text), "\(text)") }
        for text in ["", "+", "1+", "(1", "1234"] { #expect(!constraint.accepts(text), "\(text)") }
    }

    /// Recursion at the end of a rule stacks nothing.
    @Test func longLists() throws {
        let constraint = try Constraint(grammar: "root ::= item | item \",\" root\nitem ::= [a-z]+ # a comment\n")
        #expect(constraint.accepts(Array(repeating: "ab", count: 5000).joined(separator: ",")))
    }

    @Test(arguments: [
        ("root ::= ", true), ("root ::= \"a\" |", true), ("root ::= (\n\"a\"\n| \"b\")", true), ("root ::= \"\\x41\\u00e9\\U0001F642\"", true),
        ("root ::= [^\\n\\]]+ .", true), ("root ::= a\na ::= \"x\"{,3}", true), ("root ::= a", false), ("a ::= \"x\"", false), ("root = \"x\"", false),
        ("root ::= \"x", false), ("root ::= [a", false), ("root ::= (\"a\"", false), ("root ::= *", false), ("root ::= \"a\" root", false),
        ("root ::= root \"a\" | \"b\"", false), ("root ::= a\na ::= \"\" b\nb ::= a \"x\" | \"y\"", false), ("root ::= \"a\"\nroot ::= \"b\"", false),
        ("", false),
    ])
    func forms(_ grammar: String, _ isRight: Bool) {
        let compiled = try? Constraint(grammar: grammar)
        #expect((compiled != nil) == isRight, "\(grammar)")
    }
}
