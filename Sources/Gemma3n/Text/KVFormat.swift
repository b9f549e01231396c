/// How keys and values are kept between tokens. Attention computes in float32 whatever the format.
public enum KVFormat: String, Sendable, Equatable, CaseIterable {
    /// As computed.
    case f32
    /// Half precision: half the memory and half the bytes attention reads.
    case f16
    /// 8 bits with one scale for every position and head: a quarter, and an error of up to 1/254 of the head's largest value.
    case q8_0

    /// Bytes of the `count` values of one position and head, its scale included.
    func byteCount(_ count: Int) -> Int {
        switch self {
        case .f32: 4 * count
        case .f16: 2 * count
        case .q8_0: count + 4
        }
    }
}
