internal import Checkpoint

/// How far an object has been written.
private struct MemberCount: Hashable {
    /// Named properties decided on, then classes that have been counted.
    var place: Int
    /// Written, for the comma and the maximum.
    var count: Int
    /// Certainly different, for the minimum.
    var different: Int
}

/// How objects are written.
extension SchemaCompiler {
    /// A JSON string of a text, as `JSONValue.serialized()` writes it.
    func quoted(_ text: [UInt8]) -> [UInt8] { Array(JSONValue.string(String(decoding: text, as: UTF8.self)).serialized().utf8) }

    func emit(_ shape: ObjectShape, from: Int32, to end: Int32) throws(ConstraintError) {
        // All named keys stay forbidden as others, also those that cannot occur.
        let names = shape.properties.map { $0.key }
        var properties: [ObjectShape.Property] = []
        for property in shape.properties where try !isEmpty(property.value) { properties.append(property) }
        var classes = shape.classes
        if !options.undeclaredProperties, !properties.isEmpty, properties.count >= shape.minimum { classes.removeAll { !$0.isDeclared } }
        var others: [(keys: StringSet, value: Conjunction)] = []
        for other in classes where try !isEmpty(other.value) {
            var keys = other.keys
            if !names.isEmpty { keys = try keys.subtracting(StringSet(automaton: try ByteAutomaton(texts: names, limit: limits.nodes / 2)), limits) }
            if !keys.isEmpty { others.append((keys, other.value)) }
        }
        let open = try space(try byte(from, 0x7B))
        let close = try builder.addNode()
        builder.connect(close, 0x7D, 0x7D, to: end)
        if options.anyPropertyOrder, properties.count > 1 || properties.count == 1 && !others.isEmpty {
            try emitInAnyOrder(shape, properties, others, from: open, to: close)
        } else {
            try emitInOrder(shape, properties, others, from: open, to: close)
        }
    }

    private func emitKey(_ keys: StringSet, from: Int32) throws(ConstraintError) -> Int32 {
        let after = try builder.addNode()
        try emitString(keys, from: from, to: after)
        return after
    }

    /// The colon and the value behind a key, and the space after it.
    private func emitValue(_ value: Conjunction, from: Int32) throws(ConstraintError) -> Int32 {
        let colon = try separator(try space(from), 0x3A)
        return try space(try builder.call(colon, try rule(value)))
    }

    // MARK: In the schema's order

    /// Named properties in their order, then others. Properties are counted as long as that matters; of others, whose keys may repeat, one
    /// of each class counts for the minimum.
    private func emitInOrder(
        _ shape: ObjectShape, _ properties: [ObjectShape.Property], _ others: [(keys: StringSet, value: Conjunction)], from open: Int32,
        to close: Int32
    ) throws(ConstraintError) {
        let minimum = shape.minimum <= properties.reduce(0, { $0 + ($1.isRequired ? 1 : 0) }) ? 0 : shape.minimum
        if let maximum = shape.maximum, maximum > 100_000, maximum < properties.count {
            throw ConstraintError(.tooComplex, path: shape.path, "maxProperties above 100000 cannot be counted.")
        }
        let counted = shape.maximum.map { others.isEmpty && $0 >= properties.count ? nil : $0 } ?? nil
        let total = properties.count + others.count
        var names: [MemberCount: Int32] = [:]
        var waiting: [MemberCount] = []
        func node(_ key: MemberCount) throws(ConstraintError) -> Int32 {
            if let node = names[key] { return node }
            let node = try builder.addNode()
            names[key] = node
            waiting.append(key)
            return node
        }
        func after(_ key: MemberCount, place: Int, isDifferent: Bool) -> MemberCount {
            MemberCount(place: place, count: min(key.count + 1, counted ?? 1), different: min(key.different + (isDifferent ? 1 : 0), minimum))
        }
        builder.connect(open, to: try node(MemberCount(place: 0, count: 0, different: 0)))
        var next = 0
        while next < waiting.count {
            let key = waiting[next]
            next += 1
            let here = try node(key)
            let isFull = counted.map { key.count >= $0 } ?? false
            if key.place < properties.count {
                let property = properties[key.place]
                if !property.isRequired {
                    builder.connect(here, to: try node(MemberCount(place: key.place + 1, count: key.count, different: key.different)))
                }
                if isFull { continue }
                let begin = try key.count > 0 ? separator(here, 0x2C) : here
                let value = try emitValue(property.value, from: try builder.literal(begin, quoted(property.key)))
                builder.connect(value, to: try node(after(key, place: key.place + 1, isDifferent: true)))
                continue
            }
            if key.different >= minimum { builder.connect(here, to: close) }
            if isFull || others.isEmpty { continue }
            let begin = try key.count > 0 ? separator(here, 0x2C) : here
            if key.different < minimum, key.place < total {
                // One of the next class counts; classes may be passed over.
                builder.connect(here, to: try node(MemberCount(place: key.place + 1, count: key.count, different: key.different)))
                let other = others[key.place - properties.count]
                let value = try emitValue(other.value, from: try emitKey(other.keys, from: begin))
                builder.connect(value, to: try node(after(key, place: key.place + 1, isDifferent: true)))
            } else if key.different >= minimum {
                for other in others {
                    let value = try emitValue(other.value, from: try emitKey(other.keys, from: begin))
                    builder.connect(value, to: try node(after(key, place: total, isDifferent: false)))
                }
            }
        }
    }

    // MARK: In any order

    private func emitInAnyOrder(
        _ shape: ObjectShape, _ properties: [ObjectShape.Property], _ others: [(keys: StringSet, value: Conjunction)], from open: Int32,
        to close: Int32
    ) throws(ConstraintError) {
        guard properties.count <= Int(ConstraintMachine.countShift) else {
            throw ConstraintError(.tooComplex, path: shape.path, "an object in any order has at most \(ConstraintMachine.countShift) named properties; this has \(properties.count).")
        }
        var maximum = shape.maximum ?? .max
        if others.isEmpty, maximum >= properties.count { maximum = .max }
        if maximum < .max, !others.isEmpty, maximum > 200 {
            throw ConstraintError(.tooComplex, path: shape.path, "maxProperties of an object in any order is at most 200.")
        }
        let reachable = properties.count + (others.isEmpty ? 0 : 1)
        guard shape.minimum <= reachable else {
            throw ConstraintError(.unsupported, path: shape.path, "minProperties \(shape.minimum) cannot be kept to where keys are free: they might repeat.")
        }
        var required: UInt64 = 0
        for (i, property) in properties.enumerated() where property.isRequired { required |= 1 << UInt64(i) }
        let first = try builder.addNode()
        let more = try builder.addNode()
        let finished = try builder.addNode()
        builder.connect(open, to: first)
        builder.connect(first, to: finished, .done(required: required, minimum: shape.minimum))
        builder.connect(more, to: finished, .done(required: required, minimum: shape.minimum))
        builder.connect(finished, to: close)
        // A comma is only written once it is decided what comes: white space after it must not lead nowhere.
        func begin(_ condition: Grammar.Guard) throws(ConstraintError) -> Int32 {
            let begin = try builder.addNode()
            let comma = try builder.addNode()
            builder.connect(first, to: begin, condition)
            builder.connect(more, to: comma, condition)
            builder.connect(try separator(comma, 0x2C), to: begin)
            return begin
        }
        for (i, property) in properties.enumerated() {
            let begin = try begin(.take(bit: i, required: required, minimum: shape.minimum, maximum: maximum))
            if property.isRequired { builder.require(try rule(property.value), at: finished) }
            builder.connect(try emitValue(property.value, from: try builder.literal(begin, quoted(property.key))), to: more)
        }
        for other in others {
            let begin = try begin(.takeOther(required: required, minimum: shape.minimum, maximum: maximum))
            builder.connect(try emitValue(other.value, from: try emitKey(other.keys, from: begin)), to: more)
        }
    }
}
