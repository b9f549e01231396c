import Constraints

/// Reproducible numbers.
struct Lottery {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 2 &+ 1 }

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        var mixed = state
        mixed ^= mixed >> 33
        mixed = mixed &* 0xff51_afd7_ed55_8ccd
        return mixed ^ mixed >> 33
    }

    mutating func below(_ count: Int) -> Int { Int(next() % UInt64(max(count, 1))) }
}

enum Walk: Equatable {
    case finished([UInt8])
    case length([UInt8])
    case deadEnd
}

extension TokenMask {
    /// The id with so many before it.
    func element(_ place: Int) -> Int32 {
        var place = place
        for (i, word) in words.enumerated() {
            if place >= word.nonzeroBitCount {
                place -= word.nonzeroBitCount
                continue
            }
            var word = word
            for _ in 0..<place { word &= word &- 1 }
            return Int32(i * 64 + word.trailingZeroBitCount)
        }
        return -1
    }
}

/// Draws allowed tokens until the text ends, at most `limit` of them.
func randomWalk(_ machine: ConstraintMachine, _ random: inout Lottery, limit: Int) -> Walk {
    var matcher = ConstraintMatcher(machine)
    var text: [UInt8] = []
    for _ in 0..<limit {
        let mask = matcher.mask()
        if mask.count == 0 { return .deadEnd }
        let token = mask.element(random.below(mask.count))
        guard matcher.advance(token: token) else { return .deadEnd }
        if machine.vocabulary.endTokens.contains(token) { return .finished(text) }
        text += machine.vocabulary.bytes(of: token) ?? []
    }
    return .length(text)
}
