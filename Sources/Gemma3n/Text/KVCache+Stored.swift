/// Keys and values as files hold them: head by head the keys of neighbouring positions, their values, and (8 bits only) the scales of both.
extension KVCache {
    /// Bytes that positions take in a file.
    func storedByteCount(_ count: Int) -> Int { 2 * headCount * count * format.byteCount(headDim) }

    /// Where positions lie in memory, in the order of a file.
    func pieces(_ positions: Range<Int>) -> [UnsafeMutableRawBufferPointer] {
        var pieces: [UnsafeMutableRawBufferPointer] = []
        for head in 0..<headCount {
            for part in Part.allCases where part.byteCount(self) > 0 {
                forEachSegment(positions, head: head) { pieces.append(part.bytes($0, self)) }
            }
        }
        return pieces
    }

    /// Takes positions from the bytes of a file.
    ///
    /// - Parameters:
    ///   - kept: What is taken of them.
    ///   - bytes: Those of `positions`: `storedByteCount` of them.
    func store(_ kept: Range<Int>, of positions: Range<Int>, from bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count == storedByteCount(positions.count), "\(bytes.count) bytes for \(positions.count) positions")
        if kept.isEmpty { return }
        reserve(kept)
        var start = 0
        for head in 0..<headCount {
            for part in Part.allCases where part.byteCount(self) > 0 {
                let size = part.byteCount(self)
                forEachSegment(kept, head: head) { segment in
                    let from = start + (segment.positions.lowerBound - positions.lowerBound) * size
                    part.bytes(segment, self).copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: bytes[from..<from + segment.positions.count * size]))
                }
                start += positions.count * size
            }
        }
    }

    private enum Part: CaseIterable {
        case keys, values, keyScales, valueScales

        /// Of one position.
        func byteCount(_ cache: KVCache) -> Int {
            switch self {
            case .keys, .values: cache.rowByteCount
            case .keyScales, .valueScales: cache.format == .q8_0 ? 4 : 0
            }
        }

        func bytes(_ segment: Segment, _ cache: KVCache) -> UnsafeMutableRawBufferPointer {
            let start: UnsafeMutableRawPointer =
                switch self {
                case .keys: segment.keys
                case .values: segment.values
                case .keyScales: UnsafeMutableRawPointer(segment.keyScales)
                case .valueScales: UnsafeMutableRawPointer(segment.valueScales)
                }
            return UnsafeMutableRawBufferPointer(start: start, count: segment.positions.count * byteCount(cache))
        }
    }
}
