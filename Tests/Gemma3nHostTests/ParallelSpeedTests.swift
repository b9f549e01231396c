import Foundation
import Gemma3n
import Gemma3nHost
import Testing
import Tokenization

private let path = ProcessInfo.processInfo.environment["GEMMA3N_PARALLEL"]

/// A measurement of a full-size model rather than a check: set GEMMA3N_PARALLEL to a packed checkpoint.
@Suite(.serialized, .enabled(if: path != nil))
struct ParallelSpeedTests {
    /// Answers at once beside one alone, in turn: tokens per second of all together.
    @Test func manyBesideOne() async throws {
        let model = try Gemma3nLanguageModel(files: ModelFiles(path: try #require(path)), modalities: [], threads: 2, contextLength: 2048)
        let room = EngineRoom(model, limits: EngineLimits(maximumRunning: 16))
        func speed(_ count: Int, tokens: Int) async throws -> Double {
            try await withThrowingTaskGroup(of: (first: ContinuousClock.Instant, last: ContinuousClock.Instant, tokens: Int).self) { group in
                for index in 0..<count {
                    group.addTask {
                        var options = ResponseOptions(sampling: .random(top: 64, seed: UInt64(index)), maximumResponseTokens: tokens)
                        options.logitBias = Dictionary(uniqueKeysWithValues: model.model.generationConfiguration.eosTokenIDs.map { ($0, -.infinity) })
                        let prompt = (0..<16).map { Int32(1000 + $0 * 37 + index * 111) }
                        var first: ContinuousClock.Instant?
                        var seen = 0
                        for try await event in try room.answer(AnswerRequest(.tokens(prompt), options: options)) where event.tokenCount > 0 && event.response == nil {
                            if first == nil { first = .now }
                            seen += 1
                        }
                        return (first ?? .now, .now, tokens)
                    }
                }
                var (first, last, all) = (ContinuousClock.now, ContinuousClock.now, 0)
                for try await part in group {
                    first = min(first, part.first)
                    last = max(last, part.last)
                    all += part.tokens
                }
                return Double(all) / (first.duration(to: last) / .seconds(1))
            }
        }
        _ = try await speed(1, tokens: 16)
        // The room's own cost: one answer in it beside one in a session.
        for _ in 0..<4 {
            let session = LanguageModelSession(model: model)
            var options = ResponseOptions(sampling: .random(top: 64, seed: 0), maximumResponseTokens: 24)
            options.logitBias = Dictionary(uniqueKeysWithValues: model.model.generationConfiguration.eosTokenIDs.map { ($0, -.infinity) })
            let alone = try await session.respond(to: "hello", options: options).statistics.decodeTokensPerSecond
            print("one in a session \(alone) tokens/s, in the room \(try await speed(1, tokens: 24))")
        }
        for count in [2, 4, 8, 16] {
            var ratios: [Double] = []
            for _ in 0..<3 {
                let one = try await speed(1, tokens: 24)
                let before = room.figures
                let many = try await speed(count, tokens: 24)
                let after = room.figures
                let step = (after.stepSeconds - before.stepSeconds) / Double(after.batchSizes.count - before.batchSizes.count)
                let choosing = (after.choosingSeconds - before.choosingSeconds) / (after.stepSeconds - before.stepSeconds)
                ratios.append(many / one)
                print("\(count) at once \(many) tokens/s, one \(one), ratio \(many / one); a step \(step) s, choosing \(100 * choosing) %")
            }
            print("\(count) at once: median ratio \(ratios.sorted()[1])")
        }
    }

    /// One answer in the room beside the same one in a session, read at its end and as it comes, in turn. All by the same clock: from an
    /// answer's first token to its last.
    @Test func oneInTheRoomBesideOneInASession() async throws {
        let model = try Gemma3nLanguageModel(files: ModelFiles(path: try #require(path)), modalities: [], threads: 2, contextLength: 2048)
        let room = EngineRoom(model, limits: EngineLimits(maximumRunning: 16, maximumKept: 4))
        var options = ResponseOptions(sampling: .random(top: 64, seed: 0), maximumResponseTokens: 33)
        options.logitBias = Dictionary(uniqueKeysWithValues: model.model.generationConfiguration.eosTokenIDs.map { ($0, -.infinity) })
        var ratios: [[Double]] = [[], []]
        for round in 0..<12 {
            let session = LanguageModelSession(model: model)
            let whole = try await session.respond(to: "hello", options: options).statistics.decodeTokensPerSecond
            let streamed = try await LanguageModelSession(model: model).streamResponse(to: "hello", options: options).collect().statistics.decodeTokensPerSecond
            let request = AnswerRequest(.messages([MessageInput(.user, "hello")]), options: options)
            let inRoom = try await room.answer(request).collect().statistics.decodeTokensPerSecond
            print("\(round): session \(whole), streamed \(streamed), room \(inRoom) tokens/s")
            ratios[0].append(streamed / whole)
            ratios[1].append(inRoom / whole)
        }
        print("medians: streamed \(ratios[0].sorted()[6]), room \(ratios[1].sorted()[6]) of a session")
    }
}
