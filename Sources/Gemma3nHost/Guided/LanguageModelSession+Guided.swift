internal import Checkpoint
internal import Gemma3n

/// An answer that is a value.
public struct TypedResponse<Content: Sendable>: Sendable {
    public let content: Content
    public let rawContent: GeneratedContent
    /// The answer as text, with what it cost.
    public let response: Response
}

extension LanguageModelSession {
    /// Answers with a value: the answer's text always fits the type's schema.
    ///
    /// - Parameters:
    ///   - includeSchemaInPrompt: Whether the model is shown the schema. Without it only the shape is sure; the model does not know what
    ///     properties are for.
    /// - Throws: As `respond(to:options:)`; `unsupportedGuide` for a schema that cannot be kept to; `decodingFailure` if the answer ended
    ///   before the value was whole.
    public func respond<Content: Generable>(
        to prompt: some PromptRepresentable, generating type: Content.Type = Content.self, includeSchemaInPrompt: Bool = true,
        options: ResponseOptions = ResponseOptions()
    ) async throws -> TypedResponse<Content> {
        let typed = try await respond(to: prompt, schema: Content.generationSchema, includeSchemaInPrompt: includeSchemaInPrompt, options: options)
        return TypedResponse(content: try Content(typed.content), rawContent: typed.rawContent, response: typed.response)
    }

    /// Answers with a value that fits a schema made at run time.
    ///
    /// - Throws: As `respond(to:generating:includeSchemaInPrompt:options:)`.
    public func respond(
        to prompt: some PromptRepresentable, schema: GenerationSchema, includeSchemaInPrompt: Bool = true,
        options: ResponseOptions = ResponseOptions()
    ) async throws -> TypedResponse<GeneratedContent> {
        let (prompt, options) = asking(prompt, schema, includeSchemaInPrompt, options)
        let response = try await respond(to: prompt, options: options)
        let content = try response.value()
        return TypedResponse(content: content, rawContent: content, response: response)
    }

    /// Answers with a value, part by part. Errors come when the stream is read.
    public func streamResponse<Content: Generable>(
        to prompt: some PromptRepresentable, generating type: Content.Type = Content.self, includeSchemaInPrompt: Bool = true,
        options: ResponseOptions = ResponseOptions()
    ) -> TypedResponseStream<Content> {
        let (prompt, options) = asking(prompt, Content.generationSchema, includeSchemaInPrompt, options)
        return TypedResponseStream(stream: streamResponse(to: prompt, options: options))
    }

    private func asking(
        _ prompt: some PromptRepresentable, _ schema: GenerationSchema, _ includesSchema: Bool, _ options: ResponseOptions
    ) -> (Prompt, ResponseOptions) {
        var (prompt, options) = (prompt.promptRepresentation, options)
        let json = schema.json
        options.shape = .jsonSchema(json)
        var lines: [String] = []
        if includesSchema { lines.append("Answer in JSON that fits this schema:\n\(json.serialized())") }
        if callsTools(options) { lines.append(ToolCalling.instructionsWithShape) }
        if !lines.isEmpty { prompt.parts.append(.text(lines.joined(separator: "\n"))) }
        return (prompt, options)
    }
}

extension Response {
    /// The value that the answer is.
    ///
    /// - Throws: `decodingFailure` if it is not whole.
    func value() throws(SessionError) -> GeneratedContent {
        if finishReason == .toolCalls {
            throw SessionError(.decodingFailure, "The answer calls tools instead of being a value. Run them and go on with respond(toToolOutputs:).")
        }
        guard finishReason == .stop else {
            let why = finishReason == .length ? "the limit of tokens was reached" : "the context is full"
            throw SessionError(.decodingFailure, "The answer ended after \(tokens.count) tokens, before its value was whole: \(why). Allow more.")
        }
        return try GeneratedContent(json: content)
    }
}

/// A value as it is written: an `AsyncSequence` of snapshots, each with everything so far.
public struct TypedResponseStream<Content: Generable>: AsyncSequence, Sendable {
    public struct Snapshot: Sendable {
        /// What there is of the value.
        public let content: Content.PartiallyGenerated
        public let rawContent: GeneratedContent
        /// The whole answer, in the last snapshot only.
        public let response: Response?
    }

    public typealias Element = Snapshot

    let stream: ResponseStream

    public struct AsyncIterator: AsyncIteratorProtocol {
        var base: ResponseStream.AsyncIterator

        public mutating func next() async throws -> Snapshot? {
            while let snapshot = try await base.next() {
                if let response = snapshot.response, response.finishReason == .cancelled { throw CancellationError() }
                let raw = try snapshot.response?.value() ?? GeneratedContent(partialJSON: snapshot.content)
                guard let raw else { continue }
                // A type without a partial form appears once it is whole.
                if !raw.isComplete, Content.PartiallyGenerated.self == Content.self, (try? Content.PartiallyGenerated(raw)) == nil { continue }
                return Snapshot(content: try Content.PartiallyGenerated(raw), rawContent: raw, response: snapshot.response)
            }
            return nil
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: stream.makeAsyncIterator()) }

    /// Ends the answer; the stream then ends with `CancellationError`.
    public func stop() { stream.stop() }

    /// Waits for the whole value.
    ///
    /// - Throws: As `respond(to:generating:includeSchemaInPrompt:options:)`.
    public func collect() async throws -> TypedResponse<Content> {
        let response = try await stream.collect()
        if response.finishReason == .cancelled { throw CancellationError() }
        let content = try response.value()
        return TypedResponse(content: try Content(content), rawContent: content, response: response)
    }
}
