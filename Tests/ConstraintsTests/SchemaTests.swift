import Constraints
import Testing

@Suite struct SchemaTests {
    @Test(arguments: [
        (#"{"type":"null"}"#, ["null"], ["nul", "true", "", "nulll"]),
        (#"{"type":["boolean","null"]}"#, ["true", "false", "null"], ["0", "\"true\""]),
        (#"{"type":"integer"}"#, ["0", "-7", "120"], ["1.0", "-0", "01", "1e3", "\"1\""]),
        (#"{"type":"number"}"#, ["0", "-7.25", "1.50", "6.02e23"], ["-0", ".5", "1.", "+1"]),
        (#"{"type":"integer","minimum":-3,"exclusiveMaximum":12}"#, ["-3", "-1", "0", "9", "11"], ["-4", "12", "-30", "100"]),
        (#"{"type":"number","exclusiveMinimum":0.05,"maximum":1.5}"#, ["0.051", "0.1", "1", "1.5", "1.50"], ["0.05", "0.050", "0.0499", "1.51", "2", "0"]),
        (#"{"multipleOf":0.25,"type":"number","minimum":0}"#, ["0.25", "1.5", "3", "10.750"], ["0.3", "0.255", "-1"]),
        (#"{"type":"integer","multipleOf":7}"#, ["0", "7", "-14", "700"], ["1", "8", "701"]),
        (#"{"type":"string"}"#, [#""""#, #""é日🙂""#, #""a\n\"\\\/\u001f""#], [#"""#, "\"\n\"", #""\x""#, #""\ud800""#]),
        (#"{"type":"string","minLength":2,"maxLength":3}"#, [#""éé""#, #""🙂🙂🙂""#, #""\n\n""#], [#""é""#, #""abcd""#]),
        (#"{"type":"string","pattern":"^a+b?$"}"#, [#""a""#, #""aab""#], [#""b""#, #""abb""#, #""""#]),
        (#"{"type":"string","pattern":"b\"","maxLength":3}"#, [#""b\"""#, #""ab\"""#], [#""b""#, #""aab\"""#]),
        (#"{"enum":["x",1,null,[1,{"a":true}]]}"#, [#""x""#, "1", "null", #"[1,{"a":true}]"#], ["2", #""y""#, "[1]"]),
        (#"{"const":1.5}"#, ["1.5"], ["1.50", "1"]),
        (#"{"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":2}"#, ["[1]", "[1,2]"], ["[]", "[1,2,3]", "[1,]"]),
        (#"{"type":"array","prefixItems":[{"const":1},{"const":2}],"items":false}"#, ["[]", "[1]", "[1,2]"], ["[2]", "[1,2,3]"]),
        (#"{"type":"array","items":{"enum":[1,2,3]},"uniqueItems":true,"minItems":2}"#, ["[1,2]", "[3,1,2]"], ["[1]", "[1,1]", "[1,2,3,1]"]),
        (#"{"type":"array","items":{"type":"integer"},"contains":{"const":7},"maxContains":1}"#, ["[7]", "[1,7]"], ["[1]", "[7,7]"]),
        (#"{"type":"array","contains":{"const":7},"items":{"enum":[1,7]},"minContains":2}"#, ["[7,7]", "[7,1,7,7]"], ["[7]", "[1,7,1]"]),
    ])
    func values(_ schema: String, _ valid: [String], _ invalid: [String]) throws {
        let constraint = try Constraint(jsonSchema: schema)
        for text in valid { #expect(constraint.accepts(text), "\(schema) takes \(text)") }
        for text in invalid { #expect(!constraint.accepts(text), "\(schema) refuses \(text)") }
    }

    static let person = """
        {"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0},"friend":{"$ref":"#"}},
        "required":["name"]}
        """

    @Test func objectsKeepTheOrder() throws {
        let constraint = try Constraint(jsonSchema: Self.person)
        for text in [#"{"name":"A"}"#, #"{"name":"A","age":3}"#, #"{"name":"A","friend":{"name":"B","friend":{"name":"C"}}}"#] {
            #expect(constraint.accepts(text), "\(text)")
        }
        for text in ["{}", #"{"age":3}"#, #"{"age":3,"name":"A"}"#, #"{"name":"A","x":1}"#, #"{"name":"A",}"#, #"{"name":"A","name":"B"}"#, #"{ "name":"A"}"#] {
            #expect(!constraint.accepts(text), "\(text)")
        }
    }

    @Test func anyOrder() throws {
        var options = SchemaOptions()
        options.anyPropertyOrder = true
        options.undeclaredProperties = true
        options.whitespace = .free(maximumRun: 2)
        let constraint = try Constraint(jsonSchema: Self.person, options: options)
        for text in [#"{"age":3, "name":"A"}"#, "{ \"x\" : [1 , 2],\n \"name\":\"A\" }", #"{"name":"A","friend":{"age":1,"name":"B"},"nam":0}"#] {
            #expect(constraint.accepts(text), "\(text)")
        }
        for text in ["{}", #"{"age":3}"#, #"{"name":"A","name":"B"}"#, "{   \"name\":\"A\"}", #"{"name":"A","age":-1}"#] {
            #expect(!constraint.accepts(text), "\(text)")
        }
    }

    /// What is required must also fit where it is nested as deep as can be.
    @Test func recursionEndsInTime() throws {
        for anyOrder in [false, true] {
            var options = SchemaOptions()
            options.anyPropertyOrder = anyOrder
            var limits = ConstraintLimits()
            limits.nesting = 6
            let schema = """
                {"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"a":{"$ref":"#/$defs/node"},"b":{"anyOf":[{"type":"null"},
                {"type":"array","items":{"$ref":"#/$defs/node"},"minItems":1}]},"c":{"$ref":"#/$defs/leaf"}},"required":["b","c"]},
                "leaf":{"type":"array","prefixItems":[{"type":"array","prefixItems":[{"type":"null"}],"minItems":1,"items":false}],"minItems":1,"items":false}}}
                """
            let constraint = try Constraint(jsonSchema: schema, options: options, limits: limits)
            var random = Lottery(seed: 5)
            for _ in 0..<200 {
                let walk = randomWalk(SmallVocabulary.machine(constraint), &random, limit: 400)
                #expect(walk != .deadEnd)
            }
        }
    }

    @Test(arguments: [
        (#"{"allOf":[{"type":"integer","minimum":3},{"maximum":5}]}"#, ["3", "5"], ["2", "6"]),
        (#"{"type":"integer","not":{"enum":[1,2]},"minimum":0,"maximum":3}"#, ["0", "3"], ["1", "2"]),
        (#"{"oneOf":[{"type":"integer","multipleOf":2},{"type":"integer","multipleOf":3}]}"#, ["2", "3", "4"], ["6", "12", "5"]),
        (#"{"oneOf":[{"type":"object","properties":{"a":{"const":1}},"required":["a"],"additionalProperties":false},{"type":"object","properties":{"b":{}},"required":["b"],"additionalProperties":false}]}"#,
            [#"{"a":1}"#, #"{"b":[]}"#], [#"{"a":1,"b":2}"#, "{}"]),
        (#"{"type":"object","properties":{"a":{},"b":{}},"additionalProperties":false,"oneOf":[{"required":["a"]},{"required":["b"]}]}"#,
            [#"{"a":1}"#, #"{"b":[]}"#], [#"{"a":1,"b":2}"#, "{}", #"{"c":1}"#]),
        (##"{"allOf":[{"$ref":"#/$defs/base"}],"properties":{"b":{}},"unevaluatedProperties":false,"$defs":{"base":{"type":"object","properties":{"a":{}}}}}"##,
            ["{}", #"{"a":1}"#, #"{"b":2,"a":1}"#], [#"{"c":1}"#, #"{"a":1,"c":1}"#]),
        (#"{"type":"object","properties":{"k":{"enum":["x","y"]},"v":true},"required":["k","v"],"if":{"properties":{"k":{"const":"x"}}},"then":{"properties":{"v":{"type":"integer"}}},"else":{"properties":{"v":{"type":"null"}}}}"#,
            [#"{"k":"x","v":1}"#, #"{"k":"y","v":null}"#], [#"{"k":"x","v":null}"#, #"{"k":"y","v":1}"#]),
        (#"{"type":"object","patternProperties":{"^n_":{"type":"integer"}},"additionalProperties":{"type":"null"},"maxProperties":2}"#,
            ["{}", #"{"n_1":1}"#, #"{"n_1":1,"x":null}"#], [#"{"n_1":null}"#, #"{"x":1}"#, #"{"a":null,"b":null,"c":null}"#]),
        (#"{"type":"object","propertyNames":{"maxLength":2},"minProperties":1}"#, [#"{"ab":1}"#], ["{}", #"{"abc":1}"#]),
        (#"{"type":"object","properties":{"a":{},"b":{}},"dependentRequired":{"a":["b"]}}"#, ["{}", #"{"b":1}"#, #"{"a":1,"b":2}"#], [#"{"a":1}"#]),
    ])
    func combinations(_ schema: String, _ valid: [String], _ invalid: [String]) throws {
        let constraint = try Constraint(jsonSchema: schema)
        for text in valid { #expect(constraint.accepts(text), "\(schema) takes \(text)") }
        for text in invalid { #expect(!constraint.accepts(text), "\(schema) refuses \(text)") }
    }

    @Test func jsonObject() throws {
        let constraint = try Constraint.jsonObject()
        for text in ["{}", #"{"a":{"b":[1,2,{"c":null}]},"d":-1.5e3}"#] { #expect(constraint.accepts(text), "\(text)") }
        for text in ["[]", "1", "{\"a\"}", "{\"a\":01}"] { #expect(!constraint.accepts(text), "\(text)") }
    }

    @Test(arguments: [
        (#"{"type":"object","properties":{"a":{"dependencies":{}}}}"#, ConstraintError.Code.unsupported, "#/properties/a/dependencies"),
        (#"{"typ":"object"}"#, .unsupported, "#/typ"),
        (#"{"type":"text"}"#, .malformed, "#/type"),
        (#"{"minimum":"3"}"#, .malformed, "#/minimum"),
        (#"{"pattern":"(a"}"#, .malformed, "#/pattern"),
        (#"{"pattern":"(a)\\1"}"#, .unsupported, "#/pattern"),
        (#"{"format":"color"}"#, .unsupported, "#/format"),
        (##"{"$ref":"#/$defs/x"}"##, .unresolvedReference, "#/$ref"),
        (##"{"$ref":"#"}"##, .unresolvedReference, "#"),
        (#"{"$ref":"https://example.com/s"}"#, .unresolvedReference, "#/$ref"),
        (#"{"type":"array","uniqueItems":true}"#, .unsupported, "#/uniqueItems"),
        (#"{"type":"integer","minimum":3,"maximum":2}"#, .contradictory, ""),
        (##"{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}"##, .contradictory, ""),
        (#"{"type":"array","items":{"type":"null"},"minItems":10000000}"#, .tooComplex, ""),
        (#"{"not":{}}"#, .contradictory, ""),
        ("{", .malformed, ""),
    ])
    func errors(_ schema: String, _ code: ConstraintError.Code, _ path: String) {
        var found: ConstraintError? = nil
        do {
            _ = try Constraint(jsonSchema: schema)
        } catch {
            found = error
        }
        #expect(found?.code == code, "\(schema): \(found.map { "\($0)" } ?? "no error")")
        #expect(found?.path == path, "\(schema): \(found.map { "\($0)" } ?? "no error")")
    }
}
