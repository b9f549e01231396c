internal import Gemma3n
internal import Synchronization

/// Seconds that a token takes, learned from answers; shared by all sessions of a model.
final class DecodeSpeeds: Sendable {
    private let measured = Mutex<[ModelSlice: Double]>([:])

    /// Tokens of an answer that are worth learning from.
    private static let fewest = 4
    /// What a new answer counts beside all before it.
    private static let weight = 0.3

    /// - Parameters:
    ///   - seconds: From the first token of the answer to the last.
    ///   - sharers: Answers that were under way at the same time, this one included.
    func learn(_ slice: ModelSlice, tokens: Int, seconds: Double, sharers: Int) {
        guard tokens > Self.fewest, seconds > 0 else { return }
        let perToken = seconds / Double(tokens - 1) / Double(max(1, sharers))
        measured.withLock { measured in
            measured[slice] = measured[slice].map { $0 + Self.weight * (perToken - $0) } ?? perToken
        }
    }

    /// Fills in what was measured; for others the time of the candidate nearest in bytes, as their bytes are to its bytes.
    func fillIn(_ candidates: [SizeCandidate]) -> [SizeCandidate] {
        let measured = measured.withLock { $0 }
        let known = candidates.filter { measured[$0.slice] != nil && $0.bytesPerToken > 0 }
        return candidates.map { candidate in
            var candidate = candidate
            let nearest = known.min { abs($0.bytesPerToken - candidate.bytesPerToken) < abs($1.bytesPerToken - candidate.bytesPerToken) }
            if let nearest, let seconds = measured[nearest.slice] {
                candidate.secondsPerToken = seconds * Double(candidate.bytesPerToken) / Double(nearest.bytesPerToken)
            }
            return candidate
        }
    }
}
