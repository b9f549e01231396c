/// A 64-bit hash of bytes, in whatever pieces they come. Tells accidents apart, not attackers.
package struct ContentHash {
    private var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    /// Bytes of a word that is not whole yet.
    private var word: UInt64 = 0
    private var count = 0

    package init() {}

    package mutating func add(_ bytes: UnsafeRawBufferPointer) {
        var index = 0
        while index < bytes.count, count % 8 != 0 {
            addByte(bytes[index])
            index += 1
        }
        while index + 8 <= bytes.count {
            mix(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)))
            index += 8
            count += 8
        }
        while index < bytes.count {
            addByte(bytes[index])
            index += 1
        }
    }

    private mutating func addByte(_ byte: UInt8) {
        word |= UInt64(byte) << UInt64(8 * (count % 8))
        count += 1
        if count % 8 == 0 { mixWord() }
    }

    package mutating func add<T: BitwiseCopyable>(_ values: [T]) { values.withUnsafeBytes { add($0) } }

    package mutating func add(_ number: Int) { withUnsafeBytes(of: UInt64(bitPattern: Int64(number)).littleEndian) { add($0) } }

    package mutating func add(_ text: String) {
        add(text.utf8.count)
        add(Array(text.utf8))
    }

    private mutating func mixWord() {
        mix(word)
        word = 0
    }

    /// One word more changes the state, whatever it was: each step can be undone.
    private mutating func mix(_ word: UInt64) {
        state = (state ^ word) &* 0xD6E8_FEB8_6659_FD93
        state ^= state >> 32
    }

    package var value: UInt64 {
        var last = self
        last.mixWord()
        last.mix(UInt64(count))
        last.mix(0)
        return last.state
    }

    /// 16 digits.
    var digits: String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }
}
