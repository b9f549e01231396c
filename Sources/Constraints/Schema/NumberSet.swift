/// A set of numbers, as an automaton over their texts without exponents. Texts of one value (`1`, `1.0`) are all in it or all out.
enum NumberSet {
    case all
    case some(ByteAutomaton)

    static let none = NumberSet.some(.empty)

    var isEmpty: Bool { if case .some(let automaton) = self { automaton.isEmpty } else { false } }

    private static func language(_ expression: String) -> ByteAutomaton {
        // These few are right.
        guard let expression = try? ExpressionParser.parse(expression),
            let automaton = try? expression.automaton(anywhere: false, limits: ConstraintLimits())
        else { preconditionFailure("a wrong expression") }
        return automaton
    }

    private static let everything = language(#"-?(0|[1-9][0-9]*)(\.[0-9]+)?"#)
    private static let integerTexts = language(#"-?(0|[1-9][0-9]*)(\.0+)?"#)
    /// How numbers are written: whole ones without a point if all are whole, never minus zero.
    private static let plainIntegers = language("0|-?[1-9][0-9]*")
    private static let shortest = language(#"0|-?[1-9][0-9]*|-?(0|[1-9][0-9]*)\.[0-9]*[1-9]"#)
    private static let written = language(#"-?[1-9][0-9]*(\.[0-9]+)?|0(\.[0-9]+)?|-0\.[0-9]*[1-9][0-9]*"#)

    static let integers = NumberSet.some(integerTexts)

    private var automaton: ByteAutomaton { if case .some(let automaton) = self { automaton } else { Self.everything } }

    func intersection(_ other: NumberSet, _ limits: ConstraintLimits) throws(ConstraintError) -> NumberSet {
        switch (self, other) {
        case (.all, _): other
        case (_, .all): self
        case (.some(let a), .some(let b)): .some(try a.combined(.and, b, limit: limits.automatonStates))
        }
    }

    func union(_ other: NumberSet, _ limits: ConstraintLimits) throws(ConstraintError) -> NumberSet {
        guard case .some(let a) = self, case .some(let b) = other else { return .all }
        return .some(try a.combined(.or, b, limit: limits.automatonStates))
    }

    func complement(_ limits: ConstraintLimits) throws(ConstraintError) -> NumberSet {
        guard case .some(let a) = self else { return .none }
        return a.isEmpty ? .all : .some(try Self.everything.combined(.minus, a, limit: limits.automatonStates))
    }

    /// At most 15 digits: every reader that takes numbers for doubles reads these for what they are.
    private static let exactDigits = language(#"-?([0-9]{1,15}|0\.[0-9]{1,15}|"# + (1...14).map { "[0-9]{\($0)}\\.[0-9]{1,\(15 - $0)}" }.joined(separator: "|") + ")")
    /// Numbers of any size: those of at most 15 digits, and with exponents.
    private static let exact = combined(
        combined(written, .and, exactDigits), .or, language(#"-?[1-9](\.[0-9]{1,14})?[eE][+\-]?[0-9]{1,2}"#))

    private static func combined(_ a: ByteAutomaton, _ operation: ByteAutomaton.Operation, _ b: ByteAutomaton) -> ByteAutomaton {
        guard let automaton = try? a.combined(operation, b, limit: 10_000) else { preconditionFailure("few states") }
        return automaton
    }

    /// How the numbers are written in an answer: with at most 15 digits, unless the set has only longer ones.
    func texts(_ limits: ConstraintLimits) throws(ConstraintError) -> ByteAutomaton {
        guard case .some(let a) = self else { return Self.exact }
        let limit = 4 * limits.automatonStates
        let form: ByteAutomaton
        if try a.combined(.minus, Self.integerTexts, limit: limit).isEmpty {
            form = Self.plainIntegers
        } else {
            form = try a.combined(.and, Self.shortest, limit: limit).hasLoop ? Self.written : Self.shortest
        }
        let texts = try a.combined(.and, form, limit: limit)
        guard texts.hasLoop else { return texts }
        let exact = try texts.combined(.and, Self.exactDigits, limit: limit)
        return exact.isEmpty ? texts : exact
    }

    // MARK: Predicates

    private static let alphabet = Array("-.0123456789".utf8)

    private enum Phase: UInt8 { case start, sign, zero, integer, point, fraction }

    private struct Comparison: Hashable {
        var phase = Phase.start
        var isNegative = false
        var isZero = true
        /// Digits read before the point, or behind it.
        var place = 0
        /// Of the magnitudes so far.
        var order = 0
    }

    /// The numbers that compare to a bound in one of the ways given: -1 below, 0 equal, 1 above.
    static func compared(_ bound: Decimal, _ orders: [Int], _ limits: ConstraintLimits) throws(ConstraintError) -> NumberSet {
        let (integers, fractions) = (bound.integerCount, bound.fractionCount)
        func compare(_ digit: UInt8, _ place: Int) -> Int {
            let other = bound.digit(place)
            return digit < other ? -1 : digit > other ? 1 : 0
        }
        func step(_ state: Comparison, _ byte: UInt8) -> Comparison? {
            var next = state
            switch (state.phase, byte) {
            case (.start, 0x2D):
                next.phase = .sign
                next.isNegative = true
            case (.start, 0x30), (.sign, 0x30):
                next.phase = .zero
                next.order = integers > 0 ? -1 : 0
            case (.start, 0x31...0x39), (.sign, 0x31...0x39):
                next.phase = .integer
                next.isZero = false
                next.place = min(1, integers + 1)
                next.order = integers == 0 ? 1 : compare(byte - 0x30, 0)
            case (.integer, 0x30...0x39):
                if state.place < integers {
                    if state.order == 0 { next.order = compare(byte - 0x30, state.place) }
                } else {
                    next.order = 1
                }
                next.place = min(state.place + 1, integers + 1)
            case (.integer, 0x2E):
                next.phase = .point
                if state.place < integers { next.order = -1 }
                next.place = 0
            case (.zero, 0x2E): next.phase = .point
            case (.point, 0x30...0x39), (.fraction, 0x30...0x39):
                next.phase = .fraction
                if byte != 0x30 { next.isZero = false }
                if state.order == 0 { next.order = compare(byte - 0x30, integers + state.place) }
                next.place = min(state.place + 1, fractions + 1)
                if next.order != 0 { next.place = 0 }
            default: return nil
            }
            return next
        }
        func isAccepting(_ state: Comparison) -> Bool {
            var order = state.order
            switch state.phase {
            case .start, .sign, .point: return false
            case .integer: if state.place < integers { order = -1 } else if order == 0, fractions > 0 { order = -1 }
            case .zero: if order == 0, !bound.isZero { order = -1 }
            case .fraction: if order == 0, state.place < fractions { order = -1 }
            }
            if state.isZero {
                order = bound.isZero ? 0 : bound.isNegative ? 1 : -1
            } else if state.isNegative {
                order = bound.isNegative ? -order : -1
            } else if bound.isNegative {
                order = 1
            }
            return orders.contains(order)
        }
        return .some(
            try ByteAutomaton(
                start: Comparison(), alphabet: alphabet, limit: limits.automatonStates, step: step, isAccepting: isAccepting))
    }

    private struct Division: Hashable {
        var phase = Phase.start
        var remainder = 0
        /// Digits read behind the point.
        var place = 0
    }

    /// The whole multiples of a divisor above 0; nil if it has too many digits for an automaton.
    static func multiples(of divisor: Decimal, _ limits: ConstraintLimits) throws(ConstraintError) -> NumberSet? {
        guard divisor.digits.count + max(0, divisor.exponent) <= 6, divisor.fractionCount <= 18 else { return nil }
        let scale = divisor.fractionCount
        var modulus = 0
        for digit in divisor.digits { modulus = modulus * 10 + Int(digit) }
        for _ in 0..<max(0, divisor.exponent) { modulus *= 10 }
        guard modulus > 0, modulus * (scale + 2) <= 8 * limits.automatonStates else { return nil }
        func step(_ state: Division, _ byte: UInt8) -> Division? {
            var next = state
            switch (state.phase, byte) {
            case (.start, 0x2D): next.phase = .sign
            case (.start, 0x30), (.sign, 0x30): next.phase = .zero
            case (.start, 0x31...0x39), (.sign, 0x31...0x39), (.integer, 0x30...0x39):
                next.phase = .integer
                next.remainder = (state.remainder * 10 + Int(byte - 0x30)) % modulus
            case (.zero, 0x2E), (.integer, 0x2E): next.phase = .point
            case (.point, 0x30...0x39), (.fraction, 0x30...0x39):
                next.phase = .fraction
                if state.place == scale { return byte == 0x30 ? next : nil }
                next.remainder = (state.remainder * 10 + Int(byte - 0x30)) % modulus
                next.place = state.place + 1
            default: return nil
            }
            return next
        }
        func isAccepting(_ state: Division) -> Bool {
            guard state.phase == .zero || state.phase == .integer || state.phase == .fraction else { return false }
            var remainder = state.remainder
            for _ in state.place..<scale { remainder = remainder * 10 % modulus }
            return remainder == 0
        }
        return .some(
            try ByteAutomaton(
                start: Division(), alphabet: alphabet, limit: 8 * limits.automatonStates, step: step, isAccepting: isAccepting))
    }
}
