import Checkpoint
import Constraints
import Tensors
import TestSupport
import Testing
import Tokenization

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

private let samples = getenv("GEMMA3N_SAMPLES").map { String(cString: $0) }
private let realVocabulary = getenv("GEMMA3N_TOKENIZER").map { String(cString: $0) }

/// Random walks over masks: what a model of random weights would write.
@Suite(.serialized) struct SampleTests {
    /// The schemas of the test suite and of `Oracle/constraint_schemas.py`.
    static func schemas() throws -> [(name: String, schema: JSONValue)] {
        let suite = try JSONValue.parse(try readBytes(Fixtures.path("constraints/suite.json")), file: "suite.json")
        let others = try JSONValue.parse(try readBytes(Fixtures.path("constraints/schemas.json")), file: "schemas.json")
        return try ((suite["groups"]?.array ?? []) + (others.array ?? [])).map { entry in
            ((entry["name"] ?? entry["description"])?.string ?? "", try #require(entry["schema"]))
        }
    }

    /// Schemas that compile, written in one way or another.
    static func machines(_ vocabulary: TokenVocabulary) throws -> [(index: Int, machine: ConstraintMachine)] {
        var result: [(Int, ConstraintMachine)] = []
        for (i, entry) in try schemas().enumerated() {
            var options = SchemaOptions()
            options.undeclaredProperties = i % 3 != 0
            options.anyPropertyOrder = i % 3 == 2
            if i % 3 == 1 { options.whitespace = .free(maximumRun: 3) }
            guard let constraint = try? Constraint(jsonSchema: entry.schema, options: options) else { continue }
            result.append((i, ConstraintMachine(constraint, vocabulary, maximumPositions: 4096, maximumMaskBytes: 2 << 20)))
        }
        return result
    }

    @Test func noWalkIsStuck() throws {
        var random = Lottery(seed: 1)
        var finished = 0
        let machines = try Self.machines(SmallVocabulary.vocabulary)
        #expect(machines.count > 350)
        for (index, machine) in machines {
            for _ in 0..<2 {
                let walk = randomWalk(machine, &random, limit: 60)
                #expect(walk != .deadEnd, "schema \(index)")
                guard case .finished(let text) = walk else { continue }
                finished += 1
                #expect(throws: Never.self, "\(String(decoding: text, as: UTF8.self))") { try JSONValue.parse(text, file: "") }
            }
        }
        #expect(finished > 300)
    }

    /// `GEMMA3N_SAMPLES=FOLDER` writes 10,000 walks for `Oracle/validate_samples.py`, 1,500 of them over the real vocabulary if
    /// `GEMMA3N_TOKENIZER` names it. Logits that are independent and random choose evenly, whatever the temperature.
    @Test(.enabled(if: samples != nil)) func forThePackage() throws {
        let folder = try #require(samples)
        var vocabularies = [SmallVocabulary.vocabulary]
        if let realVocabulary {
            let tokenizer = try Tokenizer(json: ByteRegion(copying: try readBytes("\(realVocabulary)/tokenizer.json")))
            vocabularies.append(TokenVocabulary(tokenizer, endTokens: [try #require(tokenizer.id(of: "<end_of_turn>"))]))
        }
        var random = Lottery(seed: 2)
        var texts: [JSONValue] = []
        var (finished, unfinished) = (0, 0)
        for vocabulary in vocabularies {
            let machines = try Self.machines(vocabulary)
            for n in 0..<(vocabularies.count == 1 ? 10_000 : vocabulary.count > 1000 ? 1500 : 8500) {
                let (index, machine) = machines[n % machines.count]
                switch randomWalk(machine, &random, limit: 120) {
                case .finished(let text):
                    finished += 1
                    texts.append([.number(JSONNumber(index)), .string(String(decoding: text, as: UTF8.self))])
                case .length: unfinished += 1
                case .deadEnd: Issue.record("schema \(index) is stuck")
                }
            }
            print("\(machines.count) schemas, \(vocabulary.count) tokens: \(finished) walks finished so far, \(unfinished) ended with their length")
        }
        let schemas = JSONValue.array(try Self.schemas().map { ["name": .string($0.name), "schema": $0.schema] })
        for (name, value) in [("schemas", schemas), ("samples", JSONValue.array(texts))] {
            let file = try #require(fopen("\(folder)/\(name).json", "w"))
            fputs(value.serialized(), file)
            fclose(file)
        }
    }

    /// `GEMMA3N_TOKENIZER=real swift test -c release --filter SampleTests` prints how long compiling and masks take.
    @Test(.enabled(if: realVocabulary != nil)) func timing() throws {
        let folder = try #require(realVocabulary)
        let tokenizer = try Tokenizer(json: ByteRegion(copying: try readBytes("\(folder)/tokenizer.json")))
        let end = try #require(tokenizer.id(of: "<end_of_turn>"))
        let (vocabulary, seconds) = measured { TokenVocabulary(tokenizer, endTokens: [end]) }
        print("\(vocabulary.count) tokens: trees in \(Int(seconds * 1000)) ms")
        var all: [[Double]] = [[], []]
        let schemas = try JSONValue.parse(try readBytes(Fixtures.path("constraints/schemas.json")), file: "schemas.json")
        for entry in schemas.array ?? [] {
            guard let text = entry["text"]?.string, let schema = entry["schema"] else { continue }
            var compiling: [Double] = []
            var constraint = try Constraint(jsonSchema: schema)
            for _ in 0..<5 {
                let (result, seconds) = try measured { try Constraint(jsonSchema: schema) }
                constraint = result
                compiling.append(seconds)
            }
            let machine = ConstraintMachine(constraint, vocabulary)
            let ids = tokenizer.encode(text, recognizesSpecialTokens: false)
            var line = "\(entry["name"]?.string ?? ""): compiles in \(microseconds(compiling.min() ?? 0)); \(ids.count) tokens"
            for round in 0...1 {
                var times: [Double] = []
                var matcher = ConstraintMatcher(machine)
                for id in ids + [end] {
                    let (mask, seconds) = measured { matcher.mask() }
                    times.append(seconds)
                    let isTaken = matcher.advance(token: id)
                    #expect(mask.contains(id) && isTaken)
                }
                all[round] += times
                line += ", masks \(round == 0 ? "first" : "again") \(quantiles(times))"
            }
            var matcher = ConstraintMatcher(machine)
            var (place, forced) = (0, 0)
            while place < ids.count {
                let determined = matcher.forcedTokens(tokenizer)
                #expect(Array(ids[place...].prefix(determined.count)) == determined)
                forced += determined.count
                for id in determined.isEmpty ? [ids[place]] : determined { _ = matcher.advance(token: id) }
                place += max(determined.count, 1)
            }
            print(line + ", \(forced) determined")
        }
        print("all: masks first \(quantiles(all[0])), again \(quantiles(all[1]))")
    }

    private func quantiles(_ seconds: [Double]) -> String {
        let sorted = seconds.sorted()
        return "median \(microseconds(sorted[sorted.count / 2])), p99 \(microseconds(sorted[sorted.count * 99 / 100])), most \(microseconds(sorted[sorted.count - 1]))"
    }

    private func microseconds(_ seconds: Double) -> String { "\(Int((seconds * 1e6).rounded())) us" }
}

/// A value and the processor time this thread took to make it.
private func measured<Value>(_ body: () throws -> Value) rethrows -> (Value, seconds: Double) {
    func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
    let start = now()
    let value = try body()
    return (value, now() - start)
}
