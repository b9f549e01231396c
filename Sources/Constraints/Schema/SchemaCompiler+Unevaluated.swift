internal import Checkpoint

/// What `unevaluatedItems` and `unevaluatedProperties` say: every alternative of a value knows which of its parts other keywords of the
/// schema have looked at. Alternatives that a negation made know of none, as the specification has it.
extension SchemaCompiler {
    func applyUnevaluated(_ result: inout ValueSet, _ keywords: Keywords) throws(ConstraintError) {
        if let value = keywords["unevaluatedProperties"] {
            let others = try conjunction(keywords.child("unevaluatedProperties", value))
            var objects: [ObjectShape] = []
            for shape in result.objects {
                var classes = [ObjectShape.KeyClass(keys: shape.evaluated, value: [], isDeclared: false)]
                let rest = try shape.evaluated.complement(limits)
                if others != Self.impossible, !rest.isEmpty { classes.append(.init(keys: rest, value: others, isDeclared: true)) }
                var both = try intersection(shape, ObjectShape(classes: classes))
                both.evaluated = .all
                if try !isEmpty(both, depth: 30) { objects.append(both) }
            }
            result.objects = objects
        }
        if let value = keywords["unevaluatedItems"] {
            let others = try conjunction(keywords.child("unevaluatedItems", value))
            var arrays: [ArrayShape] = []
            for shape in result.arrays {
                var both = shape
                if shape.evaluated < .max {
                    let element = try either([others] + shape.evaluatedElements)
                    let any = [Conjunction](repeating: [], count: shape.evaluated)
                    both = try intersection(
                        shape, ArrayShape(prefix: any, rest: element, maximum: element == Self.impossible ? shape.evaluated : nil))
                }
                both.evaluated = .max
                if try !isEmpty(both, depth: 30) { arrays.append(both) }
            }
            result.arrays = arrays
        }
    }

    /// What holds if any of these does.
    private func either(_ choices: [Conjunction]) throws(ConstraintError) -> Conjunction {
        var none: Conjunction = []
        for choice in choices where choice != Self.impossible { none = both(none, try negation(choice)) }
        return try choices.allSatisfy({ $0 == Self.impossible }) ? Self.impossible : negation(none)
    }
}
