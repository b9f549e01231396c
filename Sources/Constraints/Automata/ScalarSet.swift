/// A set of Unicode scalar values as sorted, separate ranges.
struct ScalarSet: Equatable {
    struct Range: Equatable {
        var low: UInt32
        var high: UInt32
    }

    private(set) var ranges: [Range] = []

    init() {}

    /// Ranges in any order, overlapping or not.
    init(_ ranges: [(UInt32, UInt32)]) {
        var sorted = ranges.filter { $0.0 <= $0.1 }
        sorted.sort { $0.0 < $1.0 }
        for (low, high) in sorted {
            if let last = self.ranges.last, low <= last.high || low == last.high + 1 {
                self.ranges[self.ranges.count - 1].high = max(last.high, high)
            } else {
                self.ranges.append(Range(low: low, high: high))
            }
        }
    }

    init(_ scalar: UInt32) { ranges = [Range(low: scalar, high: scalar)] }

    /// Every scalar value: surrogates are none.
    static let all = ScalarSet([(0, 0xD7FF), (0xE000, 0x10FFFF)])

    var isEmpty: Bool { ranges.isEmpty }

    func union(_ other: ScalarSet) -> ScalarSet {
        ScalarSet(ranges.map { ($0.low, $0.high) } + other.ranges.map { ($0.low, $0.high) })
    }

    /// Everything else, surrogates left out.
    func complement() -> ScalarSet {
        var result: [(UInt32, UInt32)] = []
        var next: UInt32 = 0
        for range in ScalarSet(ranges.map { ($0.low, $0.high) } + [(0xD800, 0xDFFF)]).ranges {
            if range.low > next { result.append((next, range.low - 1)) }
            next = range.high + 1
        }
        if next <= 0x10FFFF { result.append((next, 0x10FFFF)) }
        return ScalarSet(result)
    }

    func contains(_ scalar: UInt32) -> Bool { ranges.contains { $0.low <= scalar && scalar <= $0.high } }

    /// The set as sequences of byte ranges: each matches one to four bytes of UTF-8.
    func utf8Ranges() -> [[ByteRange]] {
        var result: [[ByteRange]] = []
        for range in ranges {
            // Surrogates have no UTF-8.
            for (low, high) in [(range.low, min(range.high, 0xD7FF)), (max(range.low, 0xE000), range.high)] where low <= high {
                for (first, last) in [(0, 0x7F), (0x80, 0x7FF), (0x800, 0xFFFF), (0x10000, 0x10FFFF)] as [(UInt32, UInt32)] {
                    let from = max(low, first)
                    let to = min(high, last)
                    if from <= to { Self.split(from, to, length: first == 0 ? 1 : first == 0x80 ? 2 : first == 0x800 ? 3 : 4, into: &result) }
                }
            }
        }
        return result
    }

    /// Splits a range of scalars of one UTF-8 length until each part is a product of byte ranges.
    private static func split(_ low: UInt32, _ high: UInt32, length: Int, into result: inout [[ByteRange]]) {
        for position in 1..<max(length, 1) {
            let mask = UInt32(1) << UInt32(6 * position) - 1
            if low & ~mask != high & ~mask {
                if low & mask != 0 {
                    split(low, low | mask, length: length, into: &result)
                    split((low | mask) + 1, high, length: length, into: &result)
                    return
                }
                if high & mask != mask {
                    split(low, (high & ~mask) - 1, length: length, into: &result)
                    split(high & ~mask, high, length: length, into: &result)
                    return
                }
            }
        }
        let first = bytes(low, length)
        let last = bytes(high, length)
        result.append((0..<length).map { ByteRange(low: first[$0], high: last[$0]) })
    }

    private static func bytes(_ scalar: UInt32, _ length: Int) -> [UInt8] {
        if length == 1 { return [UInt8(truncatingIfNeeded: scalar)] }
        let lead: UInt32 = length == 2 ? 0xC0 : length == 3 ? 0xE0 : 0xF0
        var result = [UInt8(truncatingIfNeeded: lead | scalar >> UInt32(6 * (length - 1)))]
        for i in stride(from: length - 2, through: 0, by: -1) {
            result.append(UInt8(truncatingIfNeeded: 0x80 | scalar >> UInt32(6 * i) & 0x3F))
        }
        return result
    }
}

struct ByteRange: Equatable {
    var low: UInt8
    var high: UInt8
}
