public import Tensors

/// How GGUF numbers the encodings of tensors (`ggml_type`), those that this version reads.
///
/// - Source: ggml's `ggml.h`; the `gguf` Python package, `constants.py`.
public enum GGUFTensorType: UInt32, Sendable, CaseIterable {
    case f32 = 0
    case f16 = 1
    case q4_0 = 2
    case q5_0 = 6
    case q8_0 = 8
    case q4_K = 12
    case q5_K = 13
    case q6_K = 14
    case bf16 = 30

    /// The name that GGUF tools show.
    public var name: String { format.name }

    /// The same encoding in memory: byte for byte.
    public var format: ElementFormat {
        switch self {
        case .f32: .f32
        case .f16: .f16
        case .bf16: .bf16
        case .q4_0: .q4_0
        case .q5_0: .q5_0
        case .q8_0: .q8_0
        case .q4_K: .q4_K
        case .q5_K: .q5_K
        case .q6_K: .q6_K
        }
    }

    /// The name of any encoding, for messages.
    static func name(ofNumber number: UInt32) -> String {
        if let type = GGUFTensorType(rawValue: number) { return type.name }
        let others: [(UInt32, String)] = [
            (3, "Q4_1"), (7, "Q5_1"), (9, "Q8_1"), (10, "Q2_K"), (11, "Q3_K"), (15, "Q8_K"), (16, "IQ2_XXS"), (17, "IQ2_XS"),
            (18, "IQ3_XXS"), (19, "IQ1_S"), (20, "IQ4_NL"), (21, "IQ3_S"), (22, "IQ2_S"), (23, "IQ4_XS"), (24, "I8"), (25, "I16"),
            (26, "I32"), (27, "I64"), (28, "F64"), (29, "IQ1_M"), (34, "TQ1_0"), (35, "TQ2_0"), (39, "MXFP4"),
        ]
        return others.first { $0.0 == number }?.1 ?? "number \(number)"
    }

    /// How a format is numbered; nil for those GGUF does not know.
    public init?(_ format: ElementFormat) {
        guard let type = Self.allCases.first(where: { $0.format == format }) else { return nil }
        self = type
    }
}
