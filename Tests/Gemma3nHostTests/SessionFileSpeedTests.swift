import Foundation
import Gemma3n
import Gemma3nHost
import Testing
import Tokenization

private let path = ProcessInfo.processInfo.environment["GEMMA3N_SESSIONS"]

/// A measurement of a full-size model rather than a check: set GEMMA3N_SESSIONS to a packed checkpoint.
@Suite(.serialized, .enabled(if: path != nil))
struct SessionFileSpeedTests {
    /// What a session of 1,000 tokens takes to be split, kept and restored, beside computing it again.
    @Test func aThousandTokens() async throws {
        let files = try ModelFiles(path: try #require(path))
        let model = try Gemma3nLanguageModel(files: files, modalities: [], contextLength: 4096)
        let directory = try TemporaryDirectory()
        let file = directory.path("session")
        let session = LanguageModelSession(model: model)
        func seconds(_ what: String, _ body: () async throws -> Void) async throws {
            let start = ContinuousClock.now
            try await body()
            print("\(what): \(start.duration(to: .now) / .seconds(1)) s")
        }
        let word = model.model.tokenizer.decode([1000])
        let prompt = Prompt(String(repeating: word + " ", count: 495))
        try await seconds("prompt") {
            let statistics = try await session.respond(to: prompt, options: exactly(8)).statistics
            print("\(statistics.promptTokens) tokens, \(statistics.prefillSeconds) s")
        }
        try await seconds("fork") { _ = try await session.fork() }
        try await seconds("save, with the model's fingerprint") { try await session.save(to: file) }
        try await seconds("save") { try await session.save(to: file) }
        print("\(try FileManager.default.attributesOfItem(atPath: file)[.size] ?? 0) bytes")
        var restored = session
        try await seconds("restore") { restored = try await LanguageModelSession.restored(from: file, model: model) }
        try await seconds("next answer") {
            let answer = try await restored.respond(to: "and?", options: exactly(1))
            print("\(answer.statistics.newTokens) new tokens")
        }
    }
}
