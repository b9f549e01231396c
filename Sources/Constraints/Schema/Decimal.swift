internal import Checkpoint

/// A decimal number as a schema writes it: digits times a power of ten, exactly.
struct Decimal {
    var isNegative: Bool
    /// Most significant first, without zeros at either end; empty for zero.
    var digits: [UInt8]
    /// Of ten, of the last digit.
    var exponent: Int

    init(_ number: JSONNumber) { self.init(number.int.map { "\($0)" } ?? "\(number.double)") }

    /// - Parameter text: Has the form of a JSON number.
    init(_ text: String) {
        isNegative = false
        digits = []
        exponent = 0
        var seenPoint = false
        var written = 0
        var inExponent = false
        var exponentIsNegative = false
        for byte in text.utf8 {
            switch byte {
            case 0x2D: if inExponent { exponentIsNegative = true } else { isNegative = true }
            case 0x2E: seenPoint = true
            case 0x65, 0x45: inExponent = true
            case 0x30...0x39:
                if inExponent {
                    written = written * 10 + Int(byte - 0x30)
                } else {
                    digits.append(byte - 0x30)
                    if seenPoint { exponent -= 1 }
                }
            default: break
            }
        }
        exponent += exponentIsNegative ? -written : written
        while digits.last == 0 {
            digits.removeLast()
            exponent += 1
        }
        while digits.first == 0 { digits.removeFirst() }
        if digits.isEmpty {
            exponent = 0
            isNegative = false
        }
    }

    var isZero: Bool { digits.isEmpty }
    /// Digits before the point; 0 for numbers below 1.
    var integerCount: Int { max(0, digits.count + exponent) }
    /// Digits behind the point.
    var fractionCount: Int { isZero ? 0 : max(0, -exponent) }

    /// The digit at a place: 0 is the first before the point, `integerCount` the first behind it.
    func digit(_ place: Int) -> UInt8 {
        // Numbers below 0.1 have zeros between the point and the first digit.
        let index = place - max(0, -(digits.count + exponent))
        return index >= 0 && index < digits.count ? digits[index] : 0
    }
}
