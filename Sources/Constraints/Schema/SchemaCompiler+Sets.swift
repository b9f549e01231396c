/// Intersection, union and complement of sets of values.
extension SchemaCompiler {
    func intersection(_ a: ValueSet, _ b: ValueSet) throws(ConstraintError) -> ValueSet {
        var result = ValueSet()
        result.null = a.null && b.null
        result.yes = a.yes && b.yes
        result.no = a.no && b.no
        result.numbers = try a.numbers.intersection(b.numbers, limits)
        result.strings = try a.strings.intersection(b.strings, limits)
        for x in a.arrays {
            for y in b.arrays {
                let shape = try intersection(x, y)
                if try !isEmpty(shape, depth: 30) { result.arrays.append(shape) }
            }
        }
        for x in a.objects {
            for y in b.objects {
                let shape = try intersection(x, y)
                if try !isEmpty(shape, depth: 30) { result.objects.append(shape) }
            }
        }
        try check(result)
        return result
    }

    private func check(_ set: ValueSet) throws(ConstraintError) {
        guard set.arrays.count <= limits.alternatives, set.objects.count <= limits.alternatives else {
            throw ConstraintError(
                .tooComplex, "a value has more than \(limits.alternatives) alternatives once all combinations are multiplied out.")
        }
        try spend(set.arrays.count + set.objects.count)
    }

    func union(_ a: ValueSet, _ b: ValueSet) throws(ConstraintError) -> ValueSet {
        var result = ValueSet()
        result.null = a.null || b.null
        result.yes = a.yes || b.yes
        result.no = a.no || b.no
        result.numbers = try a.numbers.union(b.numbers, limits)
        result.strings = try a.strings.union(b.strings, limits)
        result.arrays = a.arrays + b.arrays
        result.objects = a.objects + b.objects
        try check(result)
        return result
    }

    func complement(_ set: ValueSet) throws(ConstraintError) -> ValueSet {
        var result = ValueSet()
        result.null = !set.null
        result.yes = !set.yes
        result.no = !set.no
        result.numbers = try set.numbers.complement(limits)
        result.strings = try set.strings.complement(limits)
        result.arrays = [ArrayShape()]
        for shape in set.arrays {
            var rest: [ArrayShape] = []
            for other in try complement(shape) {
                for kept in result.arrays {
                    let both = try intersection(kept, other)
                    if try !isEmpty(both, depth: 30) { rest.append(both) }
                }
            }
            result.arrays = rest
            try check(result)
        }
        result.objects = [ObjectShape()]
        for shape in set.objects {
            var rest: [ObjectShape] = []
            for other in try complement(shape) {
                for kept in result.objects {
                    let both = try intersection(kept, other)
                    if try !isEmpty(both, depth: 30) { rest.append(both) }
                }
            }
            result.objects = rest
            try check(result)
        }
        return result
    }

    /// What is in `a` and not in `b`. Shapes that have nothing in common need no complement.
    func difference(_ a: ValueSet, _ b: ValueSet) throws(ConstraintError) -> ValueSet {
        var remaining = b
        remaining.arrays = []
        remaining.objects = []
        for shape in b.arrays {
            for other in a.arrays where try !isEmpty(try intersection(shape, other)) {
                remaining.arrays.append(shape)
                break
            }
        }
        for shape in b.objects {
            for other in a.objects where try !isEmpty(try intersection(shape, other)) {
                remaining.objects.append(shape)
                break
            }
        }
        return try intersection(a, try complement(remaining))
    }

    // MARK: Arrays

    func intersection(_ a: ArrayShape, _ b: ArrayShape) throws(ConstraintError) -> ArrayShape {
        var result = ArrayShape()
        let count = max(a.prefix.count, b.prefix.count)
        try spend(count + 1)
        result.prefix = (0..<count).map { both(a.element($0), b.element($0)) }
        result.rest = both(a.rest, b.rest)
        result.minimum = max(a.minimum, b.minimum)
        result.maximum = [a.maximum, b.maximum].compactMap { $0 }.min()
        result.contains = a.contains + b.contains
        result.isUnique = a.isUnique || b.isUnique
        result.uniquePath = a.isUnique ? a.uniquePath : b.uniquePath
        result.evaluated = max(a.evaluated, b.evaluated)
        result.evaluatedElements = a.evaluatedElements + b.evaluatedElements
        return result
    }

    private func complement(_ shape: ArrayShape) throws(ConstraintError) -> [ArrayShape] {
        if shape.isUnique {
            throw ConstraintError(.unsupported, path: shape.uniquePath, "'uniqueItems' cannot be negated (by not, oneOf, if or a like keyword).")
        }
        var result: [ArrayShape] = []
        if shape.minimum > 0 { result.append(ArrayShape(maximum: shape.minimum - 1)) }
        if let maximum = shape.maximum { result.append(ArrayShape(minimum: maximum + 1)) }
        for (i, element) in shape.prefix.enumerated() where !element.isEmpty {
            let any = [Conjunction](repeating: [], count: i)
            result.append(ArrayShape(prefix: any + [try negation(element)], minimum: i + 1))
        }
        if !shape.rest.isEmpty {
            let other = ArrayShape.Contains(element: try negation(shape.rest), minimum: 1, maximum: nil, start: shape.prefix.count)
            result.append(ArrayShape(minimum: shape.prefix.count + 1, contains: [other]))
        }
        for contains in shape.contains {
            var other = contains
            if contains.minimum > 0 {
                other.minimum = 0
                other.maximum = contains.minimum - 1
                result.append(ArrayShape(contains: [other]))
            }
            if let maximum = contains.maximum {
                other.minimum = maximum + 1
                other.maximum = nil
                result.append(ArrayShape(contains: [other]))
            }
        }
        return result
    }

    // MARK: Objects

    func intersection(_ a: ObjectShape, _ b: ObjectShape) throws(ConstraintError) -> ObjectShape {
        var result = ObjectShape()
        var places: [[UInt8]: Int] = [:]
        for (i, property) in b.properties.enumerated() { places[property.key] = i }
        try spend(a.properties.count + b.properties.count + 1)
        var used = [Bool](repeating: false, count: b.properties.count)
        for property in a.properties {
            var merged = property
            if let place = places[property.key] {
                used[place] = true
                merged.value = both(property.value, b.properties[place].value)
                merged.isRequired = property.isRequired || b.properties[place].isRequired
            } else {
                merged.value = both(property.value, b.value(ofOther: property.key))
            }
            result.properties.append(merged)
        }
        for (i, property) in b.properties.enumerated() where !used[i] {
            var merged = property
            merged.value = both(property.value, a.value(ofOther: property.key))
            result.properties.append(merged)
        }
        result.classes = []
        for x in a.classes {
            for y in b.classes {
                let keys = try x.keys.intersection(y.keys, limits)
                let value = both(x.value, y.value)
                if keys.isEmpty || value == Self.impossible { continue }
                result.classes.append(.init(keys: keys, value: value, isDeclared: x.isDeclared || y.isDeclared))
            }
        }
        try spend(10 * result.classes.count)
        result.path = a.path.isEmpty ? b.path : a.path
        result.evaluated = try a.evaluated.union(b.evaluated, limits)
        result.minimum = max(a.minimum, b.minimum)
        result.maximum = [a.maximum, b.maximum].compactMap { $0 }.min()
        return result
    }

    private func complement(_ shape: ObjectShape) throws(ConstraintError) -> [ObjectShape] {
        var result: [ObjectShape] = []
        for property in shape.properties {
            if property.isRequired {
                result.append(ObjectShape(properties: [.init(key: property.key, value: Self.impossible, isRequired: false)]))
            }
            if !property.value.isEmpty {
                result.append(ObjectShape(properties: [.init(key: property.key, value: try negation(property.value), isRequired: true)]))
            }
        }
        var covered = StringSet(automaton: try ByteAutomaton(texts: shape.properties.map { $0.key }, limit: limits.nodes / 2))
        for other in shape.classes {
            guard other.value.isEmpty else {
                throw ConstraintError(
                    .unsupported, "additionalProperties, patternProperties and propertyNames cannot be negated (by not, oneOf, if or a like keyword) where they restrict.")
            }
            covered = try covered.union(other.keys, limits)
        }
        if try !covered.complement(limits).isEmpty {
            throw ConstraintError(
                .unsupported, "additionalProperties, patternProperties and propertyNames cannot be negated (by not, oneOf, if or a like keyword) where they restrict.")
        }
        if shape.minimum > 0 { result.append(ObjectShape(maximum: shape.minimum - 1)) }
        if let maximum = shape.maximum { result.append(ObjectShape(minimum: maximum + 1)) }
        return result
    }
}

extension ObjectShape {
    /// What holds for a key that is no named property.
    func value(ofOther key: [UInt8]) -> Conjunction {
        for other in classes where other.keys.contains(key) { return other.value }
        return SchemaCompiler.impossible
    }
}
