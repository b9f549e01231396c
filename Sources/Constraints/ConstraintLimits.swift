/// What compiling and matching may take at most. Beyond it compiling ends with a `tooComplex` error; a schema can come from anybody.
public struct ConstraintLimits: Sendable, Equatable {
    /// Bytes of the text that is compiled.
    public var sourceBytes = 4 << 20
    /// Nodes of the whole grammar.
    public var nodes = 400_000
    /// States of the automaton of one string pattern or number range.
    public var automatonStates = 20_000
    /// Distinct combinations of subschemas.
    public var combinations = 10_000
    /// Alternatives of one value after `allOf`, `anyOf`, `oneOf`, `not` and the like have been multiplied out.
    public var alternatives = 512
    /// Steps of compiling, counted where work can multiply.
    public var work = 20_000_000
    /// How deep rules may call rules while matching: for JSON one level for each array or object around a value.
    public var nesting = 100

    public init() {}
}
