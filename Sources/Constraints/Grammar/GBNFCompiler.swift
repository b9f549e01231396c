/// Reads grammars in GBNF: `name ::= alternatives`, texts in quotes, classes in brackets, `.`, groups, `* + ? {n,m}`, comments with `#`.
struct GBNFCompiler {
    private indirect enum Item {
        case text([UInt8])
        case set(ScalarSet)
        case rule(Int)
        case sequence([Item])
        case alternatives([Item])
        case repetition(Item, minimum: Int, maximum: Int?)
    }

    private let scalars: [Unicode.Scalar]
    private var position = 0
    private var names: [[UInt8]: Int] = [:]
    private var ruleNames: [String] = []
    private var rules: [Item?] = []
    private let limits: ConstraintLimits
    private static let maximumDepth = 100

    static func compile(_ text: String, limits: ConstraintLimits) throws(ConstraintError) -> Grammar {
        var compiler = GBNFCompiler(scalars: Array(text.unicodeScalars), limits: limits)
        try compiler.read()
        return try compiler.grammar()
    }

    private init(scalars: [Unicode.Scalar], limits: ConstraintLimits) {
        self.scalars = scalars
        self.limits = limits
    }

    // MARK: Reading

    private func malformed(_ what: String) -> ConstraintError {
        var line = 1
        var column = 1
        for scalar in scalars[..<min(position, scalars.count)] {
            column += 1
            if scalar == "\n" {
                line += 1
                column = 1
            }
        }
        return ConstraintError(.malformed, path: "line \(line), column \(column)", "the grammar has \(what).")
    }

    private var peek: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard peek == scalar else { return false }
        position += 1
        return true
    }

    private mutating func skipSpace(lines: Bool) {
        while let scalar = peek {
            if scalar == "#" {
                while let scalar = peek, scalar != "\n", scalar != "\r" { position += 1 }
            } else if scalar == " " || scalar == "\t" || lines && (scalar == "\n" || scalar == "\r") {
                position += 1
            } else {
                return
            }
        }
    }

    private mutating func read() throws(ConstraintError) {
        skipSpace(lines: true)
        while position < scalars.count {
            let name = try self.name()
            skipSpace(lines: false)
            guard take(":"), take(":"), take("=") else { throw malformed("no '::=' behind the name of a rule") }
            skipSpace(lines: true)
            let rule = number(of: name)
            guard rules[rule] == nil else { throw malformed("the rule '\(name)' twice") }
            rules[rule] = try alternatives(depth: 0)
            if let scalar = peek, scalar != "\n", scalar != "\r" { throw malformed("something behind a rule that does not belong to it") }
            skipSpace(lines: true)
        }
    }

    private mutating func number(of name: String) -> Int {
        let key = Array(name.utf8)
        if let number = names[key] { return number }
        names[key] = rules.count
        ruleNames.append(name)
        rules.append(nil)
        return rules.count - 1
    }

    private func isNameScalar(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "-", "_": true
        default: false
        }
    }

    private mutating func name() throws(ConstraintError) -> String {
        var name = ""
        while let scalar = peek, isNameScalar(scalar) {
            name.unicodeScalars.append(scalar)
            position += 1
        }
        guard !name.utf8.isEmpty else { throw malformed("no name of a rule where one is expected") }
        return name
    }

    private mutating func alternatives(depth: Int) throws(ConstraintError) -> Item {
        guard depth < Self.maximumDepth else { throw malformed("groups nested more than \(Self.maximumDepth) deep") }
        var choices = [try sequence(depth: depth)]
        while take("|") {
            skipSpace(lines: true)
            choices.append(try sequence(depth: depth))
        }
        return choices.count == 1 ? choices[0] : .alternatives(choices)
    }

    private mutating func sequence(depth: Int) throws(ConstraintError) -> Item {
        var parts: [Item] = []
        while let scalar = peek {
            if scalar == "\"" {
                parts.append(.text(try text()))
            } else if scalar == "[" {
                parts.append(.set(try characterClass()))
            } else if scalar == "." {
                position += 1
                parts.append(.set(.all))
            } else if scalar == "(" {
                position += 1
                skipSpace(lines: true)
                parts.append(try alternatives(depth: depth + 1))
                guard take(")") else { throw malformed("a group without ')'") }
            } else if isNameScalar(scalar) {
                parts.append(.rule(number(of: try name())))
            } else if scalar == "*" || scalar == "+" || scalar == "?" || scalar == "{" {
                guard let last = parts.popLast() else { throw malformed("a repetition with nothing to repeat") }
                let (minimum, maximum) = try repetition()
                parts.append(.repetition(last, minimum: minimum, maximum: maximum))
            } else {
                break
            }
            skipSpace(lines: depth > 0)
        }
        return .sequence(parts)
    }

    private mutating func repetition() throws(ConstraintError) -> (Int, Int?) {
        if take("*") { return (0, nil) }
        if take("+") { return (1, nil) }
        if take("?") { return (0, 1) }
        position += 1
        let minimum = count()
        var maximum = minimum
        if take(",") { maximum = count() } else if minimum == nil { throw malformed("a repetition without a number") }
        guard take("}") else { throw malformed("a repetition without '}'") }
        if let maximum, maximum < minimum ?? 0 { throw malformed("a repetition whose maximum is below its minimum") }
        guard max(minimum ?? 0, maximum ?? 0) <= 100_000 else {
            throw ConstraintError(.tooComplex, "the grammar repeats something more than 100000 times.")
        }
        return (minimum ?? 0, maximum)
    }

    private mutating func count() -> Int? {
        var value: Int? = nil
        while let scalar = peek, scalar >= "0", scalar <= "9" {
            value = min((value ?? 0) * 10 + Int(scalar.value - 48), 1_000_000_000)
            position += 1
        }
        return value
    }

    private mutating func text() throws(ConstraintError) -> [UInt8] {
        position += 1
        var text = ""
        while let scalar = peek, scalar != "\"" { text.unicodeScalars.append(try character(scalar)) }
        guard take("\"") else { throw malformed("a text without a closing quote") }
        return Array(text.utf8)
    }

    private mutating func characterClass() throws(ConstraintError) -> ScalarSet {
        position += 1
        let isNegated = take("^")
        var ranges: [(UInt32, UInt32)] = []
        while let scalar = peek, scalar != "]" {
            let low = try character(scalar).value
            if peek == "-", position + 1 < scalars.count, scalars[position + 1] != "]" {
                position += 1
                guard let end = peek else { break }
                let high = try character(end).value
                guard low <= high else { throw malformed("a range whose end is before its start") }
                ranges.append((low, high))
            } else {
                ranges.append((low, low))
            }
        }
        guard take("]") else { throw malformed("a class without ']'") }
        let set = ScalarSet(ranges)
        return isNegated ? set.complement() : set
    }

    private mutating func character(_ scalar: Unicode.Scalar) throws(ConstraintError) -> Unicode.Scalar {
        position += 1
        guard scalar == "\\" else { return scalar }
        guard let escape = peek else { throw malformed("a '\\' at the end") }
        position += 1
        switch escape {
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "\\", "\"", "[", "]", "-", "^": return escape
        case "x": return try hexadecimal(2)
        case "u": return try hexadecimal(4)
        case "U": return try hexadecimal(8)
        default: throw malformed("the unknown escape '\\\(Character(escape))'")
        }
    }

    private mutating func hexadecimal(_ count: Int) throws(ConstraintError) -> Unicode.Scalar {
        var value: UInt32 = 0
        for _ in 0..<count {
            guard let digit = peek.flatMap({ Character($0).hexDigitValue }) else { throw malformed("an escape with too few hexadecimal digits") }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        guard let scalar = Unicode.Scalar(value) else { throw malformed("an escape that is no character") }
        return scalar
    }

    // MARK: Building

    private func grammar() throws(ConstraintError) -> Grammar {
        for (i, rule) in rules.enumerated() where rule == nil {
            throw ConstraintError(.unresolvedReference, path: ruleNames[i], "the grammar has no rule of this name.")
        }
        guard let root = names[Array("root".utf8)] else {
            throw ConstraintError(.malformed, "the grammar has no rule 'root', where texts begin.")
        }
        var builder = GrammarBuilder(limits: limits)
        var entries: [Int32] = []
        for _ in rules { entries.append(try builder.addNode()) }
        for (i, rule) in rules.enumerated() {
            guard let rule else { continue }
            let end = try builder.addNode()
            builder.markFinal(end)
            builder.connect(try add(rule, &builder, from: entries[i], entries), to: end)
        }
        return try builder.finish(start: entries[root])
    }

    private func add(_ item: Item, _ builder: inout GrammarBuilder, from: Int32, _ entries: [Int32]) throws(ConstraintError) -> Int32 {
        switch item {
        case .text(let bytes): return try builder.literal(from, bytes)
        case .set(let set):
            let to = try builder.addNode()
            try builder.embed(try Expression.set(set).automaton(anywhere: false, limits: limits), from: from, to: to)
            return to
        case .rule(let rule): return try builder.call(from, entries[rule])
        case .sequence(let parts):
            var node = from
            for part in parts { node = try add(part, &builder, from: node, entries) }
            return node
        case .alternatives(let choices):
            let to = try builder.addNode()
            for choice in choices {
                let first = try builder.addNode()
                builder.connect(from, to: first)
                builder.connect(try add(choice, &builder, from: first, entries), to: to)
            }
            return to
        case .repetition(let body, let minimum, let maximum):
            var node = from
            for _ in 0..<minimum { node = try copy(body, &builder, from: node, entries) }
            guard let maximum else {
                let loop = try builder.addNode()
                builder.connect(node, to: loop)
                builder.connect(try add(body, &builder, from: loop, entries), to: loop)
                return loop
            }
            let to = try builder.addNode()
            for _ in minimum..<max(maximum, minimum) {
                builder.connect(node, to: to)
                node = try copy(body, &builder, from: node, entries)
            }
            builder.connect(node, to: to)
            return to
        }
    }

    /// Each copy takes a node at least, so that the limit of nodes also limits empty repetitions.
    private func copy(_ item: Item, _ builder: inout GrammarBuilder, from: Int32, _ entries: [Int32]) throws(ConstraintError) -> Int32 {
        let next = try builder.addNode()
        builder.connect(try add(item, &builder, from: from, entries), to: next)
        return next
    }
}
