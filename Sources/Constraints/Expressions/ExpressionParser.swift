/// Reads regular expressions in the syntax of ECMA-262 with Unicode semantics, as JSON Schema uses them.
///
/// Known: literals, classes, `\d \w \s` and their opposites, `\p{…}` for general categories and a few properties, groups, `|`, the
/// quantifiers (lazy ones mean the same set of texts), `^`, `$`, lookaheads in front. Back references, `\b`, lookbehind and modifiers
/// are errors.
struct ExpressionParser {
    private let scalars: [Unicode.Scalar]
    private var position = 0
    private static let maximumDepth = 100
    private static let maximumRepetition = 100_000

    private init(_ text: String) { scalars = Array(text.unicodeScalars) }

    /// - Throws: `malformed` or `unsupported`, with the place in the text.
    static func parse(_ text: String) throws(ConstraintError) -> Expression {
        var parser = ExpressionParser(text)
        let result = try parser.alternatives(depth: 0)
        guard parser.position == parser.scalars.count else { throw parser.malformed("an unmatched ')'") }
        return result
    }

    // MARK: Errors

    private func malformed(_ what: String) -> ConstraintError {
        ConstraintError(.malformed, "the regular expression has \(what) at character \(position + 1).")
    }

    private func unsupported(_ what: String) -> ConstraintError {
        ConstraintError(.unsupported, "the regular expression has \(what) at character \(position + 1), which is not supported.")
    }

    // MARK: Grammar

    private var peek: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard peek == scalar else { return false }
        position += 1
        return true
    }

    private mutating func alternatives(depth: Int) throws(ConstraintError) -> Expression {
        guard depth < Self.maximumDepth else { throw malformed("groups nested more than \(Self.maximumDepth) deep") }
        var choices = [try sequence(depth: depth)]
        while take("|") { choices.append(try sequence(depth: depth)) }
        return choices.count == 1 ? choices[0] : .alternatives(choices)
    }

    private mutating func sequence(depth: Int) throws(ConstraintError) -> Expression {
        var parts: [Expression] = []
        while let scalar = peek, scalar != "|", scalar != ")" {
            let (atom, mayRepeat) = try atom(depth: depth)
            guard let (minimum, maximum) = try quantifier() else {
                parts.append(atom)
                continue
            }
            guard mayRepeat else { throw malformed("a quantifier with nothing to repeat") }
            parts.append(.repetition(atom, minimum: minimum, maximum: maximum))
        }
        return parts.isEmpty ? .empty : .sequence(parts)
    }

    private mutating func quantifier() throws(ConstraintError) -> (Int, Int?)? {
        var result: (Int, Int?)
        switch peek {
        case "*": result = (0, nil)
        case "+": result = (1, nil)
        case "?": result = (0, 1)
        case "{":
            guard let braces = try braces() else { return nil }
            result = braces
            position -= 1
        default: return nil
        }
        position += 1
        _ = take("?")
        return result
    }

    /// `{n}`, `{n,}` or `{n,m}`; nil (and nothing taken) if it is none.
    private mutating func braces() throws(ConstraintError) -> (Int, Int?)? {
        let start = position
        position += 1
        let minimum = number()
        var maximum = minimum
        var open = false
        if take(",") {
            maximum = number()
            open = maximum == nil
        }
        guard let minimum, take("}") else {
            position = start
            return nil
        }
        guard minimum <= Self.maximumRepetition, (maximum ?? 0) <= Self.maximumRepetition else {
            throw ConstraintError(.tooComplex, "the regular expression repeats more than \(Self.maximumRepetition) times.")
        }
        if let maximum, maximum < minimum { throw malformed("a quantifier whose maximum is below its minimum") }
        return (minimum, open ? nil : maximum)
    }

    private mutating func number() -> Int? {
        var value: Int? = nil
        while let scalar = peek, scalar >= "0", scalar <= "9" {
            value = min((value ?? 0) * 10 + Int(scalar.value - 48), 1_000_000_000)
            position += 1
        }
        return value
    }

    private mutating func atom(depth: Int) throws(ConstraintError) -> (Expression, mayRepeat: Bool) {
        guard let scalar = peek else { return (.empty, false) }
        switch scalar {
        case "^":
            position += 1
            return (.start, false)
        case "$":
            position += 1
            return (.end, false)
        case "(": return try group(depth: depth)
        case ".":
            position += 1
            return (.set(ScalarSet([(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)]).complement()), true)
        case "[": return (.set(try characterClass()), true)
        case "\\":
            if position + 1 < scalars.count {
                let next = scalars[position + 1]
                if next == "b" || next == "B" { throw unsupported("a word boundary (\\b or \\B)") }
                if next >= "1" && next <= "9" || next == "k" { throw unsupported("a back reference") }
            }
            return (.set(try escape(inClass: false)), true)
        case "*", "+", "?": throw malformed("a quantifier with nothing to repeat")
        default:
            if scalar == "{" {
                let start = position
                if try braces() != nil {
                    position = start
                    throw malformed("a quantifier with nothing to repeat")
                }
            }
            position += 1
            return (.set(ScalarSet(scalar.value)), true)
        }
    }

    private mutating func group(depth: Int) throws(ConstraintError) -> (Expression, mayRepeat: Bool) {
        position += 1
        var lookahead: Bool? = nil
        if take("?") {
            if take("=") {
                lookahead = false
            } else if take("!") {
                lookahead = true
            } else if take("<") {
                if peek == "=" || peek == "!" { throw unsupported("a lookbehind") }
                while let scalar = peek, scalar != ">" {
                    guard scalar.properties.isAlphabetic || scalar == "_" || scalar == "$" || scalar >= "0" && scalar <= "9" else {
                        throw malformed("a wrong character in the name of a group")
                    }
                    position += 1
                }
                guard take(">") else { throw malformed("the name of a group without '>'") }
            } else if !take(":") {
                throw unsupported("a group with modifiers")
            }
        }
        let body = try alternatives(depth: depth + 1)
        guard take(")") else { throw malformed("a group without ')'") }
        if let lookahead { return (.lookahead(body, negative: lookahead), false) }
        return (body, true)
    }

    // MARK: Characters

    private mutating func characterClass() throws(ConstraintError) -> ScalarSet {
        position += 1
        let negated = take("^")
        var ranges: [(UInt32, UInt32)] = []
        while true {
            guard let scalar = peek else { throw malformed("a class without ']'") }
            if scalar == "]" { break }
            let (low, single) = try classMember()
            guard let first = single, peek == "-", position + 1 < scalars.count, scalars[position + 1] != "]" else {
                ranges += low.ranges.map { ($0.low, $0.high) }
                continue
            }
            position += 1
            let (high, last) = try classMember()
            if let last {
                guard first <= last else { throw malformed("a range whose end is before its start") }
                ranges.append((first, last))
            } else {
                // A class cannot end a range: the three stand for themselves.
                ranges += [(first, first), (0x2D, 0x2D)] + high.ranges.map { ($0.low, $0.high) }
            }
        }
        position += 1
        let set = ScalarSet(ranges)
        return negated ? set.complement() : set
    }

    private mutating func classMember() throws(ConstraintError) -> (ScalarSet, single: UInt32?) {
        guard let scalar = peek else { throw malformed("a class without ']'") }
        if scalar != "\\" {
            position += 1
            return (ScalarSet(scalar.value), scalar.value)
        }
        let set = try escape(inClass: true)
        if set.ranges.count == 1, set.ranges[0].low == set.ranges[0].high { return (set, set.ranges[0].low) }
        return (set, nil)
    }

    private static let digits = ScalarSet([(0x30, 0x39)])
    private static let word = ScalarSet([(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)])
    private static let space = ScalarSet([
        (0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F),
        (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
    ])

    private mutating func escape(inClass: Bool) throws(ConstraintError) -> ScalarSet {
        position += 1
        guard let scalar = peek else { throw malformed("a '\\' at the end") }
        position += 1
        switch scalar {
        case "d": return Self.digits
        case "D": return Self.digits.complement()
        case "w": return Self.word
        case "W": return Self.word.complement()
        case "s": return Self.space
        case "S": return Self.space.complement()
        case "t": return ScalarSet(0x09)
        case "n": return ScalarSet(0x0A)
        case "v": return ScalarSet(0x0B)
        case "f": return ScalarSet(0x0C)
        case "r": return ScalarSet(0x0D)
        case "b" where inClass: return ScalarSet(0x08)
        case "0":
            if let next = peek, next >= "0", next <= "9" { throw unsupported("an octal escape") }
            return ScalarSet(0)
        case "c":
            guard let letter = peek, letter.isASCII, letter.properties.isAlphabetic else { throw malformed("\\c without a letter") }
            position += 1
            return ScalarSet(letter.value & 31)
        case "x": return ScalarSet(try hexadecimal(2))
        case "u": return ScalarSet(try unicodeEscape())
        case "p", "P":
            guard take("{") else { throw malformed("\\p without '{'") }
            var name = ""
            while let next = peek, next != "}" {
                name.unicodeScalars.append(next)
                position += 1
            }
            guard take("}") else { throw malformed("\\p{ without '}'") }
            guard let set = ScalarSet(property: name) else { throw unsupported("the property '\(name)'") }
            return scalar == "P" ? set.complement() : set
        default:
            let letterOrDigit = scalar.isASCII && (scalar.properties.isAlphabetic || scalar.value >= 0x30 && scalar.value <= 0x39)
            if letterOrDigit { throw malformed("the unknown escape '\\\(Character(scalar))'") }
            return ScalarSet(scalar.value)
        }
    }

    private mutating func hexadecimal(_ count: Int) throws(ConstraintError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<count {
            guard let scalar = peek, let digit = hexadecimalDigit(scalar) else { throw malformed("an escape with too few hexadecimal digits") }
            value = value << 4 | digit
            position += 1
        }
        return value
    }

    private mutating func unicodeEscape() throws(ConstraintError) -> UInt32 {
        if take("{") {
            var value: UInt32 = 0
            var count = 0
            while let scalar = peek, let digit = hexadecimalDigit(scalar) {
                value = min(value << 4 | digit, 0x110000)
                count += 1
                position += 1
            }
            guard count > 0, take("}"), value < 0x110000, value < 0xD800 || value > 0xDFFF else { throw malformed("a wrong \\u{…}") }
            return value
        }
        let value = try hexadecimal(4)
        if value < 0xD800 || value > 0xDFFF { return value }
        if value < 0xDC00, position + 1 < scalars.count, scalars[position] == "\\", scalars[position + 1] == "u" {
            position += 2
            let low = try hexadecimal(4)
            if low >= 0xDC00 && low <= 0xDFFF { return 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00) }
        }
        throw malformed("half of a surrogate pair")
    }

    private func hexadecimalDigit(_ scalar: Unicode.Scalar) -> UInt32? {
        switch scalar.value {
        case 0x30...0x39: scalar.value - 0x30
        case 0x41...0x46: scalar.value - 0x41 + 10
        case 0x61...0x66: scalar.value - 0x61 + 10
        default: nil
        }
    }
}
