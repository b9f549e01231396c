internal import Gemma3n

extension LanguageModelSession {
    /// Goes on from calls that `ResponseOptions.tools` let the last answer make.
    ///
    /// - Parameter outputs: What came of them, in the calls' order.
    /// - Throws: As `respond(to:options:)`; `unsupportedPrompt` without outputs.
    @discardableResult
    public func respond(toToolOutputs outputs: [ToolOutput], options: ResponseOptions = ResponseOptions()) async throws -> Response {
        if outputs.isEmpty { throw Self.noOutputs }
        return try await respond(to: .toolOutputs(outputs), options)
    }

    /// The same bit by bit. Errors come when the stream is read.
    public func streamResponse(toToolOutputs outputs: [ToolOutput], options: ResponseOptions = ResponseOptions()) -> ResponseStream {
        streamResponse(to: .toolOutputs(outputs), options)
    }

    private static let noOutputs = SessionError(.unsupportedPrompt, "There are no outputs of tools to go on from; give one for every call.")

    /// Answers, runs the session's tools that are called, and goes on until the answer is text.
    ///
    /// - Returns: With the finish reason `cancelled` and no text if it was stopped before the last answer began; all of it is then
    ///   forgotten, though what tools did is done.
    /// - Throws: `SessionError`, `ToolCallError`; all of it is forgotten.
    func converse(
        _ first: SessionTurn, _ options: ResponseOptions, _ toolset: Toolset, _ beginning: Beginning, _ request: ResponseRequest,
        emit: @escaping @Sendable (ResponseStream.Snapshot) -> Void
    ) async throws -> Response {
        var turn = first
        var said: [Transcript.Entry] = []
        var round = 0
        while true {
            var options = options
            let response: Response
            do {
                options.tools = try toolset.calling(options.toolChoice, round: round)
                response = try await withCheckedThrowingContinuation { continuation in
                    run(turn, after: said, options, beginning, request, goesOn: true, emit: emit) { continuation.resume(with: $0) }
                }
            } catch {
                await forget(request)
                throw error
            }
            guard response.finishReason == .toolCalls else {
                if response.finishReason == .cancelled, response.content.isEmpty { await forget(request) }
                return response
            }
            said += turn.entries + [Transcript.Entry(response)]
            do {
                turn = .toolOutputs(try await toolset.run(response.toolCalls, request))
            } catch {
                await forget(request)
                guard error is CancellationError else { throw error }
                return Response(content: "", finishReason: .cancelled, tokens: [], logProbabilities: [], statistics: response.statistics)
            }
            round += 1
        }
    }
}
