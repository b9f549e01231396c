/// A set of token ids, one bit each.
public final class TokenMask: Sendable {
    /// Bit `id % 64` of word `id / 64`.
    public let words: [UInt64]
    /// How many tokens it has.
    public let count: Int

    init(words: [UInt64]) {
        self.words = words
        var count = 0
        for word in words { count += word.nonzeroBitCount }
        self.count = count
    }

    /// Whether an id is in the set; ids beyond the vocabulary are not.
    public func contains(_ id: Int32) -> Bool {
        id >= 0 && Int(id) >> 6 < words.count && words[Int(id) >> 6] >> UInt64(id & 63) & 1 != 0
    }

    /// Calls `body` with every id of the set, in order.
    public func forEach(_ body: (Int32) -> Void) {
        for i in 0..<words.count {
            var word = words[i]
            while word != 0 {
                body(Int32(truncatingIfNeeded: i << 6 | word.trailingZeroBitCount))
                word &= word &- 1
            }
        }
    }
}

/// Masks by the number of their position. Of a limited size: what has not been asked for the longest is dropped.
final class MaskCache {
    private var young: [Int32: TokenMask] = [:]
    private var old: [Int32: TokenMask] = [:]
    private var youngBytes = 0
    private let maximumBytes: Int

    init(maximumBytes: Int) { self.maximumBytes = maximumBytes }

    subscript(_ number: Int32) -> TokenMask? {
        if let mask = young[number] { return mask }
        guard let mask = old.removeValue(forKey: number) else { return nil }
        insert(mask, number)
        return mask
    }

    func insert(_ mask: TokenMask, _ number: Int32) {
        let bytes = mask.words.count * 8 + 64
        if youngBytes + bytes > maximumBytes / 2 {
            old = young
            young = [:]
            youngBytes = 0
        }
        young[number] = mask
        youngBytes += bytes
    }

    func removeAll() {
        young = [:]
        old = [:]
        youngBytes = 0
    }
}
