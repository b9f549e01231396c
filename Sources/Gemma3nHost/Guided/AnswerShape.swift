public import Checkpoint
internal import Constraints

/// What an answer is held to, byte by byte: it fits, or ends early because its tokens or the context ran out.
public enum AnswerShape: Sendable, Equatable {
    /// A JSON Schema (2020-12); docs/constraints.md lists the keywords. One that is not supported is refused, never ignored.
    case jsonSchema(JSONValue)
    /// Any JSON object.
    case jsonObject
    /// A regular expression of ECMA-262 that the whole answer matches.
    case regularExpression(String)
    /// A grammar in GBNF, llama.cpp's form; its rule `root` is the answer.
    case grammar(String)

    public static func schema(_ schema: GenerationSchema) -> AnswerShape { .jsonSchema(schema.json) }

    /// Whether the answer is JSON.
    var isJSON: Bool {
        switch self {
        case .jsonSchema, .jsonObject: true
        case .regularExpression, .grammar: false
        }
    }

    /// - Throws: `unsupportedGuide` with the place and what is wrong or not supported there.
    func compiled() throws(SessionError) -> Constraint {
        do throws(ConstraintError) {
            switch self {
            case .jsonSchema(let schema): return try Constraint(jsonSchema: schema)
            case .jsonObject: return try Constraint.jsonObject()
            case .regularExpression(let text): return try Constraint(regularExpression: text)
            case .grammar(let text): return try Constraint(grammar: text)
            }
        } catch {
            throw SessionError(.unsupportedGuide, error.description)
        }
    }

    /// What an answer with these options is held to; nil for any text.
    ///
    /// - Throws: `unsupportedGuide`.
    static func constraint(_ shape: AnswerShape?, _ tools: ToolCalling?) throws(SessionError) -> Constraint? {
        let compiled = try shape?.compiled()
        guard let tools else { return compiled }
        return try tools.constraint(shape: compiled)
    }

    /// Finds out whether answers can be held to this; what `respond` would throw.
    ///
    /// - Throws: `unsupportedGuide`.
    public func check() throws(SessionError) { _ = try compiled() }
}
