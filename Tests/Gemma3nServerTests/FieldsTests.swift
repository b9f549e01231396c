import Checkpoint
import Testing

import Gemma3nServer

@Suite struct FieldsTests {
    private func fields(_ text: String) throws -> Fields {
        Fields(try #require(try JSONValue.parse(text, file: "").object))
    }

    private func refusal<T>(_ body: () throws(Refusal) -> T) -> Refusal? {
        do throws(Refusal) {
            _ = try body()
            return nil
        } catch {
            return error
        }
    }

    @Test func readsWhatIsThere() throws {
        let all = try fields(#"{"s": "x", "b": true, "i": 3.0, "n": 0.5, "o": {"s": "y"}, "l": ["a", "b"], "z": null}"#)
        #expect(try all.string("s") == "x" && all.bool("b") == true && all.int("i") == 3 && all.number("n") == 0.5)
        #expect(try all.object("o")?.string("s") == "y")
        #expect(try all.strings("l", atMost: 2) == ["a", "b"] && all.strings("s", atMost: 2) == ["x"])
        #expect(try all.string("z") == nil && all.string("missing") == nil)
    }

    @Test func namesWhatIsWrong() throws {
        let all = try fields(#"{"i": "3", "f": 1.5, "n": true, "o": [1], "l": ["a", 1], "m": [{"content": 5}], "s": 7, "h": 1e300}"#)
        #expect(refusal { () throws(Refusal) in try all.int("i") }?.message == "i must be a whole number, found a string.")
        #expect(refusal { () throws(Refusal) in try all.int("f") }?.message == "f must be a whole number, found a number.")
        #expect(refusal { () throws(Refusal) in try all.number("n") }?.message == "n must be a number, found true or false.")
        #expect(refusal { () throws(Refusal) in try all.object("o") }?.message == "o must be an object, found an array.")
        #expect(refusal { () throws(Refusal) in try all.strings("l", atMost: 4) }?.message == "l[1] must be a string, found a number.")
        #expect(refusal { () throws(Refusal) in try all.objects("m")?[0].required("content") }?.field == "m[0].content")
        #expect(refusal { () throws(Refusal) in try all.required("gone") }?.message == "gone must be a string, but is missing.")
        #expect(refusal { () throws(Refusal) in try all.int("h") }?.status == 400)
        #expect(refusal { () throws(Refusal) in try all.number("h", 0...1) }?.message.hasPrefix("h is 1e+300, expected 0 to 1") == true)
        #expect(refusal { () throws(Refusal) in try all.int("s", 0...5) }?.message == "s is 7, expected 0 to 5.")
    }
}
