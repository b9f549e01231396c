extension Constraint {
    /// One text alone.
    ///
    /// - Throws: `ConstraintError`, `tooComplex` beyond the limits.
    public init(literal text: String, limits: ConstraintLimits = ConstraintLimits()) throws(ConstraintError) {
        var builder = GrammarBuilder(limits: limits)
        let start = try builder.addNode()
        builder.markFinal(try builder.literal(start, Array(text.utf8)))
        self.init(try builder.finish(start: start))
    }

    /// Texts that fit one of some constraints. Where several are possible, the text itself decides as it goes on.
    ///
    /// - Throws: `ConstraintError`: `contradictory` without choices, `tooComplex` beyond the limits.
    public static func anyOf(_ choices: [Constraint], limits: ConstraintLimits = ConstraintLimits()) throws(ConstraintError) -> Constraint {
        try combined(choices, limits) { builder, entries throws(ConstraintError) in
            let start = try builder.addNode()
            for entry in entries { builder.connect(start, to: entry) }
            return start
        }
    }

    /// Texts of some constraints, one behind the other.
    ///
    /// - Throws: `ConstraintError`, `tooComplex` beyond the limits.
    public static func sequence(_ parts: [Constraint], limits: ConstraintLimits = ConstraintLimits()) throws(ConstraintError) -> Constraint {
        try combined(parts, limits) { builder, entries throws(ConstraintError) in
            let start = try builder.addNode()
            var node = start
            for entry in entries { node = try builder.call(node, entry) }
            builder.markFinal(node)
            return start
        }
    }

    /// One to `maximum` texts of a constraint, with texts of another one between them.
    ///
    /// - Throws: `ConstraintError`: `contradictory` for a maximum below 1, `tooComplex` beyond the limits.
    public static func list(
        of item: Constraint, separator: Constraint, maximum: Int, limits: ConstraintLimits = ConstraintLimits()
    ) throws(ConstraintError) -> Constraint {
        try combined([item, separator], limits) { builder, entries throws(ConstraintError) in
            let start = try builder.addNode()
            var node = start
            for count in 0..<max(0, maximum) {
                if count > 0 { node = try builder.call(node, entries[1]) }
                node = try builder.call(node, entries[0])
                builder.markFinal(node)
            }
            return start
        }
    }

    /// The parts' grammars in one, and what `body` adds to them. Parts that are called are one level deeper than alone.
    private static func combined(
        _ parts: [Constraint], _ limits: ConstraintLimits,
        _ body: (inout GrammarBuilder, _ entries: [Int32]) throws(ConstraintError) -> Int32
    ) throws(ConstraintError) -> Constraint {
        var limits = limits
        for part in parts { limits.nesting = max(limits.nesting, part.grammar.nesting + 1) }
        var builder = GrammarBuilder(limits: limits)
        var entries: [Int32] = []
        for part in parts { entries.append(try builder.embed(part.grammar)) }
        let start = try body(&builder, entries)
        return Constraint(try builder.finish(start: start))
    }
}
