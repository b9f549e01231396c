import Foundation
import Checkpoint
import Gemma3n
import Gemma3nHost
import TestSupport
import Testing
import Tokenization

/// Sessions that were saved and restored.
@Suite struct SessionFileTests {
    private static func model(_ keyValues: KVFormat?, threads: Int = 2) throws -> Gemma3nLanguageModel {
        try Gemma3nLanguageModel(files: ModelFiles(directory: Fixtures.path("checkpoints/tiny")), threads: threads, keyValues: keyValues)
    }

    /// After every turn, through a file and another opening of the model: text, pictures, sounds, windows that have moved on.
    @Test(arguments: [KVFormat.f32, .f16, .q8_0]) func goesOnWithTheSameBits(format: KVFormat) async throws {
        let expected = try await SessionCopyTests.answers(LanguageModelSession(model: try Self.model(format), instructions: "be good"), 0..<5)
        let directory = try TemporaryDirectory()
        var session = LanguageModelSession(model: try Self.model(format), instructions: "be good")
        for turn in 0..<5 {
            let before = try await SessionCopyTests.answers(session, turn..<turn + 1)
            #expect(SessionCopyTests.areSame(before, [expected[turn]]))
            #expect(before[0].statistics.cachedTokens == expected[turn].statistics.cachedTokens)
            let path = directory.path("\(turn).session")
            try await session.save(to: path)
            let next = try await LanguageModelSession.restored(from: path, model: try Self.model(turn % 2 == 0 ? nil : format, threads: 1 + turn % 2))
            #expect(next.transcript.entries.count == session.transcript.entries.count && next.contextLength == session.contextLength)
            // Saved again at once it is the same file.
            try await next.save(to: directory.path("again"))
            let isSame = try readFile(path) == readFile(directory.path("again"))
            #expect(isSame)
            session = next
        }
        // Its marks are there, too.
        try session.rewind(to: 5)
        #expect(SessionCopyTests.areSame(try await SessionCopyTests.answers(session, 2..<4), Array(expected[2..<4])))
    }

    /// Keys and values of several sizes, speculation, shapes, and media that are encoded no second time after a change of size.
    @Test func sizesShapesAndGuessesGoOn() async throws {
        let model = try tinyModel()
        let directory = try TemporaryDirectory()
        func begin(_ switching: SizeSwitching) async throws -> LanguageModelSession {
            let session = LanguageModelSession(model: model)
            session.switching = switching
            _ = try await session.respond(to: Prompt { testPicture(0); "what?"; testClip(0) }, options: exactly(5))
            session.size = .half
            _ = try await session.respond(to: "and the water?", options: exactly(5))
            session.sizeWishes = SizeWishes(preference: .atLeast(parameters: 5), millisecondsPerToken: 2.5, task: .draft)
            return session
        }
        var shaped = exactly(30)
        shaped.logitBias = [:]
        shaped.shape = .regularExpression("(yes|no), [a-z]{3,8}")
        var guessed = exactly(12)
        guessed.speculation = Speculation(.lookup)
        for switching in SizeSwitching.allCases {
            let session = try await begin(switching)
            let path = directory.path("session")
            try await session.save(to: path)
            let restored = try await LanguageModelSession.restored(from: path, model: model)
            #expect(restored.switching == switching && restored.sizeWishes == session.sizeWishes)
            #expect(restored.size == .slice(try model.slice(.half)))
            for options in [shaped, guessed, exactly(4)] {
                let (a, b) = (try await session.respond(to: "go on", options: options), try await restored.respond(to: "go on", options: options))
                #expect(a.content == b.content && a.chosen == b.chosen && a.statistics.cachedTokens == b.statistics.cachedTokens)
                #expect(a.statistics.size == b.statistics.size)
            }
            final class Count: @unchecked Sendable { var sum = 0 }
            let encoded = Count()
            restored.observeEncoding { images, clips in encoded.sum += images + clips }
            for session in [session, restored] { session.size = .whole }
            let (a, b) = (try await session.respond(to: "go on", options: exactly(4)), try await restored.respond(to: "go on", options: exactly(4)))
            #expect(a.chosen == b.chosen && encoded.sum == 0)
        }
    }

    @Test func toolsGoOn() async throws {
        let model = try tinyModel()
        let directory = try TemporaryDirectory()
        let weather = try ToolDefinition(name: "weather", description: "The weather.", parameters: ["type": "object", "properties": [:]])
        var options = exactly(60)
        options.logitBias = [:]
        options.tools = try ToolCalling(tools: [weather], choice: .required)
        let session = LanguageModelSession(model: model)
        let call = try #require(try await session.respond(to: "the weather?", options: options).toolCalls.first)
        try await session.save(to: directory.path("session"))
        let restored = try await LanguageModelSession.restored(from: directory.path("session"), model: model)
        options.tools = try ToolCalling(tools: [weather], choice: .none)
        options.maximumResponseTokens = 6
        let output = [ToolOutput(callID: call.id, name: call.name, content: "warm")]
        let (a, b) = (
            try await session.respond(toToolOutputs: output, options: options), try await restored.respond(toToolOutputs: output, options: options)
        )
        #expect(a.content == b.content && a.chosen == b.chosen && a.statistics.cachedTokens == b.statistics.cachedTokens)
        #expect(b.statistics.cachedTokens > 0)
        // Other tools: everything is written anew, in both.
        for session in [session, restored] { _ = try await session.respond(to: "and?", options: exactly(3)) }
        #expect(session.transcript.messages.map(\.json) == restored.transcript.messages.map(\.json))
    }

    @Test func emptySessionsAreFiles() async throws {
        let model = try tinyModel()
        let directory = try TemporaryDirectory()
        for instructions in [nil, "be good"] {
            let session = LanguageModelSession(model: model, instructions: instructions, contextLength: 300)
            try await session.save(to: directory.path("session"))
            let restored = try await LanguageModelSession.restored(from: directory.path("session"), model: model)
            #expect(restored.contextLength == 300)
            let (a, b) = (try await session.respond(to: "hello", options: exactly(3)), try await restored.respond(to: "hello", options: exactly(3)))
            #expect(a.chosen == b.chosen)
        }
    }

    @Test func whatDoesNotFitIsRefused() async throws {
        let model = try tinyModel()
        let directory = try TemporaryDirectory()
        let path = directory.path("session")
        let session = LanguageModelSession(model: model)
        _ = try await session.respond(to: Prompt(SessionCopyTests.long), options: exactly(3))
        try await session.save(to: path)
        func refusal(_ path: String, _ model: Gemma3nLanguageModel) async -> SessionError? {
            await #expect(throws: SessionError.self) { _ = try await LanguageModelSession.restored(from: path, model: model) }
        }
        let random = directory.path("random")
        try FileManager.default.createDirectory(atPath: random, withIntermediateDirectories: true)
        try RandomCheckpoint().write(to: random)
        let other = try Gemma3nLanguageModel(files: ModelFiles(directory: random), threads: 2)
        let wrong = await refusal(path, other)
        #expect(wrong?.code == .sessionFile)
        #expect(wrong?.message.hasPrefix("'\(path)' was saved with another model (\(model.files.name)) than \(other.files.name)") == true)
        // One number of one tensor.
        var changed = RandomCheckpoint()
        changed.damage = ("model.layers.0.mlp.up_proj.weight", 0.25)
        try FileManager.default.createDirectory(atPath: directory.path("changed"), withIntermediateDirectories: true)
        try changed.write(to: directory.path("changed"))
        let damaged = try Gemma3nLanguageModel(files: ModelFiles(directory: directory.path("changed")), threads: 2)
        let otherSession = LanguageModelSession(model: other)
        _ = try await otherSession.respond(to: "hello", options: exactly(3))
        try await otherSession.save(to: directory.path("other"))
        #expect(await refusal(directory.path("other"), damaged)?.code == .sessionFile)

        let short = try tinyModel(contextLength: 40)
        #expect(await refusal(path, short)?.code == .exceededContextWindowSize)
        let eight = try Self.model(.q8_0)
        #expect(await refusal(path, eight)?.message == "'\(path)' holds keys and values as f32, but the model was opened to keep them as q8_0. Open it with f32.")
        #expect(await refusal(directory.path("nothing"), model)?.code == .sessionFile)
        #expect(await refusal(Fixtures.path("checkpoints/tiny/model.safetensors"), model)?.message.hasSuffix("holds no session. Give a file that a session was saved to.") == true)
        let nowhere = await #expect(throws: SessionError.self) { try await session.save(to: directory.path("no/where")) }
        #expect(nowhere?.code == .sessionFile)
    }

    /// Nothing in a file is believed: cut off anywhere or with any byte changed it is refused, and with a checksum that fits nothing worse
    /// happens than a refusal or an answer.
    @Test func hostileFilesAreRefused() async throws {
        let model = try tinyModel()
        let directory = try TemporaryDirectory()
        let path = directory.path("session")
        let session = LanguageModelSession(model: model, instructions: "be good")
        _ = try await session.respond(to: Prompt { testPicture(0, width: 9, height: 5); "what?"; testClip(0, samples: 1500) }, options: exactly(4))
        _ = try await session.respond(to: Prompt("the water and the sea"), options: exactly(4))
        try await session.save(to: path)
        let whole = try readFile(path)
        var random = RandomSource(seed: 5)
        func restore(_ bytes: [UInt8]) async throws -> Result<LanguageModelSession, SessionError> {
            try make(path, bytes)
            do throws(SessionError) {
                return .success(try await LanguageModelSession.restored(from: path, model: model))
            } catch {
                return .failure(error)
            }
        }
        var refused = 0
        for index in 0..<24 {
            if case .failure(let error) = try await restore(Array(whole.prefix(whole.count * index / 24))), error.code == .sessionFile { refused += 1 }
            var bytes = whole
            let place = index < 12 ? Int(random.next() % 4000) : Int(random.next() % UInt64(whole.count))
            bytes[place] ^= UInt8(1 << (random.next() % 8))
            if case .failure(let error) = try await restore(bytes), error.code == .sessionFile { refused += 1 }
            if case .failure(let error) = try await restore(whole + [UInt8](repeating: 0, count: 1 + index)), error.code == .sessionFile { refused += 1 }
        }
        #expect(refused == 72)
        // The header and the state are the first some thousand bytes.
        var answered = 0
        for index in 0..<120 {
            var bytes = whole
            for _ in 0...index % 3 {
                let place = 8 + Int(random.next() % (index % 4 == 0 ? UInt64(whole.count - 16) : 6000))
                // Digits become other digits: what still can be read is what is dangerous.
                bytes[place] = (48...57).contains(bytes[place]) ? 48 + UInt8(random.next() % 10) : index % 2 == 0 ? UInt8(random.next() % 256) : bytes[place]
            }
            var hash = ContentHash()
            hash.add(Array(bytes.dropLast(8)))
            bytes.replaceSubrange((bytes.count - 8)..., with: (0..<8).map { UInt8(truncatingIfNeeded: hash.value >> (8 * UInt64($0))) })
            guard case .success(let session) = try await restore(bytes) else { continue }
            answered += 1
            // A size that is none, or media that do not fit, may still be refused.
            _ = try? await session.respond(to: "hello", options: exactly(2))
            _ = try? session.rewindLastPrompt()
            _ = try? session.rewindLastPrompt()
            _ = try? await session.respond(to: "hello", options: exactly(2))
        }
        #expect(answered > 5)
        #expect(try await restore(whole).get().transcript.entries.count == 5)
    }
}
