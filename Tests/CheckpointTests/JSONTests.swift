import Testing

import Checkpoint

@Suite struct JSONReading {
    @Test func wholeDocument() throws {
        let json = try JSONValue.parse(
            "\u{FEFF} {\"a\": [1, -2.5, 1e3, true, false, null, \"x\"], \"b\": {\"c\": \"é\\u00e9\\n\\ud83d\\ude42\"}, \"a2\": {}, \"e\": []}\n", file: "t.json")
        #expect(json["a"]?.array?.count == 7)
        #expect(json["a"]?[0]?.int == 1)
        #expect(json["a"]?[1]?.double == -2.5)
        #expect(json["a"]?[1]?.int == nil)
        #expect(json["a"]?[2]?.int == 1000)
        #expect(json["a"]?[3]?.bool == true)
        #expect(json["a"]?[5]?.isNull == true)
        #expect(json["a"]?[7] == nil)
        #expect(json["a"]?[-1] == nil)
        #expect(json["b"]?["c"]?.string == "éé\n🙂")
        #expect(json["missing"] == nil)
        #expect(json["a"]?["b"] == nil)
        #expect(json.object?.keys == ["a", "b", "a2", "e"])
    }

    @Test func lastOfEqualKeysCounts() throws {
        let json = try JSONValue.parse(#"{"a": 1, "b": 2, "a": 3}"#, file: "t.json")
        #expect(json.object?.keys == ["a", "b"])
        #expect(json["a"]?.int == 3)
    }

    @Test func keysAreComparedByBytes() throws {
        let composed = "\u{E9}"
        let decomposed = "e\u{301}"
        let json = try JSONValue.parse("{\"\(composed)\": 1, \"\(decomposed)\": 2}", file: "t.json")
        #expect(json.object?.count == 2)
        #expect(json[composed]?.int == 1)
        #expect(json[decomposed]?.int == 2)
        var many = (0..<100).map { "\"k\($0)\": \($0)" }
        many.append("\"\(decomposed)\": 7")
        let large = try JSONValue.parse("{" + many.joined(separator: ",") + "}", file: "t.json")
        #expect(large["k99"]?.int == 99)
        #expect(large[decomposed]?.int == 7)
        #expect(large[composed] == nil)
    }

    @Test func nulBytesInStringsSurvive() throws {
        let json = try JSONValue.parse(#""a\u0000b""#, file: "t.json")
        #expect(Array(json.string!.utf8) == [0x61, 0, 0x62])
    }

    @Test(arguments: [
        ("", "line 1, column 1 (byte 0): found the end of the file, expected a value."),
        ("   ", "line 1, column 4 (byte 3): found the end of the file, expected a value."),
        ("{", "line 1, column 2 (byte 1): found the end of the file, expected a key in double quotes."),
        ("{\"a\"", "line 1, column 5 (byte 4): found the end of the file, expected ':' after a key."),
        ("{\"a\":1", "line 1, column 7 (byte 6): found the end of the file, expected ',' or '}' after a member of an object."),
        ("{\"a\":1,}", "line 1, column 8 (byte 7): found '}', expected a key in double quotes."),
        ("{a:1}", "line 1, column 2 (byte 1): found 'a', expected a key in double quotes."),
        ("[1,\n 2,]", "line 2, column 4 (byte 7): found ']', expected a value."),
        ("[1 2]", "line 1, column 4 (byte 3): found '2', expected ',' or ']' after an element of an array."),
        ("\"abc", "line 1, column 1 (byte 0): the string that begins here does not end."),
        ("\"a\nb\"", "line 1, column 3 (byte 2): a string holds the control character 0x0A, which must be written as an escape."),
        ("\"\\x\"", "line 1, column 2 (byte 1): unknown escape in a string."),
        ("\"\\u12g4\"", "line 1, column 6 (byte 5): found 'g', expected four hexadecimal digits after \\u."),
        ("\"\\ud800\"", "line 1, column 2 (byte 1): an unpaired surrogate in a string."),
        ("\"\\udc00\"", "line 1, column 2 (byte 1): an unpaired surrogate in a string."),
        ("\"\\ud800\\u0041\"", "line 1, column 2 (byte 1): an unpaired surrogate in a string."),
        ("01", "line 1, column 1 (byte 0): a number begins with a superfluous 0."),
        ("-", "line 1, column 2 (byte 1): found the end of the file, expected a digit."),
        ("1.", "line 1, column 3 (byte 2): found the end of the file, expected a digit after the decimal point."),
        ("1e+", "line 1, column 4 (byte 3): found the end of the file, expected a digit in the exponent."),
        ("1e999", "line 1, column 1 (byte 0): the number is too large."),
        ("NaN", "line 1, column 1 (byte 0): found 'N', expected a value."),
        ("tru", "line 1, column 1 (byte 0): found 't', expected a value."),
        ("1 1", "line 1, column 3 (byte 2): found '1' after the end of the JSON value."),
        ("\u{0}", "line 1, column 1 (byte 0): found byte 0x00, expected a value."),
        ("// x\n1", "line 1, column 1 (byte 0): found '/', expected a value."),
    ])
    func sentences(text: String, sentence: String) {
        #expect(throws: CheckpointError(.malformedJSON, file: "config.json", sentence)) {
            try JSONValue.parse(text, file: "config.json")
        }
    }

    @Test(arguments: [
        [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xF4, 0x90, 0x80, 0x80, 0x22],
        [0x22, 0xE2, 0x82], [0x22, 0xE2, 0x82, 0x22], [0x22, 0xF0, 0x8F, 0xBF, 0xBF, 0x22], [0x22, 0x5C, 0x6E, 0x80, 0x22],
    ] as [[UInt8]])
    func invalidUTF8(bytes: [UInt8]) {
        #expect(throws: CheckpointError.self) { try JSONValue.parse(bytes, file: "t.json") }
    }

    @Test func depthIsLimited() throws {
        let deep = String(repeating: "[", count: 128) + String(repeating: "]", count: 128)
        _ = try JSONValue.parse(deep, file: "t.json")
        let bomb = [UInt8](repeating: 0x5B, count: 1_000_000)
        let error = #expect(throws: CheckpointError.self) { try JSONValue.parse(bomb, file: "t.json") }
        #expect(error?.message.hasSuffix("nested more than 128 deep.") == true)
        let objects = String(repeating: "{\"a\":", count: 100_000)
        #expect(throws: CheckpointError.self) { try JSONValue.parse(objects, file: "t.json") }
    }

    @Test(arguments: [
        ("0", 0), ("-1", -1), ("9223372036854775807", Int.max), ("-9223372036854775808", Int.min), ("1e3", 1000), ("2.0", 2), ("-4.5e1", -45),
        ("9223372036854775808", nil), ("1e19", nil), ("0.5", nil), ("1e-1", nil),
    ] as [(String, Int?)])
    func integers(text: String, expected: Int?) throws {
        #expect(try JSONValue.parse(text, file: "t.json").int == expected)
    }

    /// Halfway cases, limits of the range, subnormal numbers, more digits than a double has; compared with the standard library.
    @Test(arguments: [
        "0.1", "0.3", "1e-6", "3.141592653589793", "2.2250738585072014e-308", "2.2250738585072011e-308", "4.9e-324", "2.4703282292062327e-324",
        "2.4703282292062328e-324", "1e-400", "1.7976931348623157e308", "1.7976931348623158e308", "9007199254740993", "9007199254740992.99999",
        "9007199254740993.0000000000000000000000000000000000000001", "123456789012345678901234567890", "1e23", "8.5e22", "-0.0", "1e22", "1e-22",
        "0.000000000000000000000000000000000000000000000000000001", "6.02214076e23", "10000000000000000000019884624838656", "5e-324", "3e-324",
        "1448997445238699", "1.00000000000000011102230246251565404236316680908203125", "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203126",
    ])
    func decimals(text: String) throws {
        let value = try JSONValue.parse(text, file: "t.json").double
        #expect(value?.bitPattern == Double(text)?.bitPattern)
    }

    @Test func randomDecimals() throws {
        var random = TestRandom(seed: 1)
        for _ in 0..<20_000 {
            var text = random.next() % 2 == 0 ? "-" : ""
            text += "\(random.next() % 10)."
            for _ in 0..<(1 + random.next() % 25) { text += "\(random.next() % 10)" }
            text += "e\(Int(random.next() % 640) - 330)"
            guard let expected = Double(text), expected.isFinite else { continue }
            #expect(try JSONValue.parse(text, file: "t.json").double?.bitPattern == expected.bitPattern, "\(text)")
        }
        for _ in 0..<20_000 {
            let double = Double(bitPattern: random.next())
            guard double.isFinite else { continue }
            #expect(try JSONValue.parse("\(double)", file: "t.json").double?.bitPattern == double.bitPattern)
        }
    }

    @Test func writing() throws {
        let json: JSONValue = ["a": [1, 2.5, true, nil, "q\"\\\n\u{1}é🙂/"], "b": [:], "c": []]
        #expect(json.serialized() == #"{"a":[1,2.5,true,null,"q\"\\\n\u0001é🙂/"],"b":{},"c":[]}"#)
        #expect(try JSONValue.parse(json.serialized(), file: "t.json") == json)
        #expect(try JSONValue.parse(json.serialized(indent: 2), file: "t.json") == json)
        let fractions = try JSONValue.parse("[30.0, 30, 1e3, 0.5, 1e-06, -0.0]", file: "t.json")
        #expect(fractions.serialized() == "[30,30,1000,0.5,1e-06,-0.0]" && fractions[0] == fractions[1])
        #expect(fractions.serialized(keepsFractions: true) == "[30.0,30,1000.0,0.5,1e-06,-0.0]")
        #expect((["a": [1, []]] as JSONValue).serialized(indent: 2) == "{\n  \"a\": [\n    1,\n    []\n  ]\n}")
    }

    /// Damaged documents are refused or read, never a trap.
    @Test func damagedDocuments() throws {
        let document = Array(#"{"a": [1, -2.5e-3, true, null, "x\u00e9\ud83d\ude42é"], "b": {"c": [[], {}]}, "": 18446744073709551616}"#.utf8)
        for length in 0..<document.count {
            #expect(throws: CheckpointError.self) { try JSONValue.parse(Array(document[..<length]), file: "t.json") }
        }
        var random = TestRandom(seed: 2)
        for _ in 0..<20_000 {
            var damaged = document
            for _ in 0..<(1 + random.next() % 4) { damaged[Int(random.next() % UInt64(document.count))] = UInt8(truncatingIfNeeded: random.next()) }
            if let read = try? JSONValue.parse(damaged, file: "t.json") {
                #expect(try JSONValue.parse(read.serialized(), file: "t.json") == read)
            }
        }
    }
}

/// SplitMix64.
struct TestRandom: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
