import Gemma3n
import Gemma3nHost
import TestSupport
import Testing

enum Colour: String, CaseIterable, Sendable { case red, orange, yellow, green, blue, purple, black, white }
enum Shape: String, CaseIterable, Sendable { case circle, square, triangle, star }

/// "a red star": as the demo model says it.
struct Thing: Equatable, Sendable {
    let colour: Colour
    let shape: Shape

    static let words = "(\(Colour.allCases.map(\.rawValue).joined(separator: "|"))) (\(Shape.allCases.map(\.rawValue).joined(separator: "|")))"

    init(_ colour: Colour, _ shape: Shape) { (self.colour, self.shape) = (colour, shape) }

    init?(_ words: some StringProtocol) {
        let words = words.split(separator: " ")
        guard words.count == 3, let colour = Colour(rawValue: String(words[1])), let shape = Shape(rawValue: String(words[2])) else { return nil }
        self.init(colour, shape)
    }
}

/// What a picture holds, in one sentence of the few the demo model was trained to say.
protocol Sight: Generable, Equatable, Sendable where PartiallyGenerated == PartialSight {
    static var pattern: String { get }
    init?(sentence: String)
    var sentence: String { get }
}

extension Sight {
    static var generationSchema: GenerationSchema {
        GenerationSchema(type: Self.self, properties: [.init(name: "seen", type: String.self, guides: [.pattern(pattern)])])
    }

    init(_ content: GeneratedContent) throws {
        guard let sight = Self(sentence: try content.value(forProperty: "seen")) else { throw SessionError(.decodingFailure, content.jsonString) }
        self = sight
    }

    var generatedContent: GeneratedContent { GeneratedContent(properties: ["seen": sentence]) }
}

struct PartialSight: ConvertibleFromGeneratedContent {
    let seen: String?
    init(_ content: GeneratedContent) throws { seen = try content.partialValue(forProperty: "seen") }
}

struct OneThing: Sight {
    let thing: Thing

    static let pattern = "a \(Thing.words)"
    init(_ colour: Colour, _ shape: Shape) { thing = Thing(colour, shape) }
    init?(sentence: String) {
        guard let thing = Thing(sentence) else { return nil }
        self.thing = thing
    }
    var sentence: String { "a \(thing.colour.rawValue) \(thing.shape.rawValue)" }
}

struct TwoThings: Sight {
    let left: Thing
    let right: Thing

    static let pattern = "a \(Thing.words) and a \(Thing.words)"
    init(_ left: Thing, _ right: Thing) { (self.left, self.right) = (left, right) }
    init?(sentence: String) {
        let words = sentence.split(separator: " ")
        guard words.count == 7, let left = Thing(words[..<3].joined(separator: " ")), let right = Thing(words[4...].joined(separator: " ")) else {
            return nil
        }
        self.init(left, right)
    }
    var sentence: String { "\(OneThing(left.colour, left.shape).sentence) and \(OneThing(right.colour, right.shape).sentence)" }
}

struct OneDigit: Sight {
    let digit: Int

    static let pattern = "the digit [0-9]"
    init(_ digit: Int) { self.digit = digit }
    init?(sentence: String) {
        guard let digit = sentence.last?.wholeNumberValue else { return nil }
        self.digit = digit
    }
    var sentence: String { "the digit \(digit)" }
}

/// The demo model's answers about pictures that it never saw, as Swift values.
@Suite(.serialized) struct PictureAnswerTests {
    static let model = Result { try Gemma3nLanguageModel(files: ModelFiles(directory: Fixtures.path("../../Sources/CDemoModel/Model")), threads: 2) }

    /// - Returns: How many values are what the pictures hold.
    func ask<Value: Sight>(_ question: String, _ pictures: [(number: Int, holds: Value)]) async throws -> Int {
        let model = try Self.model.get()
        var right = 0
        for picture in pictures {
            let number = picture.number < 10 ? "0\(picture.number)" : "\(picture.number)"
            let session = LanguageModelSession(model: model)
            let prompt = Prompt {
                ImageFile(Fixtures.path("../../Demo/questions/picture-\(number).jpg"))
                question
            }
            var seen: [String] = []
            var last: GeneratedContent?
            // Every snapshot is decoded before it is given; one that fails ends the loop with its error.
            for try await snapshot in session.streamResponse(
                to: prompt, generating: Value.self, includeSchemaInPrompt: false, options: ResponseOptions(sampling: .greedy))
            {
                if let text = snapshot.content.seen { seen.append(text) }
                last = snapshot.rawContent
            }
            let value = try Value(try #require(last))
            #expect(last?.isComplete == true && !seen.isEmpty)
            #expect(seen.allSatisfy { value.sentence.hasPrefix($0) })
            // A reader that is slow is given few of the snapshots: each that may come decodes, and shows the sentence so far.
            let text = Array(try #require(last).jsonString)
            for count in 1..<text.count {
                let beginning = try #require(GeneratedContent(partialJSON: String(text[..<count])))
                let partial = try PartialSight(beginning)
                #expect(partial.seen.map { value.sentence.hasPrefix($0) } ?? true)
            }
            if value == picture.holds { right += 1 }
        }
        return right
    }

    // All are right where this was written. One may be lost where JPEG files are decoded a little differently.

    @Test func `one thing`() async throws {
        let pictures: [(Int, OneThing)] = [
            (12, .init(.red, .star)), (14, .init(.green, .star)), (16, .init(.purple, .triangle)), (18, .init(.yellow, .triangle)),
            (19, .init(.blue, .circle)), (30, .init(.purple, .triangle)), (32, .init(.yellow, .square)), (38, .init(.blue, .star)),
            (45, .init(.yellow, .square)), (46, .init(.yellow, .circle)), (49, .init(.purple, .circle)),
        ]
        #expect(try await ask("Which colour is it?", pictures) >= 10)
    }

    @Test func `two things`() async throws {
        let pictures: [(Int, TwoThings)] = [
            (0, .init(Thing(.blue, .triangle), Thing(.purple, .star))), (1, .init(Thing(.black, .star), Thing(.blue, .circle))),
            (5, .init(Thing(.purple, .square), Thing(.yellow, .circle))), (15, .init(Thing(.white, .triangle), Thing(.red, .star))),
            (20, .init(Thing(.purple, .circle), Thing(.orange, .triangle))), (24, .init(Thing(.green, .square), Thing(.black, .triangle))),
            (26, .init(Thing(.white, .star), Thing(.purple, .triangle))), (27, .init(Thing(.green, .star), Thing(.white, .triangle))),
            (28, .init(Thing(.green, .circle), Thing(.white, .star))), (35, .init(Thing(.white, .circle), Thing(.yellow, .square))),
        ]
        #expect(try await ask("What do you see?", pictures) >= 9)
    }

    @Test func `a digit`() async throws {
        let pictures = [(2, 3), (3, 9), (4, 5), (10, 3), (13, 8), (21, 2), (29, 2), (31, 5), (39, 7), (41, 5), (43, 9), (47, 0)]
        #expect(try await ask("Read the digit.", pictures.map { ($0, OneDigit($1)) }) >= 11)
    }
}
