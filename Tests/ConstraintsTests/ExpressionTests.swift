import Constraints
import Testing

@Suite struct ExpressionTests {
    @Test(arguments: [
        ("a|bc", ["a", "bc"], ["", "b", "abc"]),
        ("(?:ab)*c?", ["", "c", "ababc"], ["a", "cc"]),
        (#"\d{2,3}x{2}y{1,}"#, ["12xxy", "123xxyyy"], ["1xxy", "12xy", "1234xxy"]),
        (#"[^a-c\d]"#, ["d", "é", "🙂"], ["a", "5", ""]),
        (#"\u00e9\x41\u{1F642}"#, ["éA🙂"], ["eA🙂"]),
        ("[à-ÿ]+", ["éü"], ["e", "Ā"]),
        (#"\p{Lu}\p{Ll}+"#, ["Été", "Ab"], ["été", "A"]),
        ("^a$", ["a"], ["ab"]),
        (#"^(?=.*\d)(?=.*[a-z])[a-z\d]{3,5}$"#, ["a1b", "12a"], ["abc", "123", "a1"]),
        ("^(?!foo)[a-z]+$", ["bar", "fo"], ["foo", "foobar"]),
        ("a{3}?", ["aaa"], ["aa"]),
        ("{a}", ["{a}"], ["a"]),
        (".", ["x", "é"], ["\n", "\u{2028}", "xy"]),
        (#"\."#, ["."], ["x"]),
    ])
    func matches(_ expression: String, _ valid: [String], _ invalid: [String]) throws {
        let constraint = try Constraint(regularExpression: expression)
        for text in valid { #expect(constraint.accepts(text), "\(expression) takes \(text)") }
        for text in invalid { #expect(!constraint.accepts(text), "\(expression) refuses \(text)") }
    }

    /// Tables of properties are made once: a pattern of thousands compiles at once, where each took 15 ms.
    @Test func manyProperties() throws {
        let names = ["Lu", "Alphabetic", "White_Space", "gc=Nd"]
        let constraint = try Constraint(regularExpression: "[" + (0..<2000).map { "\\p{\(names[$0 % 4])}" }.joined() + "]")
        for text in ["A", "é", " ", "٣"] { #expect(constraint.accepts(text), "\(text)") }
        for text in ["-", "AA", ""] { #expect(!constraint.accepts(text), "\(text)") }
    }

    @Test(arguments: [
        ("(a", ConstraintError.Code.malformed), ("a)", .malformed), ("[a", .malformed), ("*", .malformed), ("a**", .malformed), ("a{3,2}", .malformed),
        (#"\"#, .malformed), (#"(a)\1"#, .unsupported), (#"\bword"#, .unsupported), ("(?<=a)b", .unsupported), ("a(?=b)", .unsupported),
        ("[b-a]", .malformed), (#"\p{Klingon}"#, .unsupported), ("a^b", .contradictory), ("(a|b)*a(a|b){40}", .tooComplex),
        ("(((a{1000}){1000}){1000})", .tooComplex), ("(){100000}", .tooComplex), (#"\ud800"#, .malformed),
    ])
    func errors(_ expression: String, _ code: ConstraintError.Code) {
        var found: ConstraintError? = nil
        do {
            _ = try Constraint(regularExpression: expression)
        } catch {
            found = error
        }
        #expect(found?.code == code, "\(expression): \(found.map { "\($0)" } ?? "no error")")
    }
}
