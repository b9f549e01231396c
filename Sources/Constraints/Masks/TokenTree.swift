/// Tokens as a prefix tree over their bytes, laid out in the order of a walk: a node, then everything below it.
final class TokenTree {
    /// The last byte of each node.
    let bytes: UnsafeMutablePointer<UInt8>
    /// Its number of bytes, from 1.
    let depths: UnsafeMutablePointer<UInt16>
    /// The node behind everything below it.
    let ends: UnsafeMutablePointer<Int32>
    /// `tokens[tokenStarts[i]..<tokenStarts[i + 1]]` are the tokens that end at node i.
    let tokenStarts: UnsafeMutablePointer<Int32>
    let tokens: UnsafeMutablePointer<Int32>
    let count: Int
    let maximumDepth: Int

    /// - Parameter sorted: Ids in the order of their texts, which are not empty.
    init(_ sorted: [Int32], text: (Int32) -> UnsafeBufferPointer<UInt8>) {
        var total = 0
        for id in sorted { total += text(id).count }
        bytes = .allocate(capacity: max(total, 1))
        depths = .allocate(capacity: max(total, 1))
        ends = .allocate(capacity: max(total, 1))
        tokenStarts = .allocate(capacity: total + 1)
        tokens = .allocate(capacity: max(sorted.count, 1))
        var count = 0
        var deepest = 0
        var path: [Int32] = []
        var previous = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
        for (i, id) in sorted.enumerated() {
            let current = text(id)
            var common = 0
            while common < previous.count, common < current.count, previous[common] == current[common] { common += 1 }
            while path.count > common { ends[Int(path.removeLast())] = Int32(truncatingIfNeeded: count) }
            for depth in common..<current.count {
                bytes[count] = current[depth]
                depths[count] = UInt16(truncatingIfNeeded: depth + 1)
                tokenStarts[count] = Int32(truncatingIfNeeded: i)
                path.append(Int32(truncatingIfNeeded: count))
                count += 1
            }
            deepest = max(deepest, current.count)
            tokens[i] = id
            previous = current
        }
        while let node = path.popLast() { ends[Int(node)] = Int32(truncatingIfNeeded: count) }
        tokenStarts[count] = Int32(truncatingIfNeeded: sorted.count)
        self.count = count
        maximumDepth = deepest
    }

    deinit {
        bytes.deallocate()
        depths.deallocate()
        ends.deallocate()
        tokenStarts.deallocate()
        tokens.deallocate()
    }
}
