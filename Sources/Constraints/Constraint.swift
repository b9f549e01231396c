public import Checkpoint

/// What the text of an answer must look like: a JSON schema, a regular expression or a grammar, compiled to an automaton over bytes.
///
/// Immutable, so that it can be shared. A `ConstraintMachine` follows it:
///
///     let constraint = try Constraint(jsonSchema: schema)
///     let machine = ConstraintMachine(constraint, vocabulary)
///     var matcher = ConstraintMatcher(machine)
///     let mask = matcher.mask()
///     matcher.advance(token: id)
public struct Constraint: Sendable {
    let grammar: Grammar

    /// Values of a JSON schema, draft 2020-12, written as `options` say.
    ///
    /// No text is accepted that is not valid; `docs/constraints.md` lists what is supported and where valid values are left out.
    ///
    /// - Throws: `ConstraintError` with the JSON pointer of the keyword: for keywords that are not supported (none is ignored), malformed
    ///   values, references that lead nowhere, schemas that no value fits or that take more than `limits`.
    public init(jsonSchema schema: JSONValue, options: SchemaOptions = SchemaOptions(), limits: ConstraintLimits = ConstraintLimits())
        throws(ConstraintError)
    {
        grammar = try SchemaCompiler(schema, options: options, limits: limits).compile()
    }

    /// Values of a JSON schema given as text.
    ///
    /// - Throws: `ConstraintError`, `malformed` if the text is no JSON.
    public init(jsonSchema text: String, options: SchemaOptions = SchemaOptions(), limits: ConstraintLimits = ConstraintLimits())
        throws(ConstraintError)
    {
        guard text.utf8.count <= limits.sourceBytes else { throw Self.tooLong(text, limits) }
        let schema: JSONValue
        do {
            schema = try JSONValue.parse(text, file: "")
        } catch {
            throw ConstraintError(.malformed, "the schema is no JSON: \(error.message)")
        }
        try self.init(jsonSchema: schema, options: options, limits: limits)
    }

    /// Any JSON object.
    public static func jsonObject(options: SchemaOptions = SchemaOptions(), limits: ConstraintLimits = ConstraintLimits())
        throws(ConstraintError) -> Constraint
    {
        try Constraint(jsonSchema: JSONValue.object(JSONObject([.init(key: "type", value: "object")])), options: options, limits: limits)
    }

    /// Texts that match a regular expression (ECMA-262) as a whole.
    ///
    /// - Throws: `ConstraintError`: `malformed`, `unsupported` (back references, lookbehind, word boundaries), `contradictory` if nothing
    ///   matches, `tooComplex`.
    public init(regularExpression text: String, limits: ConstraintLimits = ConstraintLimits()) throws(ConstraintError) {
        guard text.utf8.count <= limits.sourceBytes else { throw Self.tooLong(text, limits) }
        let automaton = try ExpressionParser.parse(text).automaton(anywhere: false, limits: limits)
        var builder = GrammarBuilder(limits: limits)
        let start = try builder.addNode()
        let end = try builder.addNode()
        builder.markFinal(end)
        try builder.embed(automaton, from: start, to: end, marksText: true)
        grammar = try builder.finish(start: start)
    }

    /// Texts of a grammar in GBNF, the notation of llama.cpp, from the rule `root`.
    ///
    /// - Throws: `ConstraintError`: `malformed`, `unsupported` for left recursion, `contradictory` if no text comes to an end, `tooComplex`.
    public init(grammar text: String, limits: ConstraintLimits = ConstraintLimits()) throws(ConstraintError) {
        guard text.utf8.count <= limits.sourceBytes else { throw Self.tooLong(text, limits) }
        grammar = try GBNFCompiler.compile(text, limits: limits)
    }

    init(_ grammar: Grammar) { self.grammar = grammar }

    private static func tooLong(_ text: String, _ limits: ConstraintLimits) -> ConstraintError {
        ConstraintError(.tooComplex, "the text has \(text.utf8.count) bytes; at most \(limits.sourceBytes) are compiled.")
    }

    /// Nodes of the automaton.
    public var nodeCount: Int { grammar.nodes.count }
    /// About how much memory it takes, in bytes.
    public var byteCount: Int { grammar.byteCount }
}
