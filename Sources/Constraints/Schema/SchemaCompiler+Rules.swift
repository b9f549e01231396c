/// How many elements have been written, and how many of them were counted for each `contains`.
private struct ElementCount: Hashable {
    var count: Int
    var found: [Int]
}

/// How sets of values are written: nodes and edges of the grammar.
extension SchemaCompiler {
    func emit(_ set: ValueSet, from entry: Int32) throws(ConstraintError) {
        let end = try builder.addNode()
        builder.markFinal(end)
        for (isIn, word) in [(set.null, "null"), (set.yes, "true"), (set.no, "false")] where isIn {
            builder.connect(try builder.literal(entry, Array(word.utf8)), to: end)
        }
        if !set.numbers.isEmpty { try builder.embed(try set.numbers.texts(limits), from: entry, to: end) }
        if !set.strings.isEmpty { try emitString(set.strings, from: entry, to: end) }
        for shape in set.arrays { try emit(shape, from: entry, to: end) }
        for shape in set.objects { try emit(shape, from: entry, to: end) }
    }

    /// From a node through white space, if it is allowed, to a node.
    func space(_ node: Int32) throws(ConstraintError) -> Int32 {
        guard case .free(let maximumRun) = options.whitespace, maximumRun > 0 else { return node }
        let rule: Int32
        if let known = spaceRule {
            rule = known
        } else {
            rule = try builder.addNode()
            spaceRule = rule
            var node = rule
            builder.markFinal(node)
            for _ in 0..<min(maximumRun, 1000) {
                let next = try builder.addNode()
                for byte: UInt8 in [0x20, 0x09, 0x0A, 0x0D] { builder.connect(node, byte, byte, to: next) }
                builder.markFinal(next)
                node = next
            }
        }
        return try builder.call(node, rule)
    }

    /// From a node through a comma or colon, and the white space behind it, to a node.
    func separator(_ node: Int32, _ byte: UInt8) throws(ConstraintError) -> Int32 {
        if options.whitespace == .spaced { return try builder.literal(node, [byte, 0x20]) }
        return try space(try self.byte(node, byte))
    }

    func byte(_ node: Int32, _ byte: UInt8) throws(ConstraintError) -> Int32 { try builder.literal(node, [byte]) }

    // MARK: Strings

    func emitString(_ strings: StringSet, from: Int32, to end: Int32) throws(ConstraintError) {
        let body = try byte(from, 0x22)
        if strings.automaton == nil {
            try emitAnyText(Grammar.StringLimits(minimum: strings.minimum, maximum: strings.maximum), from: body, to: end)
        } else {
            try emitText(try strings.language(limits), from: body, to: end)
        }
    }

    /// The rest of a string of any text behind the opening quote, with the closing one.
    private func emitAnyText(_ lengths: Grammar.StringLimits, from: Int32, to end: Int32) throws(ConstraintError) {
        let body = try builder.addNode()
        builder.connect(from, to: body)
        builder.markString(body, lengths)
        let isCounted = lengths.minimum > 0 || lengths.maximum != nil
        builder.connect(body, 0x22, 0x22, to: end, isCounted ? .checkMinimum : .none)
        let action: Grammar.Action = isCounted ? .count : .none
        for range in ScalarSet.all.utf8Ranges() {
            if range.count == 1 {
                for (low, high) in [(0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7F)] as [(UInt8, UInt8)] {
                    builder.connect(body, low, high, to: body, action)
                }
                continue
            }
            var node = body
            for (i, part) in range.enumerated() {
                let next = i == range.count - 1 ? body : try builder.addNode()
                builder.connect(node, part.low, part.high, to: next, i == 0 ? action : .none)
                node = next
            }
        }
        let escape = try builder.addNode()
        builder.connect(body, 0x5C, 0x5C, to: escape, action)
        for byte in Self.escapes.keys { builder.connect(escape, byte, byte, to: body) }
        let hexadecimal = try builder.literal(escape, Array("u00".utf8))
        let digit = try builder.addNode()
        builder.connect(hexadecimal, 0x30, 0x31, to: digit)
        for (low, high) in [(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)] as [(UInt8, UInt8)] { builder.connect(digit, low, high, to: body) }
    }

    /// What stands behind a backslash for a byte.
    private static let escapes: [UInt8: UInt8] = [
        0x22: 0x22, 0x5C: 0x5C, 0x2F: 0x2F, 0x62: 0x08, 0x66: 0x0C, 0x6E: 0x0A, 0x72: 0x0D, 0x74: 0x09,
    ]

    /// The rest of a string of a language behind the opening quote, with the closing one.
    private func emitText(_ automaton: ByteAutomaton, from: Int32, to end: Int32) throws(ConstraintError) {
        if automaton.isEmpty { return }
        var nodes: [Int32] = []
        for _ in 0..<automaton.stateCount { nodes.append(try builder.addNode()) }
        builder.connect(from, to: nodes[0])
        for state in 0..<automaton.stateCount {
            let node = nodes[state]
            if automaton.acceptsEverything(after: Int32(state)) {
                try emitAnyText(Grammar.StringLimits(minimum: 0, maximum: nil), from: node, to: end)
                continue
            }
            if automaton.accepting[state] { builder.connect(node, 0x22, 0x22, to: end) }
            automaton.forEachRange(Int32(state)) { low, high, target in
                for (first, last) in [(0x20, 0x21), (0x23, 0x5B), (0x5D, 0xFF)] as [(UInt8, UInt8)] where max(low, first) <= min(high, last) {
                    builder.connect(node, max(low, first), min(high, last), to: nodes[Int(target)])
                }
            }
            try emitEscapes(automaton, Int32(state), node, nodes)
        }
    }

    private func emitEscapes(_ automaton: ByteAutomaton, _ state: Int32, _ node: Int32, _ nodes: [Int32]) throws(ConstraintError) {
        var escape: Int32? = nil
        for byte in Self.escapes.keys.sorted() {
            guard let value = Self.escapes[byte] else { continue }
            let target = automaton.step(state, value)
            if target < 0 { continue }
            let from: Int32
            if let escape { from = escape } else { from = try self.byte(node, 0x5C) }
            escape = from
            builder.connect(from, byte, byte, to: nodes[Int(target)])
        }
        var hexadecimal: Int32? = nil
        for value in UInt8(0)..<0x20 {
            let target = automaton.step(state, value)
            if target < 0 { continue }
            let from: Int32
            if let escape { from = escape } else { from = try self.byte(node, 0x5C) }
            escape = from
            let prefix: Int32
            if let hexadecimal { prefix = hexadecimal } else { prefix = try builder.literal(from, Array("u00".utf8)) }
            hexadecimal = prefix
            let high = try self.byte(prefix, 0x30 + value >> 4)
            let digits: [UInt8] = value & 15 < 10 ? [0x30 + value & 15] : [0x41 + value & 15 - 10, 0x61 + value & 15 - 10]
            for digit in digits { builder.connect(high, digit, digit, to: nodes[Int(target)]) }
        }
    }

    // MARK: Arrays

    private func emit(_ shape: ArrayShape, from: Int32, to end: Int32) throws(ConstraintError) {
        var shape = shape
        if let maximum = shape.maximum, maximum < shape.prefix.count { shape.prefix.removeLast(shape.prefix.count - maximum) }
        if shape.isUnique, shape.maximum ?? 2 > 1 {
            try emitUnique(shape, from: from, to: end)
            return
        }
        // Elements are counted as long as it matters.
        var cap = max(shape.minimum, shape.maximum ?? 0, shape.prefix.count, 1)
        for contains in shape.contains { cap = max(cap, contains.start) }
        var names: [ElementCount: Int32] = [:]
        var waiting: [ElementCount] = []
        func node(_ key: ElementCount) throws(ConstraintError) -> Int32 {
            if let node = names[key] { return node }
            let node = try builder.addNode()
            names[key] = node
            waiting.append(key)
            return node
        }
        let open = try space(try byte(from, 0x5B))
        let close = try builder.addNode()
        builder.connect(close, 0x5D, 0x5D, to: end)
        builder.connect(open, to: try node(ElementCount(count: 0, found: [Int](repeating: 0, count: shape.contains.count))))
        var next = 0
        while next < waiting.count {
            let key = waiting[next]
            next += 1
            let here = try node(key)
            let isEnough =
                key.count >= shape.minimum && shape.contains.indices.allSatisfy { shape.contains[$0].minimum <= key.found[$0] }
            if isEnough { builder.connect(here, to: close) }
            if let maximum = shape.maximum, key.count >= maximum { continue }
            var before = here
            if key.count > 0 { before = try separator(here, 0x2C) }
            // Every way to say which of `contains` the element is counted for.
            var choices: [(element: Conjunction, found: [Int])] = [(shape.element(key.count), key.found)]
            for (i, contains) in shape.contains.enumerated() where key.count >= contains.start {
                var split: [(element: Conjunction, found: [Int])] = []
                for choice in choices {
                    if contains.maximum == nil, choice.found[i] >= contains.minimum {
                        split.append(choice)
                        continue
                    }
                    var found = choice.found
                    found[i] = min(found[i] + 1, contains.maximum.map { $0 + 1 } ?? contains.minimum)
                    if found[i] <= contains.maximum ?? .max { split.append((both(choice.element, contains.element), found)) }
                    // Without a maximum an element that matches need not be counted.
                    if contains.maximum == nil {
                        split.append(choice)
                    } else {
                        split.append((both(choice.element, try negation(contains.element)), choice.found))
                    }
                }
                choices = split
            }
            for choice in choices where choice.element != Self.impossible {
                let after = try space(try builder.call(before, try rule(choice.element)))
                builder.connect(after, to: try node(ElementCount(count: min(key.count + 1, cap), found: choice.found)))
            }
        }
    }

    /// Arrays without equal elements, where the elements come from a few given values.
    private func emitUnique(_ shape: ArrayShape, from: Int32, to end: Int32) throws(ConstraintError) {
        let failure = ConstraintError(
            .unsupported, path: shape.uniquePath,
            "'uniqueItems' is supported where elements are taken from at most 56 given values (enum, const, boolean, null), or maxItems is 1.")
        guard shape.contains.isEmpty, let rest = try texts(shape.rest) else { throw failure }
        var values: [[UInt8]] = rest
        var prefix: [[[UInt8]]] = []
        for element in shape.prefix {
            guard let texts = try texts(element) else { throw failure }
            prefix.append(texts)
            for text in texts where !values.contains(text) { values.append(text) }
        }
        guard values.count <= 56 else { throw failure }
        if values.count < shape.minimum { return }
        let open = try space(try byte(from, 0x5B))
        let close = try builder.addNode()
        builder.connect(close, 0x5D, 0x5D, to: end)
        if prefix.isEmpty {
            let first = try builder.addNode()
            let more = try builder.addNode()
            builder.connect(open, to: first)
            builder.connect(first, to: close, .done(required: 0, minimum: shape.minimum))
            builder.connect(more, to: close, .done(required: 0, minimum: shape.minimum))
            for (i, text) in values.enumerated() {
                let condition = Grammar.Guard.take(bit: i, required: 0, minimum: shape.minimum, maximum: shape.maximum ?? .max)
                let begin = try builder.addNode()
                let comma = try builder.addNode()
                builder.connect(first, to: begin, condition)
                builder.connect(more, to: comma, condition)
                builder.connect(try separator(comma, 0x2C), to: begin)
                builder.connect(try space(try builder.literal(begin, text)), to: more)
            }
            return
        }
        // Which values are used up decides what may follow: a node for each set.
        var names: [[Int]: Int32] = [[]: open]
        var waiting: [[Int]] = [[]]
        var next = 0
        while next < waiting.count {
            let used = waiting[next]
            next += 1
            guard let here = names[used] else { continue }
            let count = used.count
            if count >= shape.minimum { builder.connect(here, to: close) }
            if let maximum = shape.maximum, count >= maximum { continue }
            let before = count > 0 ? try separator(here, 0x2C) : here
            for text in count < prefix.count ? prefix[count] : rest {
                guard let value = values.firstIndex(of: text), !used.contains(value) else { continue }
                let key = (used + [value]).sorted()
                let after = try space(try builder.literal(before, text))
                if let known = names[key] {
                    builder.connect(after, to: known)
                } else {
                    let node = try builder.addNode()
                    names[key] = node
                    waiting.append(key)
                    builder.connect(after, to: node)
                    guard names.count <= 5000 else { throw failure }
                }
            }
        }
    }

    /// The texts of the values of a conjunction, if they are few and none is an array or object.
    private func texts(_ conjunction: Conjunction) throws(ConstraintError) -> [[UInt8]]? {
        let set = try values(conjunction)
        guard set.arrays.isEmpty, set.objects.isEmpty else { return nil }
        var result: [[UInt8]] = []
        if set.null { result.append(Array("null".utf8)) }
        if set.yes { result.append(Array("true".utf8)) }
        if set.no { result.append(Array("false".utf8)) }
        // Numbers that are finitely many have one text each.
        if !set.numbers.isEmpty {
            guard let numbers = try set.numbers.texts(limits).texts(limit: 100) else { return nil }
            result += numbers
        }
        if !set.strings.isEmpty {
            guard let strings = set.strings.automaton, let texts = try set.strings.language(limits).texts(limit: 100), !strings.isEmpty else { return nil }
            for text in texts { result.append(quoted(text)) }
        }
        return result
    }
}
