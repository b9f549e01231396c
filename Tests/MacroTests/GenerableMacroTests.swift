import Checkpoint
import Gemma3nHost
import Gemma3nMacros
import Testing

@Generable(description: "a dish")
struct Dish: Equatable {
    @Guide(description: "as on the menu")
    var name: String
    @Guide(.range(1...5))
    var spiciness: Int
    var vegetarian: Bool?
    @Guide(description: "what is in it", .maximumCount(4))
    var parts: [Part]
    let course: Course
    /// Not stored: not written.
    var title: String { name + "!" }
    static let menu = "daily"

    @Generable
    struct Part: Equatable {
        var what: String
        var grams: Double
    }

    @Generable
    enum Course: String {
        case starter
        case main = "main course"
        case `default`
    }
}

struct GenerableMacroTests {
    static let text = #"{"name":"Soup","spiciness":2,"parts":[{"what":"leek","grams":120.5}],"course":"main course"}"#

    @Test func `the schema follows the source`() {
        let expected = """
            {"$ref":"#/$defs/Dish","$defs":{"Dish":{"type":"object","description":"a dish","properties":{\
            "name":{"type":"string","description":"as on the menu"},"spiciness":{"type":"integer","minimum":1,"maximum":5},\
            "vegetarian":{"type":"boolean"},"parts":{"type":"array","items":{"$ref":"#/$defs/Part"},"maxItems":4,"description":"what is in it"},\
            "course":{"type":"string","enum":["starter","main course","default"]}},\
            "required":["name","spiciness","parts","course"],"additionalProperties":false},\
            "Part":{"type":"object","properties":{"what":{"type":"string"},"grams":{"type":"number"}},"required":["what","grams"],"additionalProperties":false}}}
            """
        #expect(Dish.generationSchema.json.serialized() == expected)
    }

    @Test func `values come and go`() throws {
        let dish = try Dish(GeneratedContent(json: Self.text))
        #expect(dish == Dish(name: "Soup", spiciness: 2, vegetarian: nil, parts: [.init(what: "leek", grams: 120.5)], course: .main))
        #expect(try Dish(GeneratedContent(json: dish.generatedContent.jsonString)) == dish)
        #expect { try Dish.Course(GeneratedContent(.string("pudding"))) } throws: {
            ($0 as? SessionError)?.message == "The generated value is \"pudding\", expected one of starter, main course, default."
        }
    }

    @Test func `every beginning decodes`() throws {
        let bytes = Array(Self.text.utf8)
        var names: Set<String> = []
        for count in 1...bytes.count {
            let content = try #require(GeneratedContent(partialJSON: String(decoding: bytes[..<count], as: UTF8.self)))
            let partial = try Dish.PartiallyGenerated(content)
            if let name = partial.name { names.insert(name) }
            if count == bytes.count { #expect(partial.course == .main && partial.parts?.first?.grams == 120.5) }
        }
        #expect(names == ["", "S", "So", "Sou", "Soup"])
    }
}
