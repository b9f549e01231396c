import Foundation
import TestSupport
import Testing

/// `gemma3n convert` as its users meet it.
@Suite(.serialized) struct ConvertTests {
    @Test func convertsAndReports() throws {
        try withTemporaryDirectory { folder in
            try "hello the water and the world, hello the water".write(toFile: "\(folder)/text.txt", atomically: true, encoding: .utf8)
            let outcome = try Program.run(["convert", Program.tiny, "\(folder)/m.gguf", "--type", "q8_0", "--keep", "ple=q4_0,head=bf16", "--mmproj", "\(folder)/mmproj-m.gguf", "--text", "\(folder)/text.txt", "--json"])
            #expect(outcome.code == 0, "\(outcome.error)")
            let model = try #require(outcome.json["model"] as? [String: Any])
            let kinds = try #require(model["kinds"] as? [String: [String: Any]])
            #expect((kinds["ple"]?["formats"] as? [String: Int]) == ["Q4_0": 1])
            #expect((kinds["embed"]?["formats"] as? [String: Int]) == ["BF16": 1])
            #expect((model["file_bytes"] as? Int) == (try FileManager.default.attributesOfItem(atPath: "\(folder)/m.gguf")[.size] as? Int))
            #expect(outcome.json["mmproj"] != nil)
            let perplexity = try #require(outcome.json["perplexity"] as? [String: Double])
            let (before, after) = (try #require(perplexity["before"]), try #require(perplexity["after"]))
            // Random weights: hardly better than chance among 808 tokens, and nearly the same after.
            #expect(before > 10 && after > 10 && abs(after / before - 1) < 0.5)
            let answer = try Program.run(["run", "\(folder)/m.gguf", "hello", "--max-tokens", "3"])
            #expect(answer.code == 0, "\(answer.error)")

            let again = try Program.run(["convert", "\(folder)/m.gguf", "\(folder)/packed"])
            #expect(again.code == 0 && again.output.contains("exact"))
            let refused = try Program.run(["convert", "\(folder)/m.gguf", "\(folder)/packed"])
            #expect(refused.code == 1 && refused.error.contains("exists already. Give another name, or pass --force to replace it."))
            let packed = try Program.run(["convert", "\(folder)/packed", "\(folder)/x.gguf"])
            #expect(packed.code == 0 || packed.error.contains("Convert from the checkpoint it was made from."))
        }
    }

    @Test(arguments: [
        (["--type", "q3_k"], "--type is 'q3_k', expected one of q4_0, q4_k_m, q5_0, q5_k_m, q6_k, q8_0, bf16, f16, f32."),
        (["--format", "onnx"], "--format is 'onnx', expected gguf or packed."),
        (["--keep", "norm=q8_0"], "--keep has 'norm=q8_0', expected KIND=FORMAT"),
        (["--keep", "ple=q9"], "--keep has 'ple=q9', expected one of the formats q4_0, q4_k"),
        (["--threads", "0"], "--threads is 0, expected 1 to 1024."),
    ])
    func refusesWrongArguments(arguments: [String], sentence: String) throws {
        let outcome = try Program.run(["convert", Program.tiny, "nowhere.gguf"] + arguments)
        #expect(outcome.code == 64 && outcome.error.contains(sentence), "\(outcome.error)")
    }
}
