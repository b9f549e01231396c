internal import Gemma3n
internal import Synchronization

extension LanguageModelSession {
    // MARK: Going back

    /// Goes back to where the transcript had its first `count` entries: what was said later is forgotten, by the model, too.
    ///
    ///     let here = session.transcript.entries.count
    ///     try await session.respond(to: "Shorter, please.")
    ///     try session.rewind(to: here)
    ///
    /// The next answer is that of a session with this history, bit for bit. What of the conversation is still in the caches is not
    /// computed again; windows of sliding attention that have moved on are. A `fork` made before keeps everything.
    ///
    /// - Parameter count: Where a prompt began, or the outputs of tools; or all entries, and nothing changes.
    /// - Throws: `invalidOption` for other places; `concurrentRequests` while an answer is under way.
    public func rewind(to count: Int) throws(SessionError) {
        let refusal: SessionError? = state.withLock { state in
            if let active = state.active, !active.isStopped { return Self.busy }
            guard Self.isBeginning(count, of: state.transcript.entries) else {
                return SessionError(
                    .invalidOption,
                    "The transcript has \(state.transcript.entries.count) entries, and no prompt begins behind the first \(count). Go back to where a prompt was given.")
            }
            state.transcript.entries.removeSubrange(count...)
            state.epoch += 1
            state.gettingReady?.stop()
            return nil
        }
        if let refusal { throw refusal }
        thread.run { [engine] in engine.engine.rewind(to: count) }
    }

    /// Takes back the last prompt and all that followed.
    ///
    /// - Returns: The prompt; nil if there is none, and nothing changes.
    /// - Throws: `concurrentRequests` while an answer is under way.
    @discardableResult
    public func rewindLastPrompt() throws(SessionError) -> Prompt? {
        let entries = transcript.entries
        for (index, entry) in entries.enumerated().reversed() {
            guard case .prompt(let prompt) = entry else { continue }
            try rewind(to: index)
            return prompt
        }
        return nil
    }

    private static func isBeginning(_ count: Int, of entries: [Transcript.Entry]) -> Bool {
        guard entries.indices.contains(count) else { return count == entries.count }
        switch entries[count] {
        case .prompt: return true
        case .toolOutput: if count > 0, case .toolCalls = entries[count - 1] { return true } else { return false }
        default: return false
        }
    }

    // MARK: Forks

    /// A session of its own that goes on from here: both answer as sessions with this history do, bit for bit.
    ///
    /// Keys and values are shared until one of the two needs memory of its own for them, so a fork takes little time and memory. It has
    /// the same tools and sizes.
    ///
    /// - Throws: `concurrentRequests` while an answer is under way.
    public func fork() async throws(SessionError) -> LanguageModelSession {
        try await onThread { [self] () throws(SessionError) in
            let (transcript, sizing) = state.withLock { ($0.transcript, $0.sizing) }
            return LanguageModelSession(
                model, toolset: toolset, transcript, contextLength, sizing, engine.engine.fork(entries: transcript.entries.count))
        }
    }

    // MARK: Files

    /// Writes the session to a file from which `restored` makes it again: the conversation with its media, and keys and values as they
    /// are held. The file appears whole or not at all.
    ///
    /// Tools and a size policy are not part of it. Files that prompts name are not either: what the model saw of them is.
    ///
    /// - Throws: `sessionFile` if it cannot be written; `concurrentRequests` while an answer is under way.
    public func save(to path: String) async throws(SessionError) {
        try await onThread { [self] () throws(SessionError) in
            let (transcript, sizing) = state.withLock { ($0.transcript, $0.sizing) }
            var stored = SessionFile.State()
            stored.contextLength = contextLength
            (stored.switching, stored.wishes) = (sizing.switching, sizing.wishes)
            switch sizing.choice {
            case .automatic: stored.size = .automatic
            // One that the model lacks is forgotten.
            case .fixed(let size): stored.size = (try? model.slice(size)).map { .slice($0) }
            }
            let copy = engine.engine.fork(entries: transcript.entries.count)
            try SessionFileWriter.write(copy.stored, transcript, stored, model: model, to: path)
        }
    }

    /// The session that was saved to a file. It goes on with the same bits as the one that was saved.
    ///
    /// - Parameters:
    ///   - model: The model it was saved with: its configuration, tokenizer and weights are compared, the latter by samples.
    ///   - tools: Those that the session may call from now on.
    /// - Throws: `sessionFile` if the file cannot be read, is damaged, or belongs to another model; `exceededContextWindowSize`,
    ///   `invalidOption` if the model was opened with a shorter context or keeps keys and values otherwise; what sessions with tools throw.
    public static func restored(
        from path: String, model: Gemma3nLanguageModel, tools: [any Tool] = [], toolLimits: ToolLimits = ToolLimits()
    ) async throws(SessionError) -> LanguageModelSession {
        let toolset = tools.isEmpty ? nil : try Toolset(tools, toolLimits)
        return try await SessionThread().result { () throws(SessionError) in
            let reader = try SessionFileReader(path: path, model)
            let contextLength = max(1, min(reader.state.contextLength, model.contextLength))
            var sizing = SizingRequest(model)
            if let size = reader.state.size { (sizing.choice, sizing.reason) = (size, "The size of the session.") }
            (sizing.switching, sizing.wishes) = (reader.state.switching, reader.state.wishes)
            return LanguageModelSession(
                model, toolset: toolset, reader.transcript, contextLength, sizing, try reader.engine(contextLength: contextLength))
        }
    }

    /// Does something on the session's thread, between answers.
    ///
    /// - Throws: `concurrentRequests` while an answer is under way.
    private func onThread<T: Sendable>(_ body: @escaping @Sendable () throws(SessionError) -> T) async throws(SessionError) -> T {
        let isBusy = state.withLock { $0.active.map { !$0.isStopped } ?? false }
        if isBusy { throw Self.busy }
        return try await thread.result(body)
    }
}
