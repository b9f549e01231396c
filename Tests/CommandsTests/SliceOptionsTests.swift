import Foundation
import TestSupport
import Testing

/// `--size`, `--widths`, `--skip-layers` and `--slice`, by the program.
@Suite struct SliceOptionsTests {
    private func trace(_ options: [String]) throws -> Program.Outcome {
        try withTemporaryDirectory { folder in
            try Data("{\"input_ids\": [2, 30, 40, 50]}".utf8).write(to: URL(fileURLWithPath: folder + "/m.json"))
            try Data("{\"widths\": [128, 112, 96, 64, 48, 36, 44, 32], \"skip_layers\": [6]}".utf8).write(to: URL(fileURLWithPath: folder + "/s.json"))
            try Data("{\"width\": 3}".utf8).write(to: URL(fileURLWithPath: folder + "/bad.json"))
            let options = options.map { $0.hasSuffix(".json") ? "\(folder)/\($0)" : $0 }
            return try Program.run(["trace", Program.tiny, "--messages", folder + "/m.json", "--output", folder + "/t", "--max-tokens", "2"] + options)
        }
    }

    private func slice(_ options: [String]) throws -> [String: [Int]]? { try trace(options).json["slice"] as? [String: [Int]] }

    @Test func sameSliceFourWays() throws {
        let half = ["widths": [128, 112, 96, 64, 48, 36, 44, 32], "skip_layers": []]
        #expect(try slice(["--size", "half"]) == half)
        #expect(try slice(["--widths", "128,112,96,64,48,36,44,32"]) == half)
        let less = ["widths": [128, 112, 96, 64, 48, 36, 32], "skip_layers": [6]]
        #expect(try slice(["--widths", "128,112,96,64,48,36,32", "--skip-layers", "6"]) == less)
        #expect(try slice(["--slice", "s.json"]) == less)
        #expect(try slice(["--skip-layers", "5-6"])?["widths"] == [256, 224, 192, 128, 96, 64])
        #expect(try slice([]) == nil)
    }

    @Test(arguments: [
        (["--size", "half", "--widths", "8"], "--size and --widths both say which part of the model runs. Give one of them."),
        (["--size", "half", "--slice", "s.json"], "--size and --slice both say"),
        (["--skip-layers", "6", "--slice", "s.json"], "--slice and --skip-layers both say"),
        (["--size", "E9B"], "The size is 'E9B', expected whole, half, a number of parameters such as 2.7B or 900M, or one of E2B,"),
        (["--skip-layers", "7-5"], "Expected whole numbers with commas between, or ranges such as 20-24."),
        (["--widths", "8,x"], "Expected whole numbers with commas between."),
    ])
    func contradictionsAreUsageErrors(options: [String], sentence: String) throws {
        let outcome = try trace(options)
        #expect(outcome.code == 64)
        #expect(outcome.error.contains(sentence))
    }

    @Test(arguments: [
        (["--size", "whole,half"], "--size names 2 sizes, expected one."),
        (["--size", "E2B"], "E2B is a slice of Gemma 3n E4B (35 layers of one width), but this model has 8 layers"),
        (["--skip-layers", "4"], "Layer 4 cannot be left out: it makes keys and values that other layers read. Only layers 5 to 7 can."),
        (["--widths", "8,16"], "The slice has widths for 2 layers, but the model has 8. Give one for each."),
        (["--slice", "bad.json"], "bad.json: The slice has the key 'width', expected widths, skip_layers or name."),
    ])
    func badSlicesAreRefused(options: [String], sentence: String) throws {
        let outcome = try trace(options)
        #expect(outcome.code == 1)
        #expect(outcome.error.contains(sentence))
    }

    /// Every command that runs a model takes a size and says which one ran.
    @Test func commandsTakeSizes() throws {
        let run = try Program.run(["run", Program.tiny, "hello", "--max-tokens", "2", "--size", "half", "--json"])
        let size = run.json["size"] as? [String: Any]
        #expect(size?["name"] as? String == "half" && size?["reason"] as? String == "The size of the session.")
        #expect(size?["widths"] as? [Int] == [128, 112, 96, 64, 48, 36, 44, 32])
        let auto = try Program.run(["run", Program.tiny, "hello", "--max-tokens", "2", "--size", "auto", "--task", "draft", "--json"])
        #expect((auto.json["size"] as? [String: Any])?["reason"] as? String == "A draft takes the smallest.")
        let limited = try Program.run(["run", Program.tiny, "hello", "--max-tokens", "2", "--size", "half", "--memory", "4GB", "--json"])
        #expect((limited.json["size"] as? [String: Any])?["name"] as? String == "half")

        let bench = try Program.run(["bench", Program.tiny, "-p", "8", "-n", "8", "-r", "1", "--size", "whole,half", "--json"])
        let sizes = try #require(bench.json["sizes"] as? [[String: Any]])
        #expect(sizes.map { $0["name"] as? String } == ["whole", "half"])
        let counted = sizes.compactMap { $0["counted_bytes_per_token"] as? Double }
        #expect(counted.count == 2 && counted[1] < counted[0])
        #expect(sizes.allSatisfy { ($0["switch_seconds"] as? Double ?? 1) < 0.001 })

        let inspect = try Program.run(["inspect", Program.tiny, "--json"])
        #expect((inspect.json["sizes"] as? [[String: Any]])?.count == 5)
        #expect(try Program.run(["inspect", Program.tiny]).output.contains("\nsizes\n  half"))
        #expect(try Program.run(["bench", Program.tiny, "--size", "auto"]).error.contains("--size auto chooses for the answers of run, chat, demo and evaluate."))
    }

    @Test func chatsChangeTheirSize() throws {
        let chat = try Program.run(
            ["chat", Program.tiny, "--stats", "--max-tokens", "3", "--switching", "keep"],
            input: "hello\n/size half\nmore\n/size auto\nmore\n/size E2B\n/size\n")
        #expect(chat.code == 0)
        #expect(chat.error.contains("size whole: The size the model was opened with.\n"))
        #expect(chat.error.contains("size half: The size of the session.\n"))
        #expect(chat.error.contains("error: E2B is a slice of Gemma 3n E4B"))
        #expect(chat.output.contains("half, "))
        #expect(try Program.run(["chat", Program.tiny, "--switching", "never"]).code == 64)
    }
}
