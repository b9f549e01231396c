internal import CKernels

/// A token's log-probability under the model, before temperature and penalties.
public struct TokenLogProbability: Sendable, Equatable {
    public let token: Int32
    public let logProbability: Float

    public init(token: Int32, logProbability: Float) {
        self.token = token
        self.logProbability = logProbability
    }
}

/// Chooses tokens from logits; remembers what was said, for the penalties, and its random numbers.
public struct Sampler: Sendable {
    public let options: SamplingOptions
    private var random: RandomSource
    /// Tokens of the prompt: they count for the repetition penalty only.
    private var prompted: Set<Int32> = []
    /// How often each token stands in the answer so far.
    private var said: [Int32: Int] = [:]
    private var candidates: [Candidate] = []

    private struct Candidate {
        var token: Int32
        var value: Float

        /// Likelier first; equal ones by id, so that the order is total.
        static func precedes(_ a: Candidate, _ b: Candidate) -> Bool { a.value > b.value || (a.value == b.value && a.token < b.token) }
    }

    /// - Throws: `invalidOption`.
    public init(_ options: SamplingOptions, prompt: [Int32] = []) throws(GenerationError) {
        try options.validate()
        self.options = options
        random = RandomSource(seed: options.seed ?? 0)
        if options.repetitionPenalty != 1 { prompted = Set(prompt) }
    }

    /// Chooses the next token and remembers it.
    ///
    /// - Parameter logits: `V` values; the penalties are applied to them in place. NaN is never chosen.
    public mutating func sample(_ logits: UnsafeMutableBufferPointer<Float>) -> Int32 {
        adjust(logits)
        let token = options.temperature == 0 ? Self.argmax(logits) : draw(logits)
        said[token, default: 0] += 1
        return token
    }

    /// Remembers a token chosen elsewhere.
    public mutating func accept(_ token: Int32) { said[token, default: 0] += 1 }

    /// The index of the largest value, the first of equals; 0 if all are NaN.
    public static func argmax(_ logits: UnsafeMutableBufferPointer<Float>) -> Int32 {
        var best = 0
        var value = -Float.infinity
        for i in 0..<logits.count where logits[i] > value {
            value = logits[i]
            best = i
        }
        return Int32(truncatingIfNeeded: best)
    }

    private func adjust(_ logits: UnsafeMutableBufferPointer<Float>) {
        func valid(_ token: Int32) -> Bool { token >= 0 && Int(token) < logits.count }
        if options.repetitionPenalty != 1 {
            let penalty = options.repetitionPenalty
            for token in prompted.union(said.keys) where valid(token) {
                let value = logits[Int(token)]
                logits[Int(token)] = value > 0 ? value / penalty : value * penalty
            }
        }
        if options.presencePenalty != 0 || options.frequencyPenalty != 0 {
            for (token, count) in said where valid(token) {
                logits[Int(token)] -= options.presencePenalty + options.frequencyPenalty * Float(count)
            }
        }
        for (token, bias) in options.logitBias where valid(token) { logits[Int(token)] += bias }
    }

    private mutating func draw(_ logits: UnsafeMutableBufferPointer<Float>) -> Int32 {
        collectCandidates(logits)
        guard let first = candidates.first else { return 0 }
        let largest = first.value
        guard largest.isFinite else { return first.token }

        // Probabilities of the sorted candidates, up to a common factor.
        var total = 0.0
        for i in 0..<candidates.count {
            let p = ck_exp(Double((candidates[i].value - largest) / options.temperature))
            candidates[i].value = Float(p)
            total += Double(candidates[i].value)
        }
        var count = candidates.count
        if options.topP < 1 {
            var mass = 0.0
            count = 0
            while count < candidates.count, mass < Double(options.topP) * total {
                mass += Double(candidates[count].value)
                count += 1
            }
        }
        if options.minP > 0 {
            while count > 1, candidates[count - 1].value < options.minP { count -= 1 }
        }
        count = max(1, count)
        var kept = 0.0
        for i in 0..<count { kept += Double(candidates[i].value) }
        var point = random.nextUnit() * kept
        for i in 0..<count {
            point -= Double(candidates[i].value)
            if point < 0 { return candidates[i].token }
        }
        return candidates[count - 1].token
    }

    /// The `topK` likeliest tokens (all if 0), likeliest first, into `candidates`.
    private mutating func collectCandidates(_ logits: UnsafeMutableBufferPointer<Float>) {
        candidates.removeAll(keepingCapacity: true)
        let limit = options.topK == 0 ? logits.count : min(options.topK, logits.count)
        if limit < logits.count / 8 {
            // A heap of the best so far, the worst of them on top.
            for i in 0..<logits.count where !logits[i].isNaN {
                let candidate = Candidate(token: Int32(truncatingIfNeeded: i), value: logits[i])
                if candidates.count < limit {
                    candidates.append(candidate)
                    siftUp(candidates.count - 1)
                } else if Candidate.precedes(candidate, candidates[0]) {
                    candidates[0] = candidate
                    siftDown()
                }
            }
            // In place: the worst goes to the end of what is left, again and again.
            var end = candidates.count
            while end > 1 {
                end -= 1
                candidates.swapAt(0, end)
                siftDown(to: end)
            }
        } else {
            // Tokens too unlikely to be drawn need not be sorted: e^-30 of the likeliest is below one in a billion billionth.
            var largest = -Float.infinity
            for i in 0..<logits.count where logits[i] > largest { largest = logits[i] }
            let floor = options.topK == 0 ? largest - 45 * options.temperature : -Float.infinity
            for i in 0..<logits.count where logits[i] >= floor {
                candidates.append(Candidate(token: Int32(truncatingIfNeeded: i), value: logits[i]))
            }
            candidates.sort(by: Candidate.precedes)
            if candidates.count > limit { candidates.removeLast(candidates.count - limit) }
        }
    }

    private mutating func siftUp(_ start: Int) {
        var i = start
        while i > 0, Candidate.precedes(candidates[(i - 1) / 2], candidates[i]) {
            candidates.swapAt(i, (i - 1) / 2)
            i = (i - 1) / 2
        }
    }

    /// - Parameter end: The heap is what lies before; all of it if nil.
    private mutating func siftDown(to end: Int? = nil) {
        let end = end ?? candidates.count
        var i = 0
        while true {
            var worst = i
            for child in [2 * i + 1, 2 * i + 2] where child < end && Candidate.precedes(candidates[worst], candidates[child]) {
                worst = child
            }
            if worst == i { return }
            candidates.swapAt(i, worst)
            i = worst
        }
    }

    /// Log-probabilities of `chosen` and of the `count` likeliest tokens, likeliest first, from unadjusted logits.
    public static func logProbabilities(
        _ logits: UnsafeMutableBufferPointer<Float>, chosen: Int32, top count: Int
    ) -> (chosen: TokenLogProbability, top: [TokenLogProbability]) {
        var largest = -Float.infinity
        for value in logits where value > largest { largest = value }
        var sum = 0.0
        for value in logits where !value.isNaN { sum += ck_exp(Double(value - largest)) }
        let normalizer = Double(largest) + ck_log(sum)
        func entry(_ token: Int) -> TokenLogProbability {
            TokenLogProbability(token: Int32(truncatingIfNeeded: token), logProbability: Float(Double(logits[token]) - normalizer))
        }
        var top: [Int] = []
        for i in 0..<logits.count where logits[i] > -.infinity {
            if top.count == count, let last = top.last, !(logits[i] > logits[last]) { continue }
            if count == 0 { break }
            let place = top.firstIndex { logits[i] > logits[$0] } ?? top.count
            top.insert(i, at: place)
            if top.count > count { top.removeLast() }
        }
        return (entry(Int(chosen)), top.map(entry))
    }
}
