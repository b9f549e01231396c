internal import Constraints
internal import Tokenization

/// An answer while it is made: takes one row of logits after the other, whoever computed them, and chooses.
struct Answer {
    private let options: GenerationOptions
    private let stops: Set<Int32>
    private let tokenizer: Tokenizer
    /// Rows of the tied head that are no token's own: `maskUnsayable`.
    private let unsayable: Range<Int>
    /// How the next tokens are chosen. A value: a copy chooses the same ones without using anything up.
    private(set) var choice: Choice
    private var stream: TextStream
    private(set) var result = GenerationResult()
    /// The logits of the token chosen last, of allowed tokens and before penalties; kept where log-probabilities are asked for.
    private var unadjusted: [Float]?
    /// Tokens of the answer that have not been fed.
    private(set) var pending: [Int32] = []

    /// What decides on a token besides the logits, and changes with every token.
    struct Choice {
        var sampler: Sampler
        /// What the answer is held to: the one place where tokens are ruled out, of guesses and of the answer alike.
        var matcher: ConstraintMatcher?

        /// Sets the logits of tokens that may not come next to minus infinity.
        ///
        /// - Returns: Whether any token may.
        mutating func rule(_ row: UnsafeMutableBufferPointer<Float>) -> Bool {
            guard let mask = matcher?.mask() else { return true }
            for word in 0..<(row.count + 63) / 64 {
                let bits = word < mask.words.count ? mask.words[word] : 0
                if bits == .max { continue }
                let start = word * 64
                for i in 0..<min(64, row.count - start) where bits >> UInt64(i) & 1 == 0 { row[start + i] = -.infinity }
            }
            return mask.count > 0
        }
    }

    /// - Parameter prompt: Tokens before the answer.
    /// - Throws: `invalidOption`.
    init(
        _ options: GenerationOptions, _ model: Gemma3nModel, prompt: [Int32], _ matcher: ConstraintMatcher?
    ) throws(GenerationError) {
        guard options.maxTokens >= 0 else {
            throw GenerationError(.invalidOption, "max_tokens is \(options.maxTokens), expected 0 or more.")
        }
        if let top = options.topLogProbabilities, top < 0 || top > 1000 {
            throw GenerationError(.invalidOption, "top_logprobs is \(top), expected 0 to 1000.")
        }
        try options.speculation.validate()
        self.options = options
        tokenizer = model.tokenizer
        let c = model.configuration
        let first = c.layout == .multimodal ? min(c.text.vocabSizePerLayerInput, c.text.vocabSize) : c.text.vocabSize
        unsayable = first..<c.text.vocabSize
        choice = Choice(sampler: try Sampler(options.sampling, prompt: prompt), matcher: matcher)
        stops = Set(options.stopTokens)
        stream = TextStream(model.tokenizer, stopStrings: options.stopStrings)
        result.finishReason = .length
    }

    // MARK: Turns

    /// What comes after a row of logits.
    enum Turn {
        /// These tokens are to be fed, for the logits of the last; they are `pending` until `wasFed`.
        case feed(isDetermined: Bool)
        case ended(FinishReason?)
    }

    /// Takes a row of logits: chooses a token, or takes those that are determined.
    ///
    /// - Parameters:
    ///   - row: The logits after everything fed so far; changed as they are adjusted.
    ///   - room: Tokens that may still be fed.
    /// - Throws: `notANumber` if the weights give no logits; `deadEnd` if no token continues a constrained answer.
    mutating func turn(
        _ row: UnsafeMutableBufferPointer<Float>, room: Int, onToken: (GeneratedToken) -> Bool
    ) throws(GenerationError) -> Turn {
        if remaining <= 0 { return .ended(nil) }
        if isWhole { return .ended(.stop) }
        let determined = determined()
        if determined.isEmpty {
            guard let token = try choose(row) else { return .ended(nil) }
            pending.append(token)
            guard add(token, onToken: onToken) else { return .ended(nil) }
            if room < 1 { return .ended(.contextFull) }
            return isWhole ? .ended(.stop) : .feed(isDetermined: false)
        }
        for token in determined {
            pending.append(token)
            guard take(token, onToken: onToken) else { return .ended(nil) }
        }
        return pending.count > room ? .ended(.contextFull) : .feed(isDetermined: true)
    }

    /// What was pending is in the caches.
    mutating func wasFed() { pending.removeAll(keepingCapacity: true) }

    /// Tokens the answer may still have.
    var remaining: Int { options.maxTokens - result.tokens.count }

    /// Whether a token can be followed by another one: whether it is worth guessing on behind it.
    func goesOn(after token: Int32) -> Bool { !stops.contains(token) && !unsayable.contains(Int(token)) }

    /// Chooses the next token; nil where the answer ends instead.
    private mutating func choose(_ row: UnsafeMutableBufferPointer<Float>) throws(GenerationError) -> Int32? {
        maskUnsayable(row)
        if !choice.rule(row) {
            throw GenerationError(
                .deadEnd, "No token of the vocabulary continues the answer as its schema or grammar wants it: the vocabulary lacks single bytes.")
        }
        if options.topLogProbabilities != nil { unadjusted = Array(row) }
        let token = choice.sampler.sample(row)
        if !(row[Int(token)] > -.infinity) {
            throw GenerationError(
                .notANumber, "The model's logits are not numbers: its weights are damaged, or hold values float32 cannot carry through. Check the download.")
        }
        if stops.contains(token) {
            result.finishReason = .stop
            result.stopToken = token
            return nil
        }
        return token
    }

    /// The token that `choose` would choose after those that a copy of `choice` has chosen already.
    func guess(_ row: UnsafeMutableBufferPointer<Float>, _ copy: inout Choice) -> Int32 {
        maskUnsayable(row)
        _ = copy.rule(row)
        let token = copy.sampler.sample(row)
        _ = copy.matcher?.advance(token: token)
        return token
    }

    /// Whether nothing may follow: the answer is whole.
    private var isWhole: Bool { choice.matcher?.isFinished ?? false }

    /// As many of the tokens as may follow each other here.
    func allowed(_ tokens: [Int32]) -> [Int32] {
        guard var matcher = choice.matcher else { return Array(tokens.prefix { goesOn(after: $0) }) }
        return Array(tokens.prefix { goesOn(after: $0) && matcher.advance(token: $0) })
    }

    /// The tokens that come next whatever the model says, as the tokenizer writes their text.
    private func determined() -> [Int32] {
        guard let matcher = choice.matcher else { return [] }
        return Array(matcher.forcedTokens(tokenizer).prefix(max(0, remaining)))
    }

    /// Puts a determined token to the answer: its probability is 1.
    ///
    /// - Returns: Whether the answer goes on.
    private mutating func take(_ token: Int32, onToken: (GeneratedToken) -> Bool) -> Bool {
        choice.sampler.accept(token)
        result.determinedTokens += 1
        let certain = TokenLogProbability(token: token, logProbability: 0)
        return add(token, options.topLogProbabilities.map { (certain, $0 > 0 ? [certain] : []) }, onToken)
    }

    /// Soft tokens, and the marks of media's ends, are never an answer: their rows of the tied head are copies of padding.
    private func maskUnsayable(_ row: UnsafeMutableBufferPointer<Float>) {
        for id in unsayable where id < row.count { row[id] = -.infinity }
    }

    /// Puts a chosen token to the answer.
    ///
    /// - Returns: Whether the answer goes on.
    private mutating func add(_ token: Int32, onToken: (GeneratedToken) -> Bool) -> Bool {
        let probabilities = unadjusted.map { values -> (chosen: TokenLogProbability, top: [TokenLogProbability]) in
            var values = values
            return values.withUnsafeMutableBufferPointer {
                Sampler.logProbabilities($0, chosen: token, top: options.topLogProbabilities ?? 0)
            }
        }
        return add(token, probabilities, onToken)
    }

    private mutating func add(
        _ token: Int32, _ probabilities: (chosen: TokenLogProbability, top: [TokenLogProbability])?, _ onToken: (GeneratedToken) -> Bool
    ) -> Bool {
        result.tokens.append(token)
        _ = choice.matcher?.advance(token: token)
        let text = stream.push(token)
        result.text += text
        let goOn = onToken(
            GeneratedToken(
                token: token, text: text, logProbability: probabilities?.chosen, topLogProbabilities: probabilities?.top ?? []))
        if stream.foundStop != nil {
            result.finishReason = .stop
        } else if !goOn {
            result.finishReason = .cancelled
        } else {
            return remaining > 0
        }
        return false
    }

    /// The whole answer.
    mutating func finished(_ reason: FinishReason? = nil, _ speculation: SpeculationStatistics?) -> GenerationResult {
        if let reason { result.finishReason = reason }
        result.text += stream.finish()
        if let found = stream.foundStop { (result.stopString, result.finishReason) = (found, .stop) }
        result.speculation = speculation
        return result
    }
}

/// Text of tokens as they come: whole characters only, and never part of a stop string.
struct TextStream {
    private var decoder: StreamingDecoder
    private var matcher: StopMatcher

    init(_ tokenizer: Tokenizer, stopStrings: [String]) {
        decoder = StreamingDecoder(tokenizer)
        matcher = StopMatcher(stopStrings)
    }

    /// The stop string that ended it.
    var foundStop: String? { matcher.found }

    mutating func push(_ token: Int32) -> String {
        let text = decoder.push(token)
        return matcher.isEmpty ? text : String(decoding: matcher.push(Array(text.utf8)), as: UTF8.self)
    }

    mutating func finish() -> String {
        let rest = matcher.push(Array(decoder.finish().utf8))
        return String(decoding: rest + matcher.finish(), as: UTF8.self)
    }
}
