/// Subschemas that must all hold, sorted: twice the number of a term, plus one if it must not hold. Empty: anything goes.
typealias Conjunction = [Int32]

/// Arrays described by their elements.
struct ArrayShape {
    struct Contains {
        var element: Conjunction
        var minimum: Int
        var maximum: Int?
        /// Counts from this element on.
        var start: Int
    }

    var prefix: [Conjunction] = []
    var rest: Conjunction = []
    var minimum = 0
    var maximum: Int?
    var contains: [Contains] = []
    var isUnique = false
    /// The path of `uniqueItems`, for errors.
    var uniquePath = ""
    /// Elements of so many first places, and those that fit one of these, are evaluated: nothing to `unevaluatedItems`.
    var evaluated = 0
    var evaluatedElements: [Conjunction] = []

    func element(_ index: Int) -> Conjunction { index < prefix.count ? prefix[index] : rest }
}

/// Objects described by their properties.
struct ObjectShape {
    struct Property {
        var key: [UInt8]
        var value: Conjunction
        var isRequired: Bool
    }

    /// Keys that are no named property, and their values. Classes have no key in common; keys in none are not allowed.
    struct KeyClass {
        var keys: StringSet
        var value: Conjunction
        /// Whether the schema speaks of such keys, or only does not forbid them.
        var isDeclared: Bool
    }

    var properties: [Property] = []
    var classes: [KeyClass] = [KeyClass(keys: .all, value: [], isDeclared: false)]
    var minimum = 0
    var maximum: Int?
    /// Of the subschema, for errors.
    var path = ""
    /// Keys that are evaluated: nothing to `unevaluatedProperties`.
    var evaluated = StringSet.none

    var requiredCount: Int { properties.reduce(0) { $0 + ($1.isRequired ? 1 : 0) } }
}

/// A set of JSON values, kind by kind.
struct ValueSet {
    var null = false
    var yes = false
    var no = false
    var numbers = NumberSet.none
    var strings = StringSet.none
    /// Any of these.
    var arrays: [ArrayShape] = []
    /// Any of these.
    var objects: [ObjectShape] = []

    static let none = ValueSet()
    static let all = ValueSet(
        null: true, yes: true, no: true, numbers: .all, strings: .all, arrays: [ArrayShape()], objects: [ObjectShape()])
}
