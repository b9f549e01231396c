import Gemma3n
import Testing

/// Sampling against distributions worked out by hand, after the reference's processors.
struct SamplerTests {
    /// Shares of 60,000 draws, each with a fresh copy of `logits`.
    static func shares(_ logits: [Float], _ configure: (inout SamplingOptions) -> Void) throws -> [Double] {
        var options = SamplingOptions()
        options.temperature = 1
        options.seed = 7
        configure(&options)
        var sampler = try Sampler(options)
        var counts = [Int](repeating: 0, count: logits.count)
        let draws = 60_000
        for _ in 0..<draws {
            var row = logits
            let token = row.withUnsafeMutableBufferPointer { sampler.sample($0) }
            counts[Int(token)] += 1
        }
        return counts.map { Double($0) / Double(draws) }
    }

    static func softmax(_ logits: [Double]) -> [Double] {
        let largest = logits.max() ?? 0
        let weights = logits.map { power($0 - largest) }
        return weights.map { $0 / weights.reduce(0, +) }
    }

    /// e^x by its series of (1 + x/n)^n at n = 2^26, good to 1e-7 for the small x here: tests need no libm.
    static func power(_ x: Double) -> Double {
        if x < -700 { return 0 }
        var y = 1 + x / 0x1p26
        for _ in 0..<26 { y *= y }
        return y
    }

    /// Five standard deviations of a share of 60,000 draws.
    static let tolerance = 5 * 0.5 / 245

    static func expectShares(_ found: [Double], _ wanted: [Double]) {
        for (index, pair) in zip(found, wanted).enumerated() {
            #expect(abs(pair.0 - pair.1) < tolerance, "token \(index): \(pair.0), expected \(pair.1)")
            if pair.1 == 0 { #expect(pair.0 == 0, "token \(index) must never be drawn") }
        }
    }

    static let logits: [Float] = [0.5, 2, -1, 1.25, 0, 1.9]

    @Test(arguments: [0.5, 1, 2] as [Float]) func temperature(_ temperature: Float) throws {
        let found = try Self.shares(Self.logits) { $0.temperature = temperature }
        Self.expectShares(found, Self.softmax(Self.logits.map { Double($0 / temperature) }))
    }

    @Test func topK() throws {
        let found = try Self.shares(Self.logits) { $0.topK = 2 }
        let p = Self.softmax([2, 1.9])
        Self.expectShares(found, [0, p[0], 0, 0, 0, p[1]])
    }

    @Test func topPKeepsTheSmallestSetThatReachesIt() throws {
        // Probabilities .37 .34 .18 .08 .05 .02 by rank: 0.75 needs three tokens.
        let found = try Self.shares(Self.logits) { $0.topP = 0.75 }
        let p = Self.softmax([2, 1.9, 1.25])
        Self.expectShares(found, [0, p[0], 0, p[2], 0, p[1]])
        let one = try Self.shares(Self.logits) { $0.topP = 1e-6 }
        Self.expectShares(one, [0, 1, 0, 0, 0, 0])
    }

    @Test func minPIsRelativeToTheLikeliest() throws {
        // e^(1.25 - 2) = 0.47, e^(0.5 - 2) = 0.22.
        let found = try Self.shares(Self.logits) { $0.minP = 0.3 }
        let p = Self.softmax([2, 1.9, 1.25])
        Self.expectShares(found, [0, p[0], 0, p[2], 0, p[1]])
    }

    @Test func topPComesAfterTopK() throws {
        // Among the best two alone the first has 0.525: top-p 0.5 keeps it only.
        let found = try Self.shares(Self.logits) {
            $0.topK = 2
            $0.topP = 0.5
        }
        Self.expectShares(found, [0, 1, 0, 0, 0, 0])
    }

    /// The heap of few candidates and the full sort choose the same tokens.
    @Test func manyTokens() throws {
        var random = RandomSource(seed: 3)
        let logits = (0..<5000).map { _ in Float(random.nextUnit() * 8) }
        let best = logits.indices.sorted { logits[$0] > logits[$1] }
        for topK in [1, 3, 40, 600, 700, 4999] {
            var options = SamplingOptions()
            options.temperature = 3
            options.topK = topK
            options.seed = 1
            var sampler = try Sampler(options)
            let allowed = Set(best.prefix(topK).map { Int32($0) })
            var seen: Set<Int32> = []
            for _ in 0..<500 {
                var row = logits
                let token = row.withUnsafeMutableBufferPointer { sampler.sample($0) }
                #expect(allowed.contains(token))
                seen.insert(token)
            }
            #expect(seen.count >= min(topK, 30))
        }
    }

    @Test func greedyTakesTheFirstOfEquals() throws {
        var sampler = try Sampler(.greedy)
        var row: [Float] = [1, 3, .nan, 3, -1]
        #expect(row.withUnsafeMutableBufferPointer { sampler.sample($0) } == 1)
        row = [.nan, .nan]
        #expect(row.withUnsafeMutableBufferPointer { sampler.sample($0) } == 0)
        row = [-.infinity, -5]
        #expect(row.withUnsafeMutableBufferPointer { sampler.sample($0) } == 1)
    }

    @Test func penaltiesAndBias() throws {
        // Repetition: positive logits are divided, negative multiplied; prompt and answer count.
        var options = SamplingOptions()
        options.repetitionPenalty = 2
        var sampler = try Sampler(options, prompt: [0])
        var row: [Float] = [4, 3, -1]
        #expect(row.withUnsafeMutableBufferPointer { sampler.sample($0) } == 1)
        #expect(row == [2, 3, -1])
        row = [4, 3, -1]
        #expect(row.withUnsafeMutableBufferPointer { sampler.sample($0) } == 0)
        #expect(row == [2, 1.5, -1])

        // Presence once, frequency each time; the answer only.
        options = SamplingOptions()
        options.presencePenalty = 1
        options.frequencyPenalty = 0.5
        sampler = try Sampler(options, prompt: [1])
        for expected: [Float] in [[4, 0], [2.5, 0], [2, 0], [1.5, 0]] {
            row = [4, 0]
            _ = row.withUnsafeMutableBufferPointer { sampler.sample($0) }
            #expect(row == expected)
        }

        options = SamplingOptions()
        options.logitBias = [1: 10, 7: 3, -2: 3]
        sampler = try Sampler(options)
        row = [4, 0, 1]
        #expect(row.withUnsafeMutableBufferPointer { sampler.sample($0) } == 1)
    }

    @Test func seedDecides() throws {
        func text(_ seed: UInt64) throws -> [Int32] {
            var options = SamplingOptions()
            options.temperature = 1
            options.seed = seed
            var sampler = try Sampler(options)
            return (0..<50).map { _ in
                var row = Self.logits
                return row.withUnsafeMutableBufferPointer { sampler.sample($0) }
            }
        }
        #expect(try text(1) == text(1))
        #expect(try text(1) != text(2))
    }

    @Test func logProbabilitiesSumToOne() {
        var row = Self.logits
        let found = row.withUnsafeMutableBufferPointer { Sampler.logProbabilities($0, chosen: 2, top: 4) }
        let p = Self.softmax(Self.logits.map { Double($0) })
        #expect(found.top.map(\.token) == [1, 5, 3, 0])
        #expect(found.chosen.token == 2)
        for entry in found.top + [found.chosen] {
            #expect(abs(Self.power(Double(entry.logProbability)) - p[Int(entry.token)]) < 1e-6)
        }
    }

    static let wrongOptions: [(String, @Sendable (inout SamplingOptions) -> Void)] = [
        ("temperature is -1.0, expected 0 (greedy) or a positive number.", { $0.temperature = -1 }),
        ("temperature is nan, expected 0 (greedy) or a positive number.", { $0.temperature = .nan }),
        ("top_k is -3, expected 0 (all tokens) or a positive number.", { $0.topK = -3 }),
        ("top_p is 0.0, expected a probability above 0 and at most 1.", { $0.topP = 0 }),
        ("top_p is 1.5, expected a probability above 0 and at most 1.", { $0.topP = 1.5 }),
        ("min_p is 2.0, expected a probability from 0 to 1.", { $0.minP = 2 }),
        ("repetition_penalty is 0.0, expected a positive number.", { $0.repetitionPenalty = 0 }),
        ("logit_bias of token 3 is not a number.", { $0.logitBias = [3: .nan] }),
    ]

    @Test(arguments: wrongOptions.indices) func wrongOptionsAreNamed(_ index: Int) {
        let (sentence, change) = Self.wrongOptions[index]
        var options = SamplingOptions()
        change(&options)
        #expect(throws: GenerationError(.invalidOption, sentence)) { try Sampler(options) }
    }
}

/// Stop strings against a search of the whole text, whatever the pieces it comes in.
struct StopMatcherTests {
    static func run(_ pieces: [String], _ stops: [String]) -> (text: String, stop: String?) {
        var matcher = StopMatcher(stops)
        var out: [UInt8] = []
        for piece in pieces { out += matcher.push(Array(piece.utf8)) }
        out += matcher.finish()
        return (String(decoding: out, as: UTF8.self), matcher.found)
    }

    @Test func stopsAcrossPieces() {
        #expect(Self.run(["Hel", "lo EN", "D of", " it"], ["END"]) == ("Hello ", "END"))
        #expect(Self.run(["Hello EN", "T"], ["END"]) == ("Hello ENT", nil))
        #expect(Self.run(["Hello EN"], ["END"]) == ("Hello EN", nil))
        #expect(Self.run(["aab"], ["ab"]) == ("a", "ab"))
        #expect(Self.run(["x"], []) == ("x", nil))
        #expect(Self.run(["x"], [""]) == ("x", nil))
        #expect(Self.run(["grüß", " Gott"], ["ß G"]) == ("grü", "ß G"))
        #expect(Self.run(["a", "bc"], ["bc", "b", "abc"]) == ("", "abc"))
        #expect(Self.run(["abc"], ["abcd", "abc", "ab"]) == ("", "ab"))
        #expect(Self.run(["ab", "c"], ["abcd", "abc", "ab"]) == ("", "ab"))
    }

    @Test func anyPiecesGiveTheSameText() {
        var random = RandomSource(seed: 11)
        for _ in 0..<2000 {
            let text = String((0..<12).map { _ in "abc"[String.Index(utf16Offset: Int(random.next() % 3), in: "abc")] })
            let stops = (0..<2).map { _ in
                String((0..<1 + Int(random.next() % 4)).map { _ in "abc"[String.Index(utf16Offset: Int(random.next() % 3), in: "abc")] })
            }
            var pieces: [String] = []
            var rest = Substring(text)
            while !rest.isEmpty {
                let count = 1 + Int(random.next() % 4)
                pieces.append(String(rest.prefix(count)))
                rest = rest.dropFirst(count)
            }
            let bytes = Array(text.utf8)
            let first = bytes.indices.first { i in stops.contains { bytes[i...].starts(with: $0.utf8) } }
            let expected = String(decoding: bytes[..<(first ?? bytes.count)], as: UTF8.self)
            let stop = first.flatMap { i in stops.filter { bytes[i...].starts(with: $0.utf8) }.min { $0.utf8.count < $1.utf8.count } }
            #expect(Self.run(pieces, stops) == (expected, stop), "\(pieces) \(stops)")
        }
    }
}
