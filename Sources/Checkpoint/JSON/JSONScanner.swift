/// Reads JSON text (RFC 8259) token by token from bytes, strictly, without a tree.
///
/// `JSONValue.parse` builds trees with it; readers of very large files (a vocabulary of 262,144 pieces) use it directly.
/// Every deviation is a `malformedJSON` error that names line, column and byte offset; nothing in the input can trap.
/// The bytes must stay valid while the scanner is used.
package struct JSONScanner {
    /// Where the bytes of a string are: in the source, or, if it held escapes, in the scanner's scratch memory, where the next
    /// string with escapes replaces them.
    package typealias Text = UnsafeBufferPointer<UInt8>

    /// Arrays and objects may be nested this deep, as each level takes a stack frame.
    package static let maximumDepth = 128

    package let file: String
    package private(set) var position = 0
    private let base: UnsafePointer<UInt8>
    private let count: Int
    private let scratch: Scratch

    private final class Scratch {
        var bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: 64)
        var capacity = 64
        deinit { bytes.deallocate() }

        func reserve(_ needed: Int, keeping used: Int) {
            guard needed > capacity else { return }
            let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: max(needed, 2 * capacity))
            larger.update(from: bytes, count: used)
            bytes.deallocate()
            bytes = larger
            capacity = max(needed, 2 * capacity)
        }
    }

    package init(_ bytes: UnsafeRawBufferPointer, file: String) {
        scratch = Scratch()
        base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? UnsafePointer(scratch.bytes)
        count = bytes.count
        self.file = file
        // A byte order mark is no JSON, but editors write it and it changes nothing.
        if count >= 3, base[0] == 0xEF, base[1] == 0xBB, base[2] == 0xBF { position = 3 }
    }

    // MARK: Errors

    /// The error for something found at `offset` (the current position if nil).
    package func error(_ problem: String, at offset: Int? = nil) -> CheckpointError {
        let end = min(offset ?? position, count)
        var line = 1
        var lineStart = 0
        for i in 0..<end where base[i] == 0x0A {
            line += 1
            lineStart = i + 1
        }
        return CheckpointError(
            .malformedJSON, file: file,
            "line \(line), column \(end - lineStart + 1) (byte \(end)): \(problem)")
    }

    /// The byte at the current position as a sentence shows it.
    private var found: String {
        guard position < count else { return "the end of the file" }
        let byte = base[position]
        if byte >= 0x20 && byte < 0x7F { return "'\(Character(Unicode.Scalar(byte)))'" }
        return "byte 0x" + hexadecimal(byte)
    }

    /// Goes back to a place where a value begins that was skipped before.
    package mutating func rewind(to position: Int) {
        precondition(position >= 0 && position <= self.position, "a place before the current one")
        self.position = position
    }

    // MARK: Punctuation

    @inline(__always)
    package mutating func skipSpace() {
        while position < count {
            let byte = base[position]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            position += 1
            // Indentation, eight spaces at a time.
            while count - position >= 8, word(at: position) == 0x2020_2020_2020_2020 { position += 8 }
        }
    }

    /// Eight bytes, the first of them lowest.
    /// - Precondition: `position + 8 <= count`.
    @inline(__always)
    private func word(at position: Int) -> UInt64 {
        UInt64(littleEndian: UnsafeRawPointer(base + position).loadUnaligned(as: UInt64.self))
    }

    /// The number of bytes from `position` on that are printable ASCII other than quote and backslash. At least those, that is:
    /// it may stop early at the end of the file.
    @inline(__always)
    private func plainCount(at position: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        var i = position
        while count - i >= 8 {
            let word = word(at: i)
            let quote = word ^ (0x22 &* ones)
            let backslash = word ^ (0x5C &* ones)
            // The lowest top bit marks the first zero byte (or byte below 0x20) exactly; those above it may be wrong.
            let found = ((quote &- ones) & ~quote | (backslash &- ones) & ~backslash | (word &- 0x20 &* ones) | word) & tops
            if found != 0 { return i + found.trailingZeroBitCount / 8 - position }
            i += 8
        }
        return i - position
    }

    /// The next byte that is not white space, without taking it; nil at the end.
    @inline(__always)
    package mutating func peek() -> UInt8? {
        skipSpace()
        return position < count ? base[position] : nil
    }

    /// Takes `byte` if it comes next.
    @inline(__always)
    package mutating func take(_ byte: UInt8) -> Bool {
        guard peek() == byte else { return false }
        position += 1
        return true
    }

    @inline(__always)
    package mutating func expect(_ byte: UInt8, _ place: StaticString) throws(CheckpointError) {
        guard take(byte) else {
            throw error("found \(found), expected '\(Character(Unicode.Scalar(byte)))' \(place).")
        }
    }

    /// Throws if anything but white space follows.
    package mutating func expectEnd() throws(CheckpointError) {
        guard peek() == nil else { throw error("found \(found) after the end of the JSON value.") }
    }

    /// Walks an object whose `{` comes next: `body` is called with each key and must take the value.
    @inline(__always)
    package mutating func forEachMember(
        _ body: (inout JSONScanner, Text) throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        try expect(0x7B, "(an object)")
        if take(0x7D) { return }
        while true {
            guard peek() == 0x22 else { throw error("found \(found), expected a key in double quotes.") }
            let key = try string()
            try expect(0x3A, "after a key")
            try body(&self, key)
            if take(0x7D) { return }
            try expect(0x2C, "or '}' after a member of an object")
        }
    }

    /// Walks an array whose `[` comes next: `body` is called before each element and must take it.
    @inline(__always)
    package mutating func forEachElement(
        _ body: (inout JSONScanner) throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        try expect(0x5B, "(an array)")
        if take(0x5D) { return }
        while true {
            try body(&self)
            if take(0x5D) { return }
            try expect(0x2C, "or ']' after an element of an array")
        }
    }

    // MARK: Strings

    /// Takes a string and gives its UTF-8 bytes, escapes resolved.
    ///
    /// - Throws: `malformedJSON` for invalid UTF-8, bare control characters, unknown escapes, unpaired surrogates.
    package mutating func string() throws(CheckpointError) -> Text {
        skipSpace()
        guard position < count, base[position] == 0x22 else { throw error("found \(found), expected a string.") }
        let start = position
        position += 1
        let first = position
        while position < count {
            position += plainCount(at: position)
            guard position < count else { break }
            let byte = base[position]
            if byte == 0x22 {
                position += 1
                return Text(start: base + first, count: position - 1 - first)
            }
            if byte == 0x5C { return try stringWithEscapes(start: start, first: first) }
            if byte < 0x80 {
                guard byte >= 0x20 else { throw bareControlCharacter(byte) }
                position += 1
            } else {
                position += try validSequence()
            }
        }
        throw error("the string that begins here does not end.", at: start)
    }

    private func bareControlCharacter(_ byte: UInt8) -> CheckpointError {
        error("a string holds the control character 0x\(hexadecimal(byte)), which must be written as an escape.")
    }

    private func validSequence() throws(CheckpointError) -> Int {
        let length = utf8SequenceLength(base + position, available: count - position)
        guard length > 0 else { throw error("byte 0x\(hexadecimal(base[position])) in a string is not valid UTF-8.") }
        return length
    }

    private mutating func stringWithEscapes(start: Int, first: Int) throws(CheckpointError) -> Text {
        var used = position - first
        scratch.reserve(used + 8, keeping: 0)
        scratch.bytes.update(from: base + first, count: used)
        while position < count {
            let byte = base[position]
            scratch.reserve(used + 8, keeping: used)
            if byte == 0x22 {
                position += 1
                return Text(start: scratch.bytes, count: used)
            }
            if byte == 0x5C {
                let scalar = try escape()
                used += encodeUTF8(scalar, into: scratch.bytes + used)
            } else if byte < 0x80 {
                guard byte >= 0x20 else { throw bareControlCharacter(byte) }
                scratch.bytes[used] = byte
                used += 1
                position += 1
            } else {
                let length = try validSequence()
                for i in 0..<length { scratch.bytes[used + i] = base[position + i] }
                used += length
                position += length
            }
        }
        throw error("the string that begins here does not end.", at: start)
    }

    /// Takes an escape and gives its scalar value, never a surrogate.
    private mutating func escape() throws(CheckpointError) -> UInt32 {
        let start = position
        guard position + 1 < count else { throw error("the file ends inside an escape.") }
        let letter = base[position + 1]
        position += 2
        switch letter {
        case 0x22: return 0x22
        case 0x5C: return 0x5C
        case 0x2F: return 0x2F
        case 0x62: return 0x08
        case 0x66: return 0x0C
        case 0x6E: return 0x0A
        case 0x72: return 0x0D
        case 0x74: return 0x09
        case 0x75: break
        default: throw error("unknown escape in a string.", at: start)
        }
        let high = try fourDigits()
        if high < 0xD800 || high > 0xDFFF { return high }
        guard high < 0xDC00, position + 1 < count, base[position] == 0x5C, base[position + 1] == 0x75 else {
            throw error("an unpaired surrogate in a string.", at: start)
        }
        position += 2
        let low = try fourDigits()
        guard low >= 0xDC00 && low <= 0xDFFF else { throw error("an unpaired surrogate in a string.", at: start) }
        return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
    }

    private mutating func fourDigits() throws(CheckpointError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard position < count else { throw error("the file ends inside an escape.") }
            let byte = base[position]
            switch byte {
            case 0x30...0x39: value = value << 4 | UInt32(byte - 0x30)
            case 0x41...0x46: value = value << 4 | UInt32(byte - 0x41 + 10)
            case 0x61...0x66: value = value << 4 | UInt32(byte - 0x61 + 10)
            default: throw error("found \(found), expected four hexadecimal digits after \\u.")
            }
            position += 1
        }
        return value
    }

    // MARK: Numbers and words

    /// Takes a number.
    ///
    /// - Throws: `malformedJSON` for anything the grammar does not allow, and for numbers too large for a `Double`.
    package mutating func number() throws(CheckpointError) -> JSONNumber {
        skipSpace()
        let start = position
        if position < count, base[position] == 0x2D { position += 1 }
        guard position < count, isDigit(base[position]) else { throw error("found \(found), expected a digit.") }
        let integerStart = position
        while position < count, isDigit(base[position]) { position += 1 }
        if base[integerStart] == 0x30, position - integerStart > 1 {
            throw error("a number begins with a superfluous 0.", at: start)
        }
        var isInteger = true
        if position < count, base[position] == 0x2E {
            isInteger = false
            position += 1
            guard position < count, isDigit(base[position]) else { throw error("found \(found), expected a digit after the decimal point.") }
            while position < count, isDigit(base[position]) { position += 1 }
        }
        if position < count, base[position] | 0x20 == 0x65 {
            isInteger = false
            position += 1
            if position < count, base[position] == 0x2B || base[position] == 0x2D { position += 1 }
            guard position < count, isDigit(base[position]) else { throw error("found \(found), expected a digit in the exponent.") }
            while position < count, isDigit(base[position]) { position += 1 }
        }
        let literal = Text(start: base + start, count: position - start)
        if isInteger, let value = exactInteger(literal) {
            // -0 is a float: an integer would lose the sign.
            if value != 0 || base[start] != 0x2D { return JSONNumber(value) }
        }
        let double = parseDecimal(literal)
        guard double.isFinite else { throw error("the number is too large.", at: start) }
        return isInteger ? JSONNumber(double) : JSONNumber(fraction: double)
    }

    @inline(__always)
    private func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    private func exactInteger(_ literal: Text) -> Int? {
        let negative = literal[0] == 0x2D
        var value = 0
        for i in (negative ? 1 : 0)..<literal.count {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let digit = Int(literal[i] - 0x30)
            let (sum, carry) = negative ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
            if overflow || carry { return nil }
            value = sum
        }
        return value
    }

    /// Takes `true`, `false` or `null`.
    private mutating func word(_ word: StaticString) -> Bool {
        guard count - position >= word.utf8CodeUnitCount else { return false }
        for i in 0..<word.utf8CodeUnitCount where base[position + i] != word.utf8Start[i] { return false }
        position += word.utf8CodeUnitCount
        return true
    }

    // MARK: Whole values

    /// Takes any value and builds its tree.
    package mutating func value(depth: Int = 0) throws(CheckpointError) -> JSONValue {
        guard depth <= Self.maximumDepth else {
            throw error("arrays and objects are nested more than \(Self.maximumDepth) deep.")
        }
        switch peek() {
        case 0x22: return .string(String(decoding: try string(), as: UTF8.self))
        case 0x7B:
            var members: [JSONObject.Member] = []
            try forEachMember { (scanner: inout JSONScanner, key: Text) throws(CheckpointError) in
                let name = String(decoding: key, as: UTF8.self)
                members.append(JSONObject.Member(key: name, value: try scanner.value(depth: depth + 1)))
            }
            return .object(JSONObject(members))
        case 0x5B:
            var elements: [JSONValue] = []
            try forEachElement { (scanner: inout JSONScanner) throws(CheckpointError) in
                elements.append(try scanner.value(depth: depth + 1))
            }
            return .array(elements)
        case 0x74: if word("true") { return .bool(true) }
        case 0x66: if word("false") { return .bool(false) }
        case 0x6E: if word("null") { return .null }
        case 0x2D, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39: return .number(try number())
        default: break
        }
        throw error("found \(found), expected a value.")
    }

    /// Takes any value and drops it.
    package mutating func skipValue(depth: Int = 0) throws(CheckpointError) {
        guard depth <= Self.maximumDepth else {
            throw error("arrays and objects are nested more than \(Self.maximumDepth) deep.")
        }
        switch peek() {
        case 0x22: _ = try string()
        case 0x7B:
            try forEachMember { (scanner: inout JSONScanner, _: Text) throws(CheckpointError) in try scanner.skipValue(depth: depth + 1) }
        case 0x5B:
            try forEachElement { (scanner: inout JSONScanner) throws(CheckpointError) in try scanner.skipValue(depth: depth + 1) }
        default: _ = try value(depth: depth)
        }
    }
}

/// Two hexadecimal digits.
package func hexadecimal(_ byte: UInt8) -> String {
    let digits = String(byte, radix: 16, uppercase: true)
    return digits.utf8.count == 1 ? "0" + digits : digits
}
