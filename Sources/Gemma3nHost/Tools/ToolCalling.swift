internal import Checkpoint
package import Constraints

/// The tools of an answer: what the model is told of them, what its answer is held to, and how the answer is read.
///
///     let tools = [try ToolDefinition(name: "get_weather", description: "The weather of a city.", parameters: schema)]
///     let calling = try ToolCalling(tools: tools, choice: .automatic)
///
/// The form is that of Google's function-calling guide for Gemma, with JSON: a call is
///
///     {"name": "get_weather", "parameters": {"city": "Paris"}}
///
/// and several calls are a list of those. Docs/tools.md says more.
public struct ToolCalling: Sendable, Equatable {
    public let tools: [ToolDefinition]
    public let choice: ToolChoice
    /// Calls of one answer, at most; 1 where tools are not called in parallel.
    public let maximumCalls: Int
    /// Names of the tools that this answer may call; nil for all. The model is told of all of them.
    public let allowed: [String]?

    public static let defaultMaximumCalls = 8

    /// - Throws: `invalidOption` without tools, for a name given twice, a choice among tools that are not there, or a maximum outside
    ///   1...128.
    public init(
        tools: [ToolDefinition], choice: ToolChoice = .automatic, parallel: Bool = true, maximumCalls: Int = ToolCalling.defaultMaximumCalls,
        allowed: [String]? = nil
    ) throws(SessionError) {
        guard !tools.isEmpty else { throw SessionError(.invalidOption, "There are no tools to call; give at least one.") }
        guard (1...128).contains(maximumCalls) else {
            throw SessionError(.invalidOption, "The maximum of calls in one answer is \(maximumCalls), expected 1 to 128.")
        }
        var names: Set<String> = []
        for tool in tools where !names.insert(tool.name).inserted {
            throw SessionError(.invalidOption, "Two tools are named '\(tool.name)'. Give each a name of its own.")
        }
        var wanted = allowed ?? []
        if case .named(let name) = choice { wanted.append(name) }
        for name in wanted where !names.contains(name) {
            throw SessionError(.invalidOption, "The tool '\(name)' is not among the tools: \(tools.map(\.name).joined(separator: ", ")).")
        }
        if let allowed {
            if case .named(let name) = choice, !allowed.contains(name) {
                throw SessionError(.invalidOption, "The tool '\(name)' is chosen, but not among those allowed: \(allowed.joined(separator: ", ")).")
            }
            if choice == .required, allowed.isEmpty {
                throw SessionError(.invalidOption, "A call is required, but no tool is allowed.")
            }
        }
        self.tools = tools
        self.choice = choice
        self.maximumCalls = parallel ? maximumCalls : 1
        self.allowed = allowed
    }

    /// The tools that an answer may call.
    var callable: [ToolDefinition] {
        switch choice {
        case .none: []
        case .named(let name): tools.filter { $0.name == name }
        case .automatic, .required: tools.filter { allowed?.contains($0.name) ?? true }
        }
    }

    /// What the model is told before the conversation, behind the instructions.
    public var instructions: String {
        var text = """
            You have access to functions. If you decide to invoke any of the function(s),
            you MUST put it in the format of
            {"name": function name, "parameters": dictionary of argument name and its value}

            """
        if maximumCalls > 1 {
            text += """
                To invoke several functions at once, put them in a list:
                [{"name": function name, "parameters": dictionary}, {"name": function name, "parameters": dictionary}]

                """
        }
        text += "\nYou SHOULD NOT include any other text in the response if you call a function\n"
        return text + JSONValue.array(tools.map(\.json)).serialized(indent: 2)
    }

    /// What a prompt that asks for an answer of a shape says besides: a call must be told from a value.
    static let instructionsWithShape = """
        To call a function before you answer, write the call between two lines:
        ```tool_code
        {"name": function name, "parameters": dictionary of argument name and its value}
        ```
        """

    static let fence = "```tool_code\n"
}

// MARK: The answer's constraint

extension ToolCalling {
    /// White space in a row, at most, in a fenced call.
    static let maximumBlanks = 32

    private static let blanks = "[ \\t\\n\\r]"

    /// How calls are told from other answers.
    enum Form: Sendable, Equatable {
        /// There are none.
        case text
        /// The whole answer is calls.
        case calls
        /// What begins like a call, or a fence around one, is a call.
        case any
        /// What begins with a fence `tool_code` is a call.
        case fenced
    }

    func form(hasShape: Bool) -> Form {
        switch choice {
        case .required, .named: .calls
        case .none: .text
        case .automatic: callable.isEmpty ? .text : hasShape ? .fenced : .any
        }
    }

    /// What the answer is held to.
    ///
    /// - Parameter shape: What an answer that calls no tool is held to; nil for free text.
    /// - Throws: `unsupportedGuide` for tools that are too many or too large together, and for a shape that may look like a call.
    package func constraint(shape: Constraint?) throws(SessionError) -> Constraint {
        do throws(ConstraintError) {
            switch form(hasShape: shape != nil) {
            case .calls: return try calls()
            case .any: return try .anyOf([freeText(), calls(), fencedCalls()])
            case .text, .fenced:
                guard let shape else { return try freeText() }
                if callable.isEmpty { return shape }
                var beginning = ConstraintMatcher(ConstraintMachine(shape, TokenVocabulary(tokens: [], endTokens: [])))
                if beginning.advance(Self.fence.utf8) {
                    throw ConstraintError(.contradictory, "the answer's shape may begin with \(Self.fence.dropLast()), as calls do.")
                }
                return try .anyOf([shape, .sequence([Constraint(literal: Self.fence), calls(), Constraint(literal: "\n```")])])
            }
        } catch {
            throw SessionError(.unsupportedGuide, "The tools cannot be held to together: \(error)")
        }
    }

    /// One call, or a list of them.
    private func calls() throws(ConstraintError) -> Constraint {
        var choices: [Constraint] = []
        for tool in callable {
            choices.append(
                try .sequence([Constraint(literal: "{\"name\": \"\(tool.name)\", \"parameters\": "), tool.arguments, Constraint(literal: "}")]))
        }
        let call = try Constraint.anyOf(choices)
        let list = try Constraint.list(of: call, separator: Constraint(literal: ", "), maximum: maximumCalls)
        return try .anyOf([call, .sequence([Constraint(literal: "["), list, Constraint(literal: "]")])])
    }

    /// The same with any white space, in a fence: models like to show JSON that way.
    private func fencedCalls() throws(ConstraintError) -> Constraint {
        let w = "\(Self.blanks){0,\(Self.maximumBlanks)}"
        var choices: [Constraint] = []
        for tool in callable {
            let arguments: Constraint
            do throws(SessionError) {
                arguments = try tool.looseArguments()
            } catch {
                throw ConstraintError(.tooComplex, error.message)
            }
            choices.append(
                try .sequence([
                    Constraint(regularExpression: "\\{\(w)\"name\"\(w):\(w)\"\(tool.name)\"\(w),\(w)\"parameters\"\(w):\(w)"), arguments,
                    Constraint(regularExpression: "\(w)\\}"),
                ]))
        }
        let call = try Constraint.anyOf(choices)
        let list = try Constraint.list(of: call, separator: Constraint(regularExpression: "\(w),\(w)"), maximum: maximumCalls)
        let calls = try Constraint.anyOf([
            call, .sequence([Constraint(regularExpression: "\\[\(w)"), list, Constraint(regularExpression: "\(w)\\]")]),
        ])
        return try .sequence([
            Constraint(regularExpression: "```(?:tool_code|json)?\n\(w)"), calls, Constraint(regularExpression: "\(w)```"),
        ])
    }

    /// Any text that cannot be mistaken for a call: `ToolCallParser` tells the same.
    private func freeText() throws(ConstraintError) -> Constraint {
        let names = tools.map(\.name).joined(separator: "|")
        let w = "\(Self.blanks)*"
        let call = "```(?:json)?[ \\t]*\n\(w)\\[?\(w)\\{\(w)\"name\"\(w):\(w)\"(?:\(names))\""
        return try Constraint(regularExpression: "(?!\(w)(?:[{\\[]|```tool_code|\(call)))[\\s\\S]+")
    }
}
