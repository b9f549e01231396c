import Foundation
import Gemma3n
import Gemma3nHost
import Tensors
import TestSupport
import Tokenization
import Testing

#if canImport(FoundationXML)
import FoundationXML
#endif

/// `gemma3n curve` as its users meet it.
@Suite(.serialized) struct CurveTests {
    private let tiny = Program.tiny
    private let text = "hello the water of the river and more of it, the water of the hello river"

    private func slices(_ outcome: Program.Outcome) throws -> [[String: Any]] { try #require(outcome.json["slices"] as? [[String: Any]]) }

    /// Names of elements and their text.
    private final class Reader: NSObject, XMLParserDelegate {
        var elements: [String] = []
        var text = ""
        func parser(_ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?, attributes: [String: String]) {
            elements.append(name)
        }
        func parser(_ parser: XMLParser, foundCharacters string: String) { text += string }
    }

    private func readSVG(_ path: String) throws -> Reader {
        let reader = Reader()
        let parser = XMLParser(data: try Data(contentsOf: URL(fileURLWithPath: path)))
        parser.delegate = reader
        #expect(parser.parse(), "\(String(describing: parser.parserError))")
        return reader
    }

    @Test func perplexityAlongALadder() throws {
        try withTemporaryDirectory { folder in
            let file = folder + "/a&b <c>.txt", svg = folder + "/curve.svg"
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            let outcome = try Program.run(["curve", tiny, "--data", file, "--steps", "4", "--skip-shared", "-n", "3", "-r", "2", "--svg", svg, "--json"])
            #expect(outcome.code == 0, "\(outcome.error)")
            let slices = try slices(outcome)
            let json = outcome.json
            #expect(json["measure"] as? String == "perplexity" && json["complete"] as? Bool == true && json["judged"] as? Int == json["total"] as? Int)

            let model = try Gemma3nModel(modalities: [], open: fixtureOpener("tiny"))
            let c = model.text.configuration
            #expect(slices.count == 4 + c.numKVSharedLayers)
            let parameters = slices.compactMap { $0["effective_parameters"] as? Int }
            #expect(parameters == parameters.sorted() && parameters.last == c.effectiveParameterCount)
            #expect(slices.last?["name"] as? String == "whole")
            #expect(slices.contains { $0["name"] as? String == "half" } && slices.contains { ($0["name"] as? String)?.hasPrefix("without layer") == true })
            for slice in slices {
                #expect(slice["decode_tokens_per_second"] as? Double ?? 0 > 0 && slice["bytes_per_token"] as? Double ?? 0 > 0)
                // The same slice alone.
                let shape = try #require(slice["slice"] as? [String: [Int]])
                let alone = try model.text.sliced(ModelSlice(widths: shape["widths"] ?? [], skipping: shape["skip_layers"] ?? [], of: c))
                let windows = try Perplexity.windows(of: text, model)
                let conversation = Conversation(model, contextLength: 512)
                conversation.decoder.use(alone)
                var perplexity = Perplexity()
                for window in windows { try perplexity.add(window, in: conversation) }
                let printed = try #require(slice["perplexity"] as? Double)
                // Six decimals are printed.
                #expect(abs(printed - perplexity.value) <= 1e-6 * max(1, perplexity.value) && slice["tokens"] as? Int == perplexity.tokens)
            }
            // Nothing smaller is better than what is on the front.
            var best = Double.infinity
            for slice in slices {
                let value = try #require(slice["perplexity"] as? Double)
                #expect(slice["on_front"] as? Bool == (value < best))
                best = min(best, value)
            }

            let picture = try readSVG(svg)
            #expect(picture.elements.first == "svg" && picture.elements.contains("desc"))
            // A point with its name in both diagrams, and two in the legend.
            #expect(picture.elements.count { $0 == "circle" } == 2 * slices.count + 2)
            #expect(picture.text.contains("a&b <c>.txt") && picture.text.contains("effective parameters, thousands"))
        }
    }

    /// The whole text at once or window by window, as `convert --text` measures it.
    @Test func windowsAreTheWholeText() throws {
        let model = try Gemma3nModel(modalities: [], open: fixtureOpener("tiny"))
        let text = Array(repeating: text, count: 5).joined(separator: " ")
        let whole = try Perplexity(of: text, model, window: 16, .serial)
        var parts = Perplexity()
        let conversation = Conversation(model, contextLength: 16)
        for window in try Perplexity.windows(of: text, model, length: 16) { try parts.add(window, in: conversation) }
        #expect(parts.value == whole.value && parts.tokens == whole.tokens && parts.right == whole.right)
        #expect(whole.tokens == model.tokenizer.encode(text, recognizesSpecialTokens: false).count)
    }

    @Test func rightAnswersAreThoseOfEvaluate() throws {
        let items = Fixtures.path("../../Demo/demo.json")
        let outcome = try Program.run(["curve", "--data", items, "--sizes", "whole,half,whole", "-n", "0", "--json"])
        #expect(outcome.code == 0, "\(outcome.error)")
        let slices = try slices(outcome)
        #expect(slices.compactMap { $0["name"] as? String } == ["half", "whole"])
        #expect(slices.allSatisfy { $0["decode_tokens_per_second"] is NSNull && $0["asked"] as? Int == 4 })
        let evaluated = try Program.run(["evaluate", "--data", items, "--json"])
        let groups = try #require(evaluated.json["groups"] as? [[String: Any]])
        let right = groups.filter { !($0["name"] as? String ?? "").contains(":") }.compactMap { $0["right"] as? Int }.reduce(0, +)
        #expect(slices.last?["right"] as? Int == right && right == 4)

        let table = try Program.run(["curve", "--data", items, "--sizes", "half", "--limit", "1", "-n", "2", "-r", "1"])
        #expect(table.code == 0 && table.output.hasPrefix("slice  parameters  read per token  tokens/s") && table.output.contains("4 questions of demo.json"))
    }

    @Test func slicesFromAFile() throws {
        try withTemporaryDirectory { folder in
            let file = folder + "/text.txt", list = folder + "/slices.json"
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            let c = try Gemma3nModel(modalities: [], open: fixtureOpener("tiny")).text.configuration
            try #"[{"name": "mine", "widths": 16}, {"skip_layers": [\#(c.numHiddenLayers - 1)]}]"#.write(toFile: list, atomically: true, encoding: .utf8)
            let outcome = try Program.run(["curve", tiny, "--data", file, "--slices", list, "-n", "0", "--json"])
            #expect(try slices(outcome).compactMap { $0["name"] as? String } == ["mine", "without layer \(c.numHiddenLayers - 1)"])
            try #"[{"widths": 16}, {"skip_layers": [0]}]"#.write(toFile: list, atomically: true, encoding: .utf8)
            let refused = try Program.run(["curve", tiny, "--data", file, "--slices", list])
            #expect(refused.code == 1 && refused.error.hasPrefix("error: \(list), slice 2: Layer 0 cannot be left out: it makes keys and values"))
        }
    }

    /// Ctrl-C: what was measured is printed, and the exit code says how it ended.
    @Test func interrupted() throws {
        try withTemporaryDirectory { folder in
            let file = folder + "/text.txt"
            try Array(repeating: text, count: 20_000).joined(separator: " ").write(toFile: file, atomically: true, encoding: .utf8)
            let outcome = try Program.run(["curve", tiny, "--data", file, "--steps", "2", "-n", "2", "-r", "2"], interruptAfterError: 60)
            #expect(outcome.code == 130 && !outcome.wasKilled)
            #expect(outcome.output.contains("whole") && outcome.output.contains(" of ") && outcome.output.contains("tokens of text.txt"))
        }
    }

    @Test func mistakesEndWithASentence() throws {
        try withTemporaryDirectory { folder in
            func write(_ name: String, _ bytes: [UInt8]) throws -> String {
                try Data(bytes).write(to: URL(fileURLWithPath: folder + "/" + name))
                return folder + "/" + name
            }
            let text = try write("text.txt", Array(self.text.utf8))
            let cases: [([String], String)] = [
                (["--data", try write("empty.txt", [])], "The text has 0 tokens; perplexity needs at least 2."),
                (["--data", try write("empty.jsonl", [])], "\(folder)/empty.jsonl holds no items."),
                (["--data", try write("bytes.bin", [0xFF, 0xFE, 0])],
                 "\(folder)/bytes.bin is not UTF-8 text. Give a text, or questions in a file that ends in .json or .jsonl."),
                (["--data", "/nowhere.txt"], "cannot open '/nowhere.txt': no such file or directory."),
                (["--data", text, "--svg", "/nowhere/curve.svg"], "cannot create a file beside '/nowhere/curve.svg': no such file or directory."),
                (["--data", text, "--svg", folder], "'\(folder)' is a directory; a file is needed here."),
                (["--data", text, "--sizes", "E2B"], "E2B is a slice of Gemma 3n E4B (35 layers of one width), but this model has 8 layers"),
                (["--data", text, "--slices", try write("none.json", Array("[]".utf8))], "\(folder)/none.json holds no slices."),
            ]
            for (arguments, sentence) in cases {
                let outcome = try Program.run(["curve", tiny] + arguments)
                #expect(outcome.code == 1 && outcome.output.isEmpty)
                #expect(outcome.error.hasPrefix("error: " + sentence), "\(outcome.error)")
            }
            for usage in [["--sizes", "huge"], ["--steps", "0"], ["--sizes", "half", "--steps", "2"], ["--limit", "0"], ["-n", "-1"], ["-r", "0"]] {
                let outcome = try Program.run(["curve", tiny, "--data", text] + usage)
                #expect(outcome.code == 64 && outcome.error.hasPrefix("error: "), "\(outcome.error)")
            }
            #expect(try Program.run(["curve", tiny]).code == 64)
        }
    }
}
