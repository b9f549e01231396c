package import Gemma3n
internal import Tensors

/// Measures the parts of an opened model, each beside what the machine allows in the same seconds.
///
/// Token ids are arithmetic sequences spread over the vocabulary: the per-layer table is read where a conversation would read
/// it, at a new place for every token.
package final class ModelMeasurement {
    /// One part, measured a few times.
    package struct Part {
        /// Seconds of every repetition, in order.
        package let seconds: [Double]
        /// The mean of the limits right before and right after.
        package let limits: MachineLimits

        package var median: Double { Self.median(seconds) }
        package var best: Double { seconds.min() ?? 0 }
        /// Repetitions a second, all together.
        package var rate: Double { Double(seconds.count) / seconds.reduce(0, +) }

        static func median(_ values: [Double]) -> Double {
            let sorted = values.sorted()
            guard !sorted.isEmpty else { return 0 }
            let middle = sorted.count / 2
            return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
        }
    }

    /// Thrown when `isStopped` said so.
    package struct Stopped: Error {}

    private let model: Gemma3nLanguageModel
    private let contextLength: Int
    private let repetitions: Int
    private let isStopped: () -> Bool
    private var decoder: TextDecoder?
    private var pool: ThreadPool?
    private var slice: ModelSlice?
    /// Bytes of weights that a token read in the last call of `decode`.
    package private(set) var bytesPerDecodedToken = 0.0
    /// The highest memory of this process so far, in bytes, without what measuring the limits takes.
    package private(set) var peakBytes = ProcessFigures.peakBytes
    /// False where the system cannot forget a peak: measuring the limits counts then.
    package private(set) var isPeakExact = true
    private let clock = ContinuousClock()

    /// A part is not begun again once its repetitions took so long.
    private static let enoughSeconds = 20.0

    package init(_ model: Gemma3nLanguageModel, contextLength: Int, repetitions: Int, isStopped: @escaping () -> Bool) {
        self.model = model
        self.contextLength = contextLength
        self.repetitions = max(1, repetitions)
        self.isStopped = isStopped
    }

    /// Measures with so many threads from now on.
    package func use(threads: Int) {
        if threads == pool?.threadCount { return }
        decoder = nil
        let pool = ThreadPool(threadCount: threads)
        let decoder = model.decoder(contextLength: contextLength, pool.parallelism)
        if let slice, let part = try? model.model.text.sliced(slice) { decoder.use(part) }
        self.decoder = decoder
        self.pool = pool
    }

    /// Measures a part of the model from now on.
    ///
    /// - Throws: What `TextModel.sliced` throws.
    package func use(_ slice: ModelSlice) throws(SliceError) {
        let part = try model.model.text.sliced(slice)
        self.slice = slice
        decoder?.use(part)
    }

    /// Seconds to go on with `slice` and back, half of it: the mean of many times.
    package func switching(to slice: ModelSlice) throws -> Double {
        let (decoder, _) = current()
        let text = model.model.text
        let here = decoder.model.slice
        let count = 50
        return try seconds {
            for _ in 0..<count {
                decoder.use(try text.sliced(slice))
                decoder.use(try text.sliced(here))
            }
        } / Double(2 * count)
    }

    private func token(_ index: Int) -> Int32 {
        let c = model.model.configuration.text
        return Int32((1000 + index * 37) % min(200_000, c.vocabSize, c.vocabSizePerLayerInput))
    }

    private func current() -> (TextDecoder, Parallelism) {
        guard let decoder, let pool else { preconditionFailure("use(threads:) comes first") }
        return (decoder, pool.parallelism)
    }

    /// What has to happen before the first token of an answer to a prompt of `count` tokens.
    package func firstToken(after count: Int) throws {
        try feed(count)
        notePeak()
    }

    private func feed(_ count: Int) throws {
        let (decoder, _) = current()
        decoder.reset()
        let tokens = (0..<count).map { $0 == 0 ? 2 : token($0) }
        let fed = try decoder.prefill(tokens, shouldContinue: { _ in !isStopped() }) { _, _ in }
        if fed < count { throw Stopped() }
    }

    /// Prompts of `count` tokens from an empty cache; seconds of each.
    package func prefill(_ count: Int) throws -> Part {
        try repeated { try feed(count) }
    }

    /// `count` tokens after another from an empty cache, `repetitions` times; seconds of each token.
    package func decode(_ count: Int) throws -> Part {
        let (decoder, _) = current()
        try feed(1)
        var seconds: [Double] = []
        let read = decoder.weightBytesRead
        defer { bytesPerDecodedToken = Double(decoder.weightBytesRead - read) / Double(max(1, seconds.count)) }
        let limits = try withLimits {
            let start = clock.now
            for _ in 0..<repetitions where start.duration(to: clock.now) / .seconds(1) < Self.enoughSeconds {
                decoder.reset()
                for index in 0..<count {
                    if isStopped() { throw Stopped() }
                    let token = index == 0 ? 2 : token(index * 211)
                    seconds.append(try self.seconds { try decoder.decode(token) { _ in } })
                }
            }
        }
        return Part(seconds: seconds, limits: limits)
    }

    /// Passes over so many tokens each, with the logits of all of them, as speculation makes them after 64 tokens; in turn, so that the
    /// machine's moods are shared.
    package func passes(_ counts: [Int]) throws -> [Part] {
        let (decoder, _) = current()
        let start = 64
        try feed(start)
        var seconds = counts.map { _ in [Double]() }
        let limits = try withLimits {
            for round in 0..<8 * repetitions where seconds.joined().reduce(0, +) < Self.enoughSeconds {
                for (index, count) in counts.enumerated() {
                    if isStopped() { throw Stopped() }
                    let tokens = (0..<count).map { token((round * 16 + $0) * 211) }
                    seconds[index].append(try self.seconds { try decoder.prefill(tokens, wanted: .all) { _, _ in } })
                    guard decoder.rewind(to: start) else { preconditionFailure("caches go back by a chunk") }
                }
            }
        }
        return seconds.map { Part(seconds: $0, limits: limits) }
    }

    /// Soft tokens of a noisy picture of the size that the model sees, preparation included; seconds. Nil without the encoder.
    package func image() throws -> Part? {
        guard let vision = model.model.vision else { return nil }
        let (_, parallelism) = current()
        let (width, height) = (vision.processor.configuration.width, vision.processor.configuration.height)
        var random = Noise()
        let picture = RGBImage(width: width, height: height, pixels: (0..<width * height * 3).map { _ in UInt8(truncatingIfNeeded: random.next() >> 24) })
        return try repeated { _ = try vision.softTokens(for: [picture], parallelism) }
    }

    /// Soft tokens of the longest clip of noise that is not cut, 30 s in the released checkpoints, mel features included. Nil
    /// without the encoder.
    package func audio() throws -> (seconds: Double, part: Part)? {
        guard let audio = model.model.audio else { return nil }
        let (_, parallelism) = current()
        var random = Noise()
        let clip = AudioClip(samples: (0..<audio.splitter.maxSampleCount).map { _ in Float(random.next() >> 8) / 16_777_216 * 0.2 - 0.1 })
        return (Double(clip.samples.count) / 16_000, try repeated { _ = try audio.softTokens(for: [clip], parallelism) })
    }

    private func repeated(_ body: () throws -> Void) throws -> Part {
        var seconds: [Double] = []
        let limits = try withLimits {
            while seconds.count < repetitions, seconds.reduce(0, +) < Self.enoughSeconds {
                if isStopped() { throw Stopped() }
                seconds.append(try self.seconds(body))
            }
        }
        return Part(seconds: seconds, limits: limits)
    }

    /// Runs `body` between two measurements of the limits.
    private func withLimits(_ body: () throws -> Void) throws -> MachineLimits {
        let before = limits()
        try body()
        notePeak()
        return before.mean(with: limits())
    }

    /// The limits now, in half a second; the memory it takes does not count for the peak.
    package func limits() -> MachineLimits {
        let (_, parallelism) = current()
        notePeak()
        let limits = MachineLimits.measure(parallelism, byteCount: 256 << 20, rounds: 3)
        isPeakExact = ProcessFigures.resetPeak() && isPeakExact
        return limits
    }

    private func notePeak() { peakBytes = max(peakBytes, ProcessFigures.peakBytes) }

    private func seconds(_ body: () throws -> Void) rethrows -> Double { try clock.measure(body) / .seconds(1) }

    private struct Noise {
        private var state: UInt32 = 7
        mutating func next() -> UInt32 {
            state = state &* 1_664_525 &+ 1_013_904_223
            return state
        }
    }
}
