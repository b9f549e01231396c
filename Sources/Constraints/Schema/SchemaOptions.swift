/// How values that fit a JSON schema are written.
public struct SchemaOptions: Sendable, Equatable {
    public enum Whitespace: Sendable, Equatable {
        /// None: `{"a":[1,2]}`.
        case compact
        /// One space after a colon and after a comma: `{"a": [1, 2]}`.
        case spaced
        /// At every place where JSON allows it up to so many of space, tab, line feed and carriage return.
        case free(maximumRun: Int)
    }

    public var whitespace = Whitespace.compact
    /// Whether properties may come in any order instead of the schema's. At most 56 named ones in one object.
    public var anyPropertyOrder = false
    /// Whether objects that name properties and do not speak of others (no `additionalProperties` or `patternProperties`) get others
    /// too. The schema allows them; answers are better without.
    public var undeclaredProperties = false
    /// Whether keywords that JSON Schema does not know are left aside as its rules say, instead of being errors.
    public var ignoresUnknownKeywords = false

    public init() {}
}
