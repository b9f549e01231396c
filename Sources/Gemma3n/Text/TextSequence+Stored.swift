/// Which keys and values of a sequence a file holds.
public struct StoredKeyValues: Sendable, Equatable {
    public var format: KVFormat
    /// Tokens in the caches.
    public var position: Int
    /// The first position that the rings of sliding attention hold.
    public var firstInRings: Int

    public init(format: KVFormat, position: Int, firstInRings: Int) {
        (self.format, self.position, self.firstInRings) = (format, position, firstInRings)
    }
}

extension TextSequence {
    /// What a file of this sequence holds; checkpoints are not part of it.
    public var stored: StoredKeyValues {
        let first = caches.compactMap { $0.ringLength }.map { max(0, written - $0) }.max() ?? 0
        return StoredKeyValues(format: keyValues, position: position, firstInRings: min(first, position))
    }

    /// Layers that make keys and values.
    public var cacheCount: Int { caches.count }

    /// Where those of one layer lie, in the order of a file; valid until the sequence changes.
    public func storedPieces(ofCache index: Int) -> [UnsafeRawBufferPointer] {
        caches[index].pieces(held(stored, caches[index])).map { UnsafeRawBufferPointer($0) }
    }

    /// Bytes of one layer in a file; nil if they are more than any file has.
    public func storedByteCount(_ stored: StoredKeyValues, ofCache index: Int) -> Int? {
        guard stored.position >= 0, stored.position <= contextLength, stored.firstInRings >= 0, stored.firstInRings <= stored.position else { return nil }
        return caches[index].storedByteCount(held(stored, caches[index]).count)
    }

    private func held(_ stored: StoredKeyValues, _ cache: KVCache) -> Range<Int> {
        (cache.window == nil ? 0 : stored.firstInRings)..<stored.position
    }

    /// Takes keys and values from a file, in the place of everything that is here.
    ///
    /// - Parameter contents: The bytes of every layer.
    /// - Throws: `damagedState` if they are not those of such a sequence; nothing changes then.
    public func restore(_ stored: StoredKeyValues, from contents: [UnsafeRawBufferPointer]) throws(GenerationError) {
        guard stored.format == keyValues else {
            throw GenerationError(
                .damagedState, "The keys and values are kept as \(stored.format.rawValue), but this sequence keeps them as \(keyValues.rawValue).")
        }
        guard contents.count == caches.count, contents.indices.allSatisfy({ storedByteCount(stored, ofCache: $0) == contents[$0].count }) else {
            throw GenerationError(
                .damagedState, "The keys and values do not fit \(stored.position) tokens of this model in a context of \(contextLength).")
        }
        let windows = caches.compactMap { $0.window }
        guard windows.allSatisfy({ stored.firstInRings <= max(0, stored.position - $0 + 1) }) else {
            throw GenerationError(
                .damagedState, "The keys and values of sliding attention begin at token \(stored.firstInRings), behind the window of token \(stored.position).")
        }
        reset()
        var (first, end) = (stored.firstInRings, stored.position)
        for ring in caches.compactMap({ $0.ringLength }) {
            first = max(first, stored.position - ring)
            if first > 0 { end = max(end, first + ring) }
        }
        for (cache, bytes) in zip(caches, contents) {
            let positions = held(stored, cache)
            cache.store(cache.window == nil ? positions : first..<stored.position, of: positions, from: bytes)
        }
        setPosition(stored.position, written: end)
    }
}
