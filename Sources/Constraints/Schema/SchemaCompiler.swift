internal import Checkpoint

/// Turns a JSON schema into a grammar, in two steps: subschemas become sets of values (`ValueSet`), taken together, united and
/// complemented exactly; then each set that can stand somewhere becomes a rule.
final class SchemaCompiler {
    /// What a conjunction is made of.
    enum Term {
        case schema(SchemaDocument.Place)
        case constant(JSONValue)
        case conjunction(Conjunction)
    }

    let document: SchemaDocument
    let options: SchemaOptions
    let limits: ConstraintLimits

    /// Number 0 is the schema `false`.
    private var terms: [Term] = []
    private var termNames: [[UInt8]: Int32] = [:]
    private var conjunctionTerms: [Conjunction: Int32] = [:]
    private var termSets: [Int32: ValueSet] = [:]
    private var sets: [Conjunction: ValueSet] = [:]
    /// Terms that are being evaluated: one that needs itself has no meaning.
    private var open: Set<Int32> = []
    private var emptiness: [Conjunction: Bool] = [:]
    private var depth = 0
    private var work = 0

    var builder: GrammarBuilder
    private var rules: [Conjunction: Int32] = [:]
    private var waiting: [(Conjunction, Int32)] = []
    var spaceRule: Int32?

    static let impossible: Conjunction = [0]

    init(_ schema: JSONValue, options: SchemaOptions, limits: ConstraintLimits) throws(ConstraintError) {
        document = try SchemaDocument(schema)
        self.options = options
        self.limits = limits
        builder = GrammarBuilder(limits: limits)
        terms.append(.schema(SchemaDocument.Place(value: false, path: "false", base: "")))
    }

    func compile() throws(ConstraintError) -> Grammar {
        let start = try rule(try conjunction(document.root))
        var next = 0
        while next < waiting.count {
            let (conjunction, entry) = waiting[next]
            next += 1
            try emit(try values(conjunction), from: entry)
        }
        return try builder.finish(start: start)
    }

    /// The node at which values of a conjunction begin.
    func rule(_ conjunction: Conjunction) throws(ConstraintError) -> Int32 {
        if let entry = rules[conjunction] { return entry }
        guard rules.count < limits.combinations else {
            throw ConstraintError(.tooComplex, "the schema has more than \(limits.combinations) combinations of subschemas.")
        }
        let entry = try builder.addNode()
        rules[conjunction] = entry
        waiting.append((conjunction, entry))
        return entry
    }

    func spend(_ amount: Int) throws(ConstraintError) {
        work += amount
        guard work <= limits.work else { throw ConstraintError(.tooComplex, "the schema takes too much work to compile; make it simpler.") }
    }

    // MARK: Conjunctions

    /// The conjunction of one subschema.
    func conjunction(_ place: SchemaDocument.Place) throws(ConstraintError) -> Conjunction {
        switch place.value {
        case .bool(let value): return value ? [] : Self.impossible
        case .object(let object):
            if object.count == 0 { return [] }
            return [try term(.schema(place), named: Array(place.path.utf8)) << 1]
        default:
            throw ConstraintError(.malformed, path: place.path, "a schema is an object, true or false; found \(place.value.kind).")
        }
    }

    func constant(_ value: JSONValue) throws(ConstraintError) -> Conjunction {
        [try term(.constant(value), named: [0x3D] + Array(value.serialized().utf8)) << 1]
    }

    private func term(_ term: Term, named name: [UInt8]) throws(ConstraintError) -> Int32 {
        if let number = termNames[name] { return number }
        let number = try append(term)
        termNames[name] = number
        return number
    }

    private func append(_ term: Term) throws(ConstraintError) -> Int32 {
        guard terms.count < limits.nodes else { throw ConstraintError(.tooComplex, "the schema has more than \(limits.nodes) subschemas.") }
        terms.append(term)
        return Int32(truncatingIfNeeded: terms.count - 1)
    }

    func both(_ a: Conjunction, _ b: Conjunction) -> Conjunction {
        if a.isEmpty || a == b { return b }
        if b.isEmpty { return a }
        if a == Self.impossible || b == Self.impossible { return Self.impossible }
        var result: Conjunction = []
        var (i, j) = (0, 0)
        while i < a.count || j < b.count {
            let next = j == b.count || i < a.count && a[i] <= b[j] ? a[i] : b[j]
            if i < a.count, a[i] == next { i += 1 }
            if j < b.count, b[j] == next { j += 1 }
            if let last = result.last, last == next ^ 1, next & 1 == 1 { return Self.impossible }
            result.append(next)
        }
        return result
    }

    func negation(_ conjunction: Conjunction) throws(ConstraintError) -> Conjunction {
        if conjunction.isEmpty { return Self.impossible }
        if conjunction == Self.impossible { return [] }
        if conjunction.count == 1 { return [conjunction[0] ^ 1] }
        if let number = conjunctionTerms[conjunction] { return [number << 1 | 1] }
        let number = try append(.conjunction(conjunction))
        conjunctionTerms[conjunction] = number
        return [number << 1 | 1]
    }

    // MARK: Values

    /// The values for which a conjunction holds.
    func values(_ conjunction: Conjunction) throws(ConstraintError) -> ValueSet {
        if let set = sets[conjunction] { return set }
        var result = ValueSet.all
        for (i, literal) in conjunction.enumerated() {
            let set = try values(literal: literal)
            result = i == 0 ? set : try intersection(result, set)
        }
        sets[conjunction] = result
        return result
    }

    private func values(literal: Int32) throws(ConstraintError) -> ValueSet {
        if let set = termSets[literal] { return set }
        guard open.insert(literal).inserted else {
            var path = ""
            if case .schema(let place) = terms[Int(literal >> 1)] { path = place.path }
            throw ConstraintError(.unresolvedReference, path: path, "the subschema refers back to itself without going into a value.")
        }
        depth += 1
        defer {
            depth -= 1
            open.remove(literal)
        }
        guard depth <= 150 else { throw ConstraintError(.tooComplex, "references and combinations are nested more than 150 deep.") }
        try spend(10)
        let result: ValueSet
        if literal & 1 == 1 {
            result = try complement(try values(literal: literal ^ 1))
        } else {
            switch terms[Int(literal >> 1)] {
            case .schema(let place): result = try values(schema: place)
            case .constant(let value): result = try values(constant: value)
            case .conjunction(let conjunction): result = try values(conjunction)
            }
        }
        termSets[literal] = result
        return result
    }

    /// Whether no value is in a conjunction, as far as that is certain: recursion counts as having values.
    func isEmpty(_ conjunction: Conjunction, depth: Int = 0) throws(ConstraintError) -> Bool {
        if conjunction.isEmpty { return false }
        if conjunction == Self.impossible { return true }
        if let known = emptiness[conjunction] { return known }
        if depth > 40 { return false }
        emptiness[conjunction] = false
        do {
            let result = try isEmpty(try values(conjunction), depth: depth + 1)
            emptiness[conjunction] = result
            return result
        } catch {
            // A schema that is being evaluated cannot be asked. Other errors come up again where they belong.
            if error.code == .unresolvedReference { emptiness[conjunction] = nil }
            return false
        }
    }

    func isEmpty(_ set: ValueSet, depth: Int = 0) throws(ConstraintError) -> Bool {
        if set.null || set.yes || set.no || !set.numbers.isEmpty || !set.strings.isEmpty { return false }
        for shape in set.arrays where try !isEmpty(shape, depth: depth) { return false }
        for shape in set.objects where try !isEmpty(shape, depth: depth) { return false }
        return true
    }

    func isEmpty(_ shape: ArrayShape, depth: Int = 0) throws(ConstraintError) -> Bool {
        if let maximum = shape.maximum, maximum < shape.minimum { return true }
        for i in 0..<min(shape.minimum, shape.prefix.count + 1) where try isEmpty(shape.element(i), depth: depth) { return true }
        for contains in shape.contains {
            if let maximum = contains.maximum, maximum < contains.minimum { return true }
            if contains.minimum > 0, try isEmpty(contains.element, depth: depth) { return true }
        }
        return false
    }

    func isEmpty(_ shape: ObjectShape, depth: Int = 0) throws(ConstraintError) -> Bool {
        if let maximum = shape.maximum, maximum < max(shape.minimum, shape.requiredCount) { return true }
        var possible = 0
        for property in shape.properties {
            if try isEmpty(property.value, depth: depth) {
                if property.isRequired { return true }
            } else {
                possible += 1
            }
        }
        return shape.classes.isEmpty && possible < shape.minimum
    }
}
