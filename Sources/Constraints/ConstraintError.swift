/// Why a schema, an expression or a grammar could not become a constraint.
///
/// `message` is a whole sentence: what was found, what was expected, and what to do if we know.
public struct ConstraintError: Error, Sendable, Equatable {
    /// A stable name for programs.
    public enum Code: String, Sendable {
        /// The text is no JSON, no regular expression, no grammar, or a keyword's value has the wrong form.
        case malformed
        /// A keyword, a form of reference or a construct that cannot be kept to exactly.
        case unsupported
        /// Nothing fits: every answer would break a rule.
        case contradictory
        /// A reference leads nowhere, or only back to itself.
        case unresolvedReference = "unresolved_reference"
        /// The automaton would be larger than `ConstraintLimits` allows.
        case tooComplex = "too_complex"
    }

    public let code: Code
    /// Where: a JSON pointer into the schema, a byte offset or the name of a rule; empty if it is about the whole.
    public let path: String
    public let message: String

    public init(_ code: Code, path: String = "", _ message: String) {
        self.code = code
        self.path = path
        self.message = message
    }
}

extension ConstraintError: CustomStringConvertible {
    public var description: String { path.isEmpty ? message : "\(path): \(message)" }
}
