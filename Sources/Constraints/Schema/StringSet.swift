/// A set of texts: an automaton over UTF-8 (nil: any text), and limits of the length in code points.
struct StringSet {
    var automaton: ByteAutomaton?
    var minimum = 0
    var maximum: Int?

    static let all = StringSet(automaton: nil)
    static let none = StringSet(automaton: .empty)

    var isAll: Bool { automaton == nil && minimum == 0 && maximum == nil }

    /// Certainly empty; sets that are empty for their lengths alone show it when they are taken together.
    var isEmpty: Bool {
        if let automaton, automaton.isEmpty { return true }
        if let maximum { return maximum < minimum }
        return false
    }

    /// Every text.
    static let everything = anyText(0, nil)

    private static func anyText(_ minimum: Int, _ maximum: Int?) -> ByteAutomaton {
        (try? length(minimum, maximum, ConstraintLimits())) ?? .empty
    }

    private static func length(_ minimum: Int, _ maximum: Int?, _ limits: ConstraintLimits) throws(ConstraintError) -> ByteAutomaton {
        guard max(minimum, maximum ?? 0) <= limits.automatonStates / 8 else {
            throw ConstraintError(
                .tooComplex, "a length of \(max(minimum, maximum ?? 0)) together with other rules takes too many states; \(limits.automatonStates / 8) is possible.")
        }
        return try Expression.repetition(.set(.all), minimum: minimum, maximum: maximum).automaton(anywhere: false, limits: limits)
    }

    /// The same set with its lengths in the automaton.
    func language(_ limits: ConstraintLimits) throws(ConstraintError) -> ByteAutomaton {
        if isEmpty { return .empty }
        if minimum == 0, maximum == nil { return automaton ?? Self.everything }
        let length = try Self.length(minimum, maximum, limits)
        return try automaton?.combined(.and, length, limit: 4 * limits.automatonStates) ?? length
    }

    func contains(_ text: [UInt8]) -> Bool {
        var count = 0
        for byte in text where byte & 0xC0 != 0x80 { count += 1 }
        if count < minimum { return false }
        if let maximum, count > maximum { return false }
        return automaton?.accepts(text) ?? true
    }

    func intersection(_ other: StringSet, _ limits: ConstraintLimits) throws(ConstraintError) -> StringSet {
        if isEmpty || other.isEmpty { return .none }
        var result = StringSet(automaton: automaton ?? other.automaton)
        if let a = automaton, let b = other.automaton { result.automaton = try a.combined(.and, b, limit: limits.automatonStates) }
        result.minimum = max(minimum, other.minimum)
        result.maximum = [maximum, other.maximum].compactMap { $0 }.min()
        // Small sets show at once whether lengths leave anything.
        if let automaton = result.automaton, automaton.stateCount <= 64, result.minimum <= 64, result.maximum ?? 0 <= 64,
            result.minimum > 0 || result.maximum != nil
        {
            return StringSet(automaton: try result.language(limits))
        }
        return result.isEmpty ? .none : result
    }

    func union(_ other: StringSet, _ limits: ConstraintLimits) throws(ConstraintError) -> StringSet {
        if isEmpty || other.isAll { return other }
        if other.isEmpty || isAll { return self }
        let (a, b) = (try language(limits), try other.language(limits))
        return StringSet(automaton: try a.combined(.or, b, limit: limits.automatonStates))
    }

    func subtracting(_ other: StringSet, _ limits: ConstraintLimits) throws(ConstraintError) -> StringSet {
        if isEmpty || other.isAll { return .none }
        if other.isEmpty { return self }
        let (a, b) = (try language(limits), try other.language(limits))
        return StringSet(automaton: try a.combined(.minus, b, limit: limits.automatonStates))
    }

    func complement(_ limits: ConstraintLimits) throws(ConstraintError) -> StringSet { try StringSet.all.subtracting(self, limits) }
}
