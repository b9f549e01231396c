internal import Checkpoint

/// What each keyword says about values.
extension SchemaCompiler {
    private static let annotations: Set<String> = [
        "$schema", "$id", "$anchor", "$dynamicAnchor", "$comment", "$defs", "$vocabulary", "definitions", "title", "description", "default",
        "examples", "deprecated", "readOnly", "writeOnly", "contentEncoding", "contentMediaType", "contentSchema",
    ]
    private static let applied: Set<String> = [
        "type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
        "pattern", "format", "items", "prefixItems", "contains", "minContains", "maxContains", "minItems", "maxItems", "uniqueItems",
        "properties", "patternProperties", "additionalProperties", "propertyNames", "required", "minProperties", "maxProperties",
        "dependentRequired", "dependentSchemas", "$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "not", "if", "then", "else",
        "unevaluatedItems", "unevaluatedProperties",
    ]

    func values(schema place: SchemaDocument.Place) throws(ConstraintError) -> ValueSet {
        guard case .object(let object) = place.value else { return try conjunction(place).isEmpty ? .all : .none }
        var place = place
        if let id = object["$id"]?.string { place.base = SchemaDocument.split(SchemaDocument.resolve(id, place.base)).uri }
        for member in object.members where !Self.annotations.contains(member.key) && !Self.applied.contains(member.key) {
            try refuse(member.key, place.path)
        }
        let keywords = Keywords(object: object, place: place)
        var result = ValueSet.all
        try restrictKinds(&result, keywords)
        try restrictNumbers(&result, keywords)
        try restrictStrings(&result, keywords)
        try restrictArrays(&result, keywords)
        try restrictObjects(&result, keywords)
        try applyReferences(&result, keywords)
        try applyCombinations(&result, keywords)
        try applyDependencies(&result, keywords)
        if document.asksForUnevaluated { try applyUnevaluated(&result, keywords) }
        return result
    }

    private func refuse(_ keyword: String, _ path: String) throws(ConstraintError) {
        let path = path + "/" + SchemaDocument.escaped(keyword)
        switch keyword {
        case "$recursiveRef", "$recursiveAnchor":
            throw ConstraintError(.unsupported, path: path, "the keyword '\(keyword)' is not supported.")
        case "additionalItems":
            throw ConstraintError(.unsupported, path: path, "the keyword 'additionalItems' is of older drafts; write prefixItems and items.")
        case "dependencies":
            throw ConstraintError(
                .unsupported, path: path, "the keyword 'dependencies' is of older drafts; write dependentRequired or dependentSchemas.")
        default:
            if options.ignoresUnknownKeywords || keyword.utf8.starts(with: "x-".utf8) { return }
            throw ConstraintError(.unsupported, path: path, "the keyword '\(keyword)' is not known.")
        }
    }

    /// The keywords of one schema object.
    struct Keywords {
        let object: JSONObject
        let place: SchemaDocument.Place

        subscript(_ keyword: String) -> JSONValue? { object[keyword] }

        func path(_ keyword: String) -> String { place.path + "/" + keyword }

        func child(_ keyword: String, _ value: JSONValue) -> SchemaDocument.Place {
            SchemaDocument.Place(value: value, path: path(keyword), base: place.base)
        }

        func wrong(_ keyword: String, _ expected: String) -> ConstraintError {
            ConstraintError(.malformed, path: path(keyword), "'\(keyword)' is \(object[keyword]?.kind ?? "missing"), expected \(expected).")
        }

        /// A whole number of at least 0.
        func count(_ keyword: String) throws(ConstraintError) -> Int? {
            guard let value = object[keyword] else { return nil }
            guard let number = value.double else { throw wrong(keyword, "a whole number of at least 0") }
            if number >= 1e9 { return 1_000_000_000 }
            guard let count = value.int, count >= 0 else { throw wrong(keyword, "a whole number of at least 0") }
            return count
        }

        func members(_ keyword: String) throws(ConstraintError) -> [JSONObject.Member]? {
            guard let value = object[keyword] else { return nil }
            guard let members = value.object?.members else { throw wrong(keyword, "an object") }
            return members
        }

        func children(_ keyword: String) throws(ConstraintError) -> [SchemaDocument.Place]? {
            guard let value = object[keyword] else { return nil }
            guard let elements = value.array, !elements.isEmpty else { throw wrong(keyword, "a list of schemas that is not empty") }
            return elements.enumerated().map { SchemaDocument.Place(value: $1, path: "\(path(keyword))/\($0)", base: place.base) }
        }

        func names(_ keyword: String, _ value: JSONValue) throws(ConstraintError) -> [[UInt8]] {
            var names: [[UInt8]] = []
            for element in value.array ?? [.null] {
                guard let name = element.string else { throw wrong(keyword, "a list of strings") }
                names.append(Array(name.utf8))
            }
            return names
        }
    }

    // MARK: Kinds and given values

    private func restrictKinds(_ result: inout ValueSet, _ keywords: Keywords) throws(ConstraintError) {
        if let type = keywords["type"] {
            var allowed = ValueSet()
            let names = type.array ?? [type]
            if names.isEmpty { throw keywords.wrong("type", "a type or a list of types") }
            for name in names {
                switch name.string {
                case "null": allowed.null = true
                case "boolean":
                    allowed.yes = true
                    allowed.no = true
                case "number": allowed.numbers = .all
                case "integer": if case .some(let automaton) = allowed.numbers, automaton.isEmpty { allowed.numbers = .integers }
                case "string": allowed.strings = .all
                case "array": allowed.arrays = [ArrayShape()]
                case "object": allowed.objects = [ObjectShape()]
                default:
                    throw ConstraintError(
                        .malformed, path: keywords.path("type"),
                        "the type \(name.serialized()) is none of null, boolean, number, integer, string, array, object.")
                }
            }
            result = allowed
        }
        if let list = keywords["enum"] {
            guard let elements = list.array else { throw keywords.wrong("enum", "a list of values") }
            result = try intersection(result, try values(among: elements))
        }
        if let value = keywords["const"] { result = try intersection(result, try values(constant: value)) }
    }

    private func values(among elements: [JSONValue]) throws(ConstraintError) -> ValueSet {
        var result = ValueSet()
        var texts: [[UInt8]] = []
        var numbers: [NumberSet] = []
        for element in elements {
            try spend(1)
            switch element {
            case .string(let text): texts.append(Array(text.utf8))
            case .number(let number): numbers.append(try NumberSet.compared(Decimal(number), [0], limits))
            default: result = try union(result, try values(constant: element))
            }
        }
        if !texts.isEmpty { result.strings = StringSet(automaton: try ByteAutomaton(texts: texts, limit: limits.nodes / 2)) }
        // In pairs, so that large ones meet seldom.
        while numbers.count > 1 {
            var pairs: [NumberSet] = []
            for i in stride(from: 0, to: numbers.count, by: 2) {
                pairs.append(i + 1 < numbers.count ? try numbers[i].union(numbers[i + 1], limits) : numbers[i])
            }
            numbers = pairs
        }
        if let all = numbers.first { result.numbers = all }
        return result
    }

    func values(constant value: JSONValue) throws(ConstraintError) -> ValueSet {
        var result = ValueSet()
        switch value {
        case .null: result.null = true
        case .bool(let value): if value { result.yes = true } else { result.no = true }
        case .number(let number): result.numbers = try NumberSet.compared(Decimal(number), [0], limits)
        case .string(let text): result.strings = StringSet(automaton: try ByteAutomaton(texts: [Array(text.utf8)], limit: limits.nodes / 2))
        case .array(let elements):
            var shape = ArrayShape(rest: Self.impossible, minimum: elements.count, maximum: elements.count)
            for element in elements { shape.prefix.append(try constant(element)) }
            result.arrays = [shape]
        case .object(let object):
            var shape = ObjectShape(classes: [])
            for member in object.members {
                shape.properties.append(.init(key: Array(member.key.utf8), value: try constant(member.value), isRequired: true))
            }
            result.objects = [shape]
        }
        return result
    }

    // MARK: Numbers and strings

    private func restrictNumbers(_ result: inout ValueSet, _ keywords: Keywords) throws(ConstraintError) {
        for (keyword, orders) in [("minimum", [0, 1]), ("maximum", [-1, 0]), ("exclusiveMinimum", [1]), ("exclusiveMaximum", [-1])] {
            guard let value = keywords[keyword] else { continue }
            guard case .number(let number) = value else { throw keywords.wrong(keyword, "a number") }
            if result.numbers.isEmpty { continue }
            result.numbers = try result.numbers.intersection(try NumberSet.compared(Decimal(number), orders, limits), limits)
        }
        if let value = keywords["multipleOf"] {
            guard case .number(let number) = value, number.double > 0 else { throw keywords.wrong("multipleOf", "a number above 0") }
            if !result.numbers.isEmpty {
                guard let multiples = try NumberSet.multiples(of: Decimal(number), limits) else {
                    throw ConstraintError(.tooComplex, path: keywords.path("multipleOf"), "multiples of \(value.serialized()) take too many states.")
                }
                result.numbers = try result.numbers.intersection(multiples, limits)
            }
        }
    }

    private func restrictStrings(_ result: inout ValueSet, _ keywords: Keywords) throws(ConstraintError) {
        var lengths = StringSet.all
        if let count = try keywords.count("minLength") { lengths.minimum = count }
        lengths.maximum = try keywords.count("maxLength")
        if let value = keywords["pattern"] {
            guard let text = value.string else { throw keywords.wrong("pattern", "a string") }
            lengths.automaton = try pattern(text, keywords.path("pattern"))
        }
        if !lengths.isAll { result.strings = try result.strings.intersection(lengths, limits) }
        if let value = keywords["format"] {
            guard let name = value.string else { throw keywords.wrong("format", "a string") }
            guard let format = try Format(name, limits) else {
                throw ConstraintError(.unsupported, path: keywords.path("format"), "the format '\(name)' is not supported.")
            }
            if let texts = format.strings { result.strings = try result.strings.intersection(texts, limits) }
            if let numbers = format.numbers, !result.numbers.isEmpty { result.numbers = try result.numbers.intersection(numbers, limits) }
        }
    }

    private func pattern(_ text: String, _ path: String) throws(ConstraintError) -> ByteAutomaton {
        do {
            let automaton = try ExpressionParser.parse(text).automaton(anywhere: true, limits: limits)
            try spend(automaton.stateCount)
            return automaton
        } catch {
            throw ConstraintError(error.code, path: path, error.message)
        }
    }

    // MARK: Arrays

    private func restrictArrays(_ result: inout ValueSet, _ keywords: Keywords) throws(ConstraintError) {
        var shape = ArrayShape()
        if let minimum = try keywords.count("minItems") { shape.minimum = minimum }
        shape.maximum = try keywords.count("maxItems")
        for place in try keywords.children("prefixItems") ?? [] { shape.prefix.append(try conjunction(place)) }
        if let items = keywords["items"] {
            if items.array != nil {
                throw ConstraintError(.unsupported, path: keywords.path("items"), "a list in 'items' is of older drafts; write prefixItems.")
            }
            shape.rest = try conjunction(keywords.child("items", items))
        }
        shape.evaluated = keywords["items"] == nil ? shape.prefix.count : .max
        let minimum = try keywords.count("minContains") ?? 1
        let maximum = try keywords.count("maxContains")
        if let contains = keywords["contains"] {
            let element = try conjunction(keywords.child("contains", contains))
            if document.asksForUnevaluated { shape.evaluatedElements = [element] }
            if minimum > 0 || maximum != nil {
                shape.contains.append(.init(element: element, minimum: minimum, maximum: maximum, start: 0))
            }
        }
        if let unique = keywords["uniqueItems"] {
            guard let isUnique = unique.bool else { throw keywords.wrong("uniqueItems", "true or false") }
            shape.isUnique = isUnique
            shape.uniquePath = keywords.path("uniqueItems")
        }
        // No array is longer than its elements allow.
        if shape.rest == Self.impossible { shape.maximum = min(shape.maximum ?? .max, shape.prefix.count) }
        for (i, element) in shape.prefix.enumerated() where element == Self.impossible { shape.maximum = min(shape.maximum ?? .max, i) }
        if let maximum = shape.maximum, maximum < 2 { shape.isUnique = false }
        try restrict(&result, shape)
    }

    private func restrict(_ result: inout ValueSet, _ shape: ArrayShape) throws(ConstraintError) {
        var arrays: [ArrayShape] = []
        for other in result.arrays {
            let both = try intersection(other, shape)
            if try !isEmpty(both, depth: 30) { arrays.append(both) }
        }
        result.arrays = arrays
    }

    // MARK: Objects

    private func restrictObjects(_ result: inout ValueSet, _ keywords: Keywords) throws(ConstraintError) {
        var shape = ObjectShape(path: keywords.place.path)
        if let minimum = try keywords.count("minProperties") { shape.minimum = minimum }
        shape.maximum = try keywords.count("maxProperties")
        try readProperties(into: &shape, keywords)
        if let required = keywords["required"] {
            guard required.array != nil else { throw keywords.wrong("required", "a list of strings") }
            var places: [[UInt8]: Int] = [:]
            for (i, property) in shape.properties.enumerated() { places[property.key] = i }
            for name in try keywords.names("required", required) {
                if let place = places[name] {
                    shape.properties[place].isRequired = true
                } else {
                    places[name] = shape.properties.count
                    shape.properties.append(.init(key: name, value: shape.value(ofOther: name), isRequired: true))
                }
            }
        }
        var objects: [ObjectShape] = []
        for other in result.objects {
            let both = try intersection(other, shape)
            if try !isEmpty(both, depth: 30) { objects.append(both) }
        }
        result.objects = objects
    }

    private func readProperties(into shape: inout ObjectShape, _ keywords: Keywords) throws(ConstraintError) {
        var patterns: [(keys: ByteAutomaton, value: Conjunction)] = []
        for member in try keywords.members("patternProperties") ?? [] {
            let path = keywords.path("patternProperties") + "/" + SchemaDocument.escaped(member.key)
            let place = SchemaDocument.Place(value: member.value, path: path, base: keywords.place.base)
            patterns.append((try pattern(member.key, path), try conjunction(place)))
        }
        for member in try keywords.members("properties") ?? [] {
            let path = keywords.path("properties") + "/" + SchemaDocument.escaped(member.key)
            let key = Array(member.key.utf8)
            var value = try conjunction(SchemaDocument.Place(value: member.value, path: path, base: keywords.place.base))
            for pattern in patterns where pattern.keys.accepts(key) { value = both(value, pattern.value) }
            shape.properties.append(.init(key: key, value: value, isRequired: false))
        }
        // Keys that match no pattern, then those of each combination of patterns.
        var unmatched = StringSet.all
        var classes: [ObjectShape.KeyClass] = []
        for pattern in patterns {
            let keys = StringSet(automaton: pattern.keys)
            var split: [ObjectShape.KeyClass] = []
            for other in classes {
                let both = try other.keys.intersection(keys, limits)
                if !both.isEmpty { split.append(.init(keys: both, value: self.both(other.value, pattern.value), isDeclared: true)) }
                let rest = try other.keys.subtracting(keys, limits)
                if !rest.isEmpty { split.append(.init(keys: rest, value: other.value, isDeclared: true)) }
            }
            let new = try unmatched.intersection(keys, limits)
            if !new.isEmpty { split.append(.init(keys: new, value: pattern.value, isDeclared: true)) }
            unmatched = try unmatched.subtracting(keys, limits)
            classes = split
            guard classes.count <= 64 else {
                throw ConstraintError(.tooComplex, path: keywords.path("patternProperties"), "the patterns overlap in more than 64 ways.")
            }
        }
        if document.asksForUnevaluated {
            let names = StringSet(automaton: try ByteAutomaton(texts: shape.properties.map { $0.key }, limit: limits.nodes / 2))
            // Keys that match no pattern are what `unmatched` holds.
            shape.evaluated = keywords["additionalProperties"] == nil ? try names.union(try unmatched.complement(limits), limits) : .all
        }
        var others: Conjunction = []
        if let additional = keywords["additionalProperties"] {
            others = try conjunction(keywords.child("additionalProperties", additional))
        }
        if others != Self.impossible, !unmatched.isEmpty {
            classes.append(
                .init(keys: unmatched, value: others, isDeclared: keywords["additionalProperties"] != nil || keywords["propertyNames"] != nil))
        }
        shape.classes = classes
        if let names = keywords["propertyNames"] {
            let keys = try values(try conjunction(keywords.child("propertyNames", names))).strings
            let language = try keys.language(limits)
            for i in shape.properties.indices where !language.accepts(shape.properties[i].key) { shape.properties[i].value = Self.impossible }
            classes = []
            for other in shape.classes {
                let both = try other.keys.intersection(keys, limits)
                if !both.isEmpty { classes.append(.init(keys: both, value: other.value, isDeclared: other.isDeclared)) }
            }
            shape.classes = classes
        }
    }

    // MARK: References and combinations

    private func applyReferences(_ result: inout ValueSet, _ keywords: Keywords) throws(ConstraintError) {
        for keyword in ["$ref", "$dynamicRef"] {
            guard let value = keywords[keyword] else { continue }
            guard let reference = value.string else { throw keywords.wrong(keyword, "a string") }
            let (_, fragment) = SchemaDocument.split(reference)
            if keyword == "$dynamicRef", document.dynamicAnchorCount(fragment) > 1 {
                throw ConstraintError(.unsupported, path: keywords.path(keyword), "a '$dynamicRef' to one of several anchors '\(fragment)' is not supported.")
            }
            guard let target = document.target(of: reference, from: keywords.place.base) else {
                throw ConstraintError(
                    .unresolvedReference, path: keywords.path(keyword),
                    "'\(reference)' is not found in this schema. Other documents are not read; put what is needed into $defs.")
            }
            result = try intersection(result, try values(try conjunction(target)))
        }
    }

    private func applyCombinations(_ result: inout ValueSet, _ keywords: Keywords) throws(ConstraintError) {
        for place in try keywords.children("allOf") ?? [] { result = try intersection(result, try values(try conjunction(place))) }
        if let places = try keywords.children("anyOf") {
            var any = ValueSet()
            for place in places {
                let set = try values(try conjunction(place))
                // Where two hold, what both have evaluated counts.
                let both = document.asksForUnevaluated ? try intersection(any, set) : ValueSet()
                any = try union(try union(any, set), both)
            }
            result = try intersection(result, any)
        }
        if let places = try keywords.children("oneOf") {
            var one = ValueSet()
            var sets: [ValueSet] = []
            for place in places { sets.append(try values(try conjunction(place))) }
            for i in sets.indices {
                // The others are taken away as they stand: what this schema adds to them need not be negated.
                var only = try intersection(result, sets[i])
                for j in sets.indices where j != i { only = try located("oneOf", keywords, only, sets[j]) }
                one = try union(one, only)
            }
            result = one
        }
        if let not = keywords["not"] {
            result = try located("not", keywords, result, try values(try conjunction(keywords.child("not", not))))
        }
        if let condition = keywords["if"], keywords["then"] != nil || keywords["else"] != nil {
            let conjunction = try conjunction(keywords.child("if", condition))
            let (then, otherwise) = (keywords["then"] ?? true, keywords["else"] ?? true)
            let holds = try values(conjunction)
            let first = try intersection(try intersection(result, holds), try values(try self.conjunction(keywords.child("then", then))))
            let second = try located("if", keywords, result, holds)
            result = try union(first, try intersection(second, try values(try self.conjunction(keywords.child("else", otherwise)))))
        } else if let condition = keywords["if"], document.asksForUnevaluated {
            // It forbids nothing, but where it holds it has evaluated something.
            result = try union(result, try intersection(result, try values(try conjunction(keywords.child("if", condition)))))
        }
    }

    /// A difference whose errors name the keyword that asked for it.
    private func located(_ keyword: String, _ keywords: Keywords, _ a: ValueSet, _ b: ValueSet) throws(ConstraintError) -> ValueSet {
        do {
            return try difference(a, b)
        } catch {
            throw ConstraintError(error.code, path: error.path.isEmpty ? keywords.path(keyword) : error.path, error.message)
        }
    }

    private func applyDependencies(_ result: inout ValueSet, _ keywords: Keywords) throws(ConstraintError) {
        for member in try keywords.members("dependentRequired") ?? [] {
            guard member.value.array != nil else { throw keywords.wrong("dependentRequired", "an object of lists of strings") }
            var with = ObjectShape(properties: [.init(key: Array(member.key.utf8), value: [], isRequired: true)])
            for name in try keywords.names("dependentRequired", member.value) where !with.properties.contains(where: { $0.key == name }) {
                with.properties.append(.init(key: name, value: [], isRequired: true))
            }
            var set = ValueSet.all
            set.objects = [without(member.key), with]
            result = try intersection(result, set)
        }
        for member in try keywords.members("dependentSchemas") ?? [] {
            let path = keywords.path("dependentSchemas") + "/" + SchemaDocument.escaped(member.key)
            let place = SchemaDocument.Place(value: member.value, path: path, base: keywords.place.base)
            var with = ValueSet()
            with.objects = [ObjectShape(properties: [.init(key: Array(member.key.utf8), value: [], isRequired: true)])]
            with = try intersection(with, try values(try conjunction(place)))
            var set = ValueSet.all
            set.objects = [without(member.key)] + with.objects
            result = try intersection(result, set)
        }
    }

    private func without(_ key: String) -> ObjectShape {
        ObjectShape(properties: [.init(key: Array(key.utf8), value: Self.impossible, isRequired: false)])
    }
}
