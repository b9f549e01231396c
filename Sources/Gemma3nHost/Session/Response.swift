public import Gemma3n

/// An answer.
public struct Response: Sendable {
    /// The text; empty where tools are called.
    public let content: String
    /// Why it ended.
    public let finishReason: FinishReason
    /// Its token ids, without the one that ended it.
    public let tokens: [Int32]
    /// One for every token when `ResponseOptions.topLogProbabilities` was set.
    public let logProbabilities: [TokenProbabilities]
    public let statistics: ResponseStatistics
    /// The calls that the answer makes, where the finish reason is `toolCalls`; where it ended early, those that were whole.
    public internal(set) var toolCalls: [ToolCall] = []
    /// The stop string of `ResponseOptions.stopStrings` that ended it; nil if none did.
    public internal(set) var stopSequence: String?
    /// The answer as the model wrote it, where that is not `content`.
    var written: String?
}

/// How likely a token was, and which ones were likeliest.
public struct TokenProbabilities: Sendable {
    public let chosen: TokenLogProbability
    /// Likeliest first.
    public let top: [TokenLogProbability]
    /// Text that became certain with the token.
    public let text: String
}

/// What an answer cost. Times are in seconds.
public struct ResponseStatistics: Sendable, Equatable {
    /// Tokens of the whole conversation that the answer follows.
    public internal(set) var promptTokens = 0
    /// Those of them that stand for pictures, and for sounds.
    public internal(set) var promptImageTokens = 0
    public internal(set) var promptAudioTokens = 0
    /// Tokens of the conversation that stood in the cache already.
    public internal(set) var cachedTokens = 0
    public internal(set) var responseTokens = 0
    /// Those of them that the answer's shape determined: they were not chosen.
    public internal(set) var determinedTokens = 0
    /// Reading and decoding media files.
    public internal(set) var decodeMediaSeconds = 0.0
    /// Vision and audio encoders.
    public internal(set) var encodeSeconds = 0.0
    /// The new part of the prompt through the language model.
    public internal(set) var prefillSeconds = 0.0
    /// From the call to the first token, media and encoders included; 0 if there was none.
    public internal(set) var timeToFirstToken = 0.0
    /// From the first token to the last.
    public internal(set) var generationSeconds = 0.0
    /// What guessing ahead came to; nil without.
    public internal(set) var speculation: SpeculationStatistics?

    /// The part of the model that answered, and why; nil where no session chose.
    public internal(set) var size: SizeDecision?

    public init() {}

    mutating func count(_ prompt: EncodedPrompt, _ configuration: Gemma3nConfiguration) {
        promptTokens = prompt.tokens.count
        promptImageTokens = prompt.images.count * configuration.visionSoftTokensPerImage
        promptAudioTokens = prompt.clips.count * configuration.audioSoftTokensPerClip
    }

    /// Prompt tokens that had to be processed.
    public var newTokens: Int { promptTokens - cachedTokens }
    /// New prompt tokens per second; 0 if nothing was measured.
    public var prefillTokensPerSecond: Double { prefillSeconds > 0 ? Double(newTokens) / prefillSeconds : 0 }
    /// Tokens of the answer per second after the first; 0 if there were fewer than two.
    public var decodeTokensPerSecond: Double {
        generationSeconds > 0 && responseTokens > 1 ? Double(responseTokens - 1) / generationSeconds : 0
    }
}

/// An answer as it comes: an `AsyncSequence` of snapshots, each with everything said so far.
///
/// A slow reader misses snapshots but no text. Ending the loop early, or cancelling the task that reads, ends the answer;
/// `stop()` ends it too and lets the last snapshot through.
public struct ResponseStream: AsyncSequence, Sendable {
    public struct Snapshot: Sendable {
        /// The answer so far, whole characters only.
        public let content: String
        /// Tokens so far.
        public let tokenCount: Int
        /// As in `Response`, so far.
        public let logProbabilities: [TokenProbabilities]
        /// The whole answer, in the last snapshot only.
        public let response: Response?
        /// The calls so far.
        public internal(set) var toolCalls: [PartialToolCall] = []
    }

    public typealias Element = Snapshot

    let stream: AsyncThrowingStream<Snapshot, any Error>
    let request: ResponseRequest

    public func makeAsyncIterator() -> AsyncThrowingStream<Snapshot, any Error>.Iterator { stream.makeAsyncIterator() }

    /// Ends the answer after the token being made; what was said stands, with the finish reason `cancelled`.
    public func stop() { request.stop() }

    /// Waits for the whole answer.
    ///
    /// - Throws: `SessionError`; `CancellationError` if the task is cancelled.
    public func collect() async throws -> Response {
        for try await snapshot in stream {
            if let response = snapshot.response { return response }
        }
        throw CancellationError()
    }
}
