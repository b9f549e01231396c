import Checkpoint
import Gemma3nHost
import Testing

/// Schemas of Swift types, and values made of what a model wrote.
struct GuidedTests {
    struct Pet: Generable, Equatable {
        var name: String
        var age: Int?
        var tags: [String]
        var friends: [Pet]

        static var generationSchema: GenerationSchema {
            GenerationSchema(
                type: Pet.self, description: "an animal",
                properties: [
                    .init(name: "name", description: "what it is called", type: String.self, guides: [.pattern("[A-Z][a-z]*")]),
                    .init(name: "age", type: Int?.self, guides: [.range(0...30)]),
                    .init(name: "tags", type: [String].self, guides: [.maximumCount(3), .element(.anyOf(["small", "loud"]))]),
                    .init(name: "friends", type: [Pet].self),
                ])
        }

        init(_ content: GeneratedContent) throws {
            name = try content.value(forProperty: "name")
            age = try content.value(forProperty: "age")
            tags = try content.value(forProperty: "tags")
            friends = try content.value(forProperty: "friends")
        }

        var generatedContent: GeneratedContent {
            GeneratedContent(properties: ["name": name, "age": age, "tags": tags, "friends": friends])
        }
    }

    enum Nested {
        struct Pet: Generable {
            static var generationSchema: GenerationSchema {
                GenerationSchema(type: Pet.self, properties: [.init(name: "other", type: GuidedTests.Pet.self)])
            }
            init(_ content: GeneratedContent) throws {}
            var generatedContent: GeneratedContent { GeneratedContent(properties: [:]) }
        }
    }

    @Test func `a type becomes a schema that refers to itself`() throws {
        let expected = """
            {"$ref":"#/$defs/Pet","$defs":{"Pet":{"type":"object","description":"an animal","properties":{\
            "name":{"type":"string","pattern":"^(?:[A-Z][a-z]*)$","description":"what it is called"},\
            "age":{"type":"integer","minimum":0,"maximum":30},\
            "tags":{"type":"array","items":{"type":"string","enum":["small","loud"]},"maxItems":3},\
            "friends":{"type":"array","items":{"$ref":"#/$defs/Pet"}}},\
            "required":["name","tags","friends"],"additionalProperties":false}}}
            """
        #expect(Pet.generationSchema.json.serialized() == expected)
    }

    @Test func `two types of one name stand apart`() throws {
        let json = Nested.Pet.generationSchema.json
        #expect(json["$ref"]?.string == "#/$defs/Pet")
        #expect(json["$defs"]?["Pet"]?["properties"]?["other"]?["$ref"]?.string == "#/$defs/Pet2")
        #expect(json["$defs"]?["Pet2"]?["description"]?.string == "an animal")
    }

    @Test func `a value goes to text and back`() throws {
        let text = #"{"name":"Rex","age":null,"tags":["loud"],"friends":[{"name":"Tom","age":3,"tags":[],"friends":[]}]}"#
        let pet = try Pet(GeneratedContent(json: text))
        #expect(pet.friends[0].age == 3)
        #expect(pet.age == nil)
        #expect(pet.generatedContent.jsonString == text)
    }

    @Test(arguments: [
        (#"{"name":7,"tags":[],"friends":[]}"#, "The generated value is a number, expected a string."),
        (#"{"tags":[],"friends":[]}"#, "The generated object has no member 'name'; it has tags, friends."),
        (#"[]"#, "The generated value is an array, expected an object with a member 'name'."),
    ])
    func `a value of another shape is refused`(text: String, message: String) throws {
        #expect { try Pet(GeneratedContent(json: text)) } throws: { ($0 as? SessionError)?.message == message }
    }

    @Test func `schemas are put together at run time`() throws {
        let person = DynamicGenerationSchema(
            name: "Person",
            properties: [
                .init(name: "name", schema: .init(type: String.self)),
                .init(name: "mood", schema: .init(name: "Mood", anyOf: ["glad", "sad"]), isOptional: true),
                .init(name: "home", schema: .init(referenceTo: "Place")),
                .init(name: "friends", schema: .init(arrayOf: .init(referenceTo: "Person"), maximumElements: 2)),
            ])
        let place = DynamicGenerationSchema(name: "Place", properties: [.init(name: "city", schema: .init(type: String.self))])
        let schema = try GenerationSchema(root: person, dependencies: [place])
        let json = schema.json
        #expect(json["$ref"]?.string == "#/$defs/Person")
        #expect(json["$defs"]?["Person"]?["properties"]?["home"]?["$ref"]?.string == "#/$defs/Place")
        #expect(json["$defs"]?["Person"]?["required"] == ["name", "home", "friends"])
        #expect(json["$defs"]?["Place"]?["properties"]?["city"]?["type"]?.string == "string")
        #expect { try GenerationSchema(root: person, dependencies: []) } throws: { ($0 as? SessionError)?.code == .unsupportedGuide }
        #expect { try GenerationSchema(root: person, dependencies: [place, place]) } throws: { ($0 as? SessionError)?.code == .unsupportedGuide }
    }

    @Test(arguments: [
        ("", nil), ("  ", nil), ("{", "{}"), (#"{"a"#, "{}"), (#"{"a":"#, "{}"), (#"{"a":1"#, "{}"), (#"{"a":1,"#, #"{"a":1}"#),
        (#"{"a":tr"#, "{}"), (#"{"a":true"#, #"{"a":true}"#), (#"{"a":"x"#, #"{"a":"x"}"#), (#"{"a":"x\"#, #"{"a":"x"}"#),
        (#"{"a":"x\u00"#, #"{"a":"x"}"#), (#"{"a":"x\ud83d\ude"#, #"{"a":"x"}"#), (#"{"a":"x\ud83d\ude00"#, #"{"a":"x😀"}"#),
        (#"[1,2"#, "[1]"), (#"[1,2]"#, "[1,2]"), (#"[[["#, "[[[]]]"), (#"{"a":[{"b":""#, #"{"a":[{"b":""}]}"#), ("12", nil), ("nul", nil), ("null", "null"),
        (#"{"a":]"#, nil), (#"{a"#, nil), (#""x" "y""#, nil), ("truu", nil),
    ] as [(String, String?)])
    func `a beginning of JSON gives what is certain`(text: String, expected: String?) {
        #expect(GeneratedContent(partialJSON: text)?.jsonString == expected)
    }

    @Test func `every beginning of a document is read`() throws {
        let text = #"{"name":"Réx 😀 \n","age":-1.5e3,"ok":true,"none":null,"list":[1,[],{}, "a\"b"],"deep":{"x":{"y":[0]}}}"#
        let bytes = Array(text.utf8)
        for count in 1...bytes.count {
            // A cut character is what a stream never shows; the reader passes over it all the same.
            let beginning = String(decoding: bytes[..<count], as: UTF8.self)
            let content = try #require(GeneratedContent(partialJSON: beginning), "\(count)")
            #expect(content.isComplete == (count == bytes.count))
        }
        #expect(GeneratedContent(partialJSON: text)?.json == (try GeneratedContent(json: text)).json)
    }
}
