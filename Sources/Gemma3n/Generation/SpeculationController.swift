/// Decides how many tokens to guess, from what guesses came to and what passes cost so far.
///
/// A pass over `1 + k` tokens takes `pass + k * row`, and guessing `k * guess` before it. If a guess is right with probability a, the
/// pass gives `1 + a + … + a^k` tokens. The best k is that of the most tokens in a unit of time; none if a pass of one token gives
/// more. A source that does not pay rests, and is tried again after a while, later each time.
package struct SpeculationController {
    /// What a guess rests on.
    package enum Source: Int {
        case slice = 0
        /// So many tokens that were the same before.
        case match1, match2, match3

        init(match: Int) { self = match >= 3 ? .match3 : match == 2 ? .match2 : .match1 }
    }

    private struct Experience {
        var right: Double
        var tried: Double
        /// Chances left out since it was last tried, and how many are to be.
        var rested = 0
        var rest = Self.shortestRest

        static let shortestRest = 8
        static let longestRest = 512

        init(_ probability: Double) {
            // As much as some tries: enough to begin with, soon outweighed.
            tried = 3
            right = probability * tried
        }

        var probability: Double { right / tried }
    }

    private var experience = [Experience(0.7), Experience(0.3), Experience(0.5), Experience(0.7)]
    /// Seconds, or without a clock passes of one token.
    private var pass: Double
    private var row: Double
    private var guess: Double
    private let hasClock: Bool
    private var passesTimed = 0
    private var rowsTimed = 0
    private var guessesTimed = 0
    /// Rounds since a pass of one token was timed.
    private var roundsSincePlain = 0

    /// - Parameters:
    ///   - guessShare: Bytes that a token of the slice reads, of those of the running model.
    ///   - hasClock: Whether seconds will come.
    package init(guessShare: Double, hasClock: Bool) {
        self.hasClock = hasClock
        (pass, row, guess) = (1, Self.rowShare, guessShare)
        guessRatio = guessShare
    }

    private let guessRatio: Double
    /// What one more token adds to a pass as long as nothing is known: the weights are read once.
    private static let rowShare = 0.1
    /// Passes of one token that are timed before anything is guessed, and rounds after which one is timed again.
    private static let firstPasses = 2
    private static let refresh = 32
    /// Tries remembered of a source in use, and of one that rests, so that a single success wakes it.
    private static let memory = 30.0
    private static let restingMemory = 3.0

    // MARK: Decisions

    /// Whether the next pass is to be of one token, to time it.
    package var wantsPlainPass: Bool { hasClock && (passesTimed < Self.firstPasses || roundsSincePlain >= Self.refresh) }

    /// The number of tokens to guess, at most `limit`, and how many times as fast as one by one that should be.
    package func best(_ source: Source, limit: Int) -> (count: Int, gain: Double) {
        let a = experience[source.rawValue].probability
        let price = row + (source == .slice ? guess : 0)
        var best = (count: 0, gain: 1.0)
        var (tokens, power) = (1.0, 1.0)
        for k in 0..<max(0, limit) {
            power *= a
            tokens += power
            let gain = tokens * pass / (pass + Double(k + 1) * price)
            if gain > best.gain { best = (k + 1, gain) }
        }
        return best
    }

    /// Tells that a source was left out since it does not pay.
    ///
    /// - Returns: Whether it is to be tried nevertheless.
    package mutating func rests(_ source: Source) -> Bool {
        var e = experience[source.rawValue]
        defer { experience[source.rawValue] = e }
        if e.tried > Self.restingMemory {
            e.right *= Self.restingMemory / e.tried
            e.tried = Self.restingMemory
        }
        e.rested += 1
        if e.rested < e.rest { return false }
        e.rested = 0
        e.rest = min(2 * e.rest, Experience.longestRest)
        return true
    }

    /// Tokens guessed by a source that is tried again.
    static let trial = 2

    // MARK: Experience

    /// - Parameter failed: Whether a guess after the right ones was wrong. Those behind it say nothing.
    package mutating func learn(_ source: Source, right: Int, failed: Bool) {
        let tried = Double(right + (failed ? 1 : 0))
        if tried == 0 { return }
        var e = experience[source.rawValue]
        let keep = min(1, max(0, Self.memory - tried) / e.tried)
        e.tried = e.tried * keep + tried
        e.right = e.right * keep + Double(right)
        if !failed { e.rest = Experience.shortestRest }
        experience[source.rawValue] = e
    }

    package mutating func timedPass(_ seconds: Double) {
        guard hasClock, seconds > 0 else { return }
        roundsSincePlain = 0
        blend(&pass, seconds, &passesTimed)
        if rowsTimed == 0 { row = Self.rowShare * pass }
        if guessesTimed == 0 { guess = guessRatio * pass }
    }

    /// A pass over `1 + drafted` tokens.
    package mutating func timedRound(_ seconds: Double, drafted: Int) {
        roundsSincePlain += 1
        guard hasClock, passesTimed > 0, drafted > 0 else { return }
        blend(&row, max(0, seconds - pass) / Double(drafted), &rowsTimed)
    }

    package mutating func timedGuesses(_ seconds: Double, count: Int) {
        guard hasClock, seconds > 0, count > 0 else { return }
        blend(&guess, seconds / Double(count), &guessesTimed)
    }

    /// Seconds that `count` passes of one token take; nil if none was timed.
    package func plainSeconds(_ count: Int) -> Double? { passesTimed > 0 ? pass * Double(count) : nil }

    /// The mean of the first few, then one that forgets.
    private func blend(_ mean: inout Double, _ value: Double, _ count: inout Int) {
        count += 1
        mean += (value - mean) / Double(min(count, 8))
    }
}
