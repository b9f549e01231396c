/// How far a text repeats itself: its bytes over those that DEFLATE makes of them (RFC 1951, the fixed codes, in zlib's frame). Transcripts that
/// ran into a loop are far above 2.
package enum CompressionRatio {
    private static let window = 32768
    /// Places with the same three bytes that are tried.
    private static let tries = 128

    /// 1 for no bytes.
    package static func of(_ bytes: [UInt8]) -> Double {
        bytes.isEmpty ? 1 : Double(bytes.count) / Double(compressedByteCount(bytes))
    }

    private static func compressedByteCount(_ bytes: [UInt8]) -> Int {
        // The head of the only block, and its end mark.
        var bits = 3 + 7
        var places: [UInt32: [Int]] = [:]
        func key(_ place: Int) -> UInt32? {
            place + 3 <= bytes.count ? UInt32(bytes[place]) << 16 | UInt32(bytes[place + 1]) << 8 | UInt32(bytes[place + 2]) : nil
        }
        var place = 0
        while place < bytes.count {
            var best = (length: 0, distance: 0)
            if let key = key(place) {
                for earlier in (places[key] ?? []).suffix(tries).reversed() where place - earlier <= window {
                    var length = 3
                    while length < 258, place + length < bytes.count, bytes[earlier + length] == bytes[place + length] { length += 1 }
                    if length > best.length { best = (length, place - earlier) }
                }
            }
            bits += best.length > 0 ? bitCount(length: best.length) + bitCount(distance: best.distance) : bytes[place] < 144 ? 8 : 9
            for passed in place..<place + max(best.length, 1) {
                if let key = key(passed) { places[key, default: []].append(passed) }
            }
            place += max(best.length, 1)
        }
        return 6 + (bits + 7) / 8
    }

    private static func bitCount(length: Int) -> Int {
        let extra = length < 11 || length == 258 ? 0 : (length - 3).bitWidth - (length - 3).leadingZeroBitCount - 3
        return (length < 115 ? 7 : 8) + extra
    }

    private static func bitCount(distance: Int) -> Int {
        5 + (distance < 5 ? 0 : (distance - 1).bitWidth - (distance - 1).leadingZeroBitCount - 2)
    }
}
