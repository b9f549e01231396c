internal import Synchronization

/// A session's own tools.
struct Toolset: Sendable {
    private let tools: [String: any Tool]
    private let definitions: [ToolDefinition]
    private let limits: ToolLimits
    /// What the model is told.
    let instructions: String

    /// - Throws: `invalidOption`, `unsupportedGuide`.
    init(_ tools: [any Tool], _ limits: ToolLimits) throws(SessionError) {
        guard limits.rounds >= 1 else { throw SessionError(.invalidOption, "The limit of rounds is \(limits.rounds), expected at least 1.") }
        definitions = try tools.map { tool throws(SessionError) in
            try ToolDefinition(name: tool.name, description: tool.description, parameters: tool.parameters.json)
        }
        self.limits = limits
        instructions = try ToolCalling(tools: definitions, maximumCalls: limits.callsPerRound).instructions
        self.tools = Dictionary(tools.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// What the answer of a round may call.
    ///
    /// - Throws: `invalidOption` for a choice among tools that are not there.
    func calling(_ choice: ToolChoice, round: Int) throws(SessionError) -> ToolCalling {
        let present: ToolChoice = round >= limits.rounds ? .none : round == 0 || choice == .none ? choice : .automatic
        return try ToolCalling(tools: definitions, choice: present, maximumCalls: limits.callsPerRound)
    }

    /// Runs calls at the same time and gives their outputs in order. Ends at once when the request is told to stop or a call fails: the
    /// other calls' tasks are cancelled and not waited for.
    ///
    /// - Throws: `ToolCallError`; `CancellationError`; `decodingFailure` for a tool that is not there.
    func run(_ calls: [ToolCall], _ request: ResponseRequest) async throws -> [ToolOutput] {
        let run = ToolRun(count: calls.count)
        defer { request.whenStopped(nil) }
        return try await withCheckedThrowingContinuation { continuation in
            run.begin(continuation)
            for (index, call) in calls.enumerated() {
                guard let tool = tools[call.name] else {
                    run.fail(SessionError(.decodingFailure, "The model called '\(call.name)', which is no tool."))
                    continue
                }
                run.add(Task {
                    do {
                        run.finish(index, try await tool.output(of: call))
                    } catch {
                        run.fail(ToolCallError(tool: tool, underlyingError: error))
                    }
                })
            }
            request.whenStopped { run.fail(CancellationError()) }
        }
    }
}

/// Calls under way, and who waits for them.
private final class ToolRun: Sendable {
    private struct State {
        var outputs: [ToolOutput?]
        var tasks: [Task<Void, Never>] = []
        var waiter: CheckedContinuation<[ToolOutput], any Error>?
        var isOver = false
    }

    private let state: Mutex<State>

    init(count: Int) { state = Mutex(State(outputs: [ToolOutput?](repeating: nil, count: count))) }

    func begin(_ waiter: CheckedContinuation<[ToolOutput], any Error>) { state.withLock { $0.waiter = waiter } }

    func add(_ task: Task<Void, Never>) {
        let isOver = state.withLock { state in
            state.tasks.append(task)
            return state.isOver
        }
        if isOver { task.cancel() }
    }

    func finish(_ index: Int, _ output: ToolOutput) {
        let done: (CheckedContinuation<[ToolOutput], any Error>?, [ToolOutput])? = state.withLock { state in
            state.outputs[index] = output
            let outputs = state.outputs.compactMap { $0 }
            guard outputs.count == state.outputs.count, !state.isOver else { return nil }
            state.isOver = true
            return (state.waiter, outputs)
        }
        if let (waiter, outputs) = done { waiter?.resume(returning: outputs) }
    }

    func fail(_ error: any Error) {
        let failed: (CheckedContinuation<[ToolOutput], any Error>?, [Task<Void, Never>])? = state.withLock { state in
            if state.isOver { return nil }
            state.isOver = true
            return (state.waiter, state.tasks)
        }
        guard let (waiter, tasks) = failed else { return }
        for task in tasks { task.cancel() }
        waiter?.resume(throwing: error)
    }
}
