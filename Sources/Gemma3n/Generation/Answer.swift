internal import Tokenization

/// An answer while it is made: takes one row of logits after the other, whoever computed them, and chooses.
struct Answer {
    private let options: GenerationOptions
    private let stops: Set<Int32>
    /// Rows of the tied head that are no token's own: `maskUnsayable`.
    private let unsayable: Range<Int>
    /// The one place where callers rule tokens out, of guesses and of the answer alike.
    private let allow: TokenFilter?
    /// A value: a copy draws the same numbers without using them up.
    private(set) var sampler: Sampler
    private var stream: TextStream
    private(set) var result = GenerationResult()
    /// The logits of the token chosen last, before penalties; kept where log-probabilities are asked for.
    private var unadjusted: [Float]?

    /// - Parameter prompt: Tokens before the answer.
    /// - Throws: `invalidOption`.
    init(
        _ options: GenerationOptions, _ model: Gemma3nModel, prompt: [Int32], allow: TokenFilter?
    ) throws(GenerationError) {
        guard options.maxTokens >= 0 else {
            throw GenerationError(.invalidOption, "max_tokens is \(options.maxTokens), expected 0 or more.")
        }
        if let top = options.topLogProbabilities, top < 0 || top > 1000 {
            throw GenerationError(.invalidOption, "top_logprobs is \(top), expected 0 to 1000.")
        }
        try options.speculation.validate()
        self.options = options
        self.allow = allow
        let c = model.configuration
        let first = c.layout == .multimodal ? min(c.text.vocabSizePerLayerInput, c.text.vocabSize) : c.text.vocabSize
        unsayable = first..<c.text.vocabSize
        sampler = try Sampler(options.sampling, prompt: prompt)
        stops = Set(options.stopTokens)
        stream = TextStream(model.tokenizer, stopStrings: options.stopStrings)
        result.finishReason = .length
    }

    /// Tokens the answer may still have.
    var remaining: Int { options.maxTokens - result.tokens.count }

    /// Whether a token can be followed by another one: whether it is worth guessing on behind it.
    func goesOn(after token: Int32) -> Bool { !stops.contains(token) && !unsayable.contains(Int(token)) }

    /// Chooses the next token.
    ///
    /// - Parameter row: Its logits; changed as they are adjusted.
    /// - Returns: Nil where the answer ends instead.
    /// - Throws: `notANumber` if the weights give no logits.
    mutating func choose(_ row: UnsafeMutableBufferPointer<Float>) throws(GenerationError) -> Int32? {
        maskUnsayable(row)
        if options.topLogProbabilities != nil { unadjusted = Array(row) }
        allow?(row, result.tokens)
        let token = sampler.sample(row)
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

    /// The token after `drafted` that `choose` would choose if these were in the answer, with random numbers of a copy.
    func guess(_ row: UnsafeMutableBufferPointer<Float>, after drafted: [Int32], _ copy: inout Sampler) -> Int32 {
        maskUnsayable(row)
        allow?(row, result.tokens + drafted)
        return copy.sample(row)
    }

    /// Soft tokens, and the marks of media's ends, are never an answer: their rows of the tied head are copies of padding.
    private func maskUnsayable(_ row: UnsafeMutableBufferPointer<Float>) {
        for id in unsayable where id < row.count { row[id] = -.infinity }
    }

    /// Puts a chosen token to the answer.
    ///
    /// - Returns: Whether the answer goes on.
    mutating func add(_ token: Int32, onToken: (GeneratedToken) -> Bool) -> Bool {
        result.tokens.append(token)
        let text = stream.push(token)
        result.text += text
        let probabilities = unadjusted.map { values -> (chosen: TokenLogProbability, top: [TokenLogProbability]) in
            var values = values
            return values.withUnsafeMutableBufferPointer {
                Sampler.logProbabilities($0, chosen: token, top: options.topLogProbabilities ?? 0)
            }
        }
        let goOn = onToken(
            GeneratedToken(
                token: token, text: text, logProbability: probabilities?.chosen, topLogProbabilities: probabilities?.top ?? []))
        if stream.isStopped {
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

    var isStopped: Bool { matcher.isStopped }

    mutating func push(_ token: Int32) -> String {
        String(decoding: matcher.push(Array(decoder.push(token).utf8)), as: UTF8.self)
    }

    mutating func finish() -> String {
        let rest = matcher.push(Array(decoder.finish().utf8))
        return String(decoding: rest + matcher.finish(), as: UTF8.self)
    }
}
