public import Tensors

/// A mixture of formats by its usual name: which format a tensor of which kind gets.
///
/// - Source: `llama_tensor_get_type_impl` in llama.cpp's `src/llama-quant.cpp` (2026), for architecture `gemma3n` with a tied head.
public enum QuantizationMix: String, Sendable, CaseIterable {
    case q4_0, q4_k_m, q5_0, q5_k_m, q6_k, q8_0, bf16, f16, f32

    /// The format of most matrices.
    public var format: ElementFormat {
        switch self {
        case .q4_0: .q4_0
        case .q4_k_m: .q4_K
        case .q5_0: .q5_0
        case .q5_k_m: .q5_K
        case .q6_k: .q6_K
        case .q8_0: .q8_0
        case .bf16: .bf16
        case .f16: .f16
        case .f32: .f32
        }
    }

    public var isPlain: Bool { self == .bf16 || self == .f16 || self == .f32 }

    /// GGUF's `general.file_type`.
    public var fileType: Int {
        switch self {
        case .f32: 0
        case .f16: 1
        case .q4_0: 2
        case .q8_0: 7
        case .q5_0: 8
        case .q4_k_m: 15
        case .q5_k_m: 17
        case .q6_k: 18
        case .bf16: 32
        }
    }

    /// What a matrix of the language model gets.
    ///
    /// - Parameters:
    ///   - layer: The layer it belongs to, if it does.
    ///   - small: The format of what the mixture leaves alone: AltUp, LAuReL and the per-layer projection.
    public func format(_ kind: TensorKind, layer: Int?, layerCount: Int, small: ElementFormat) -> ElementFormat {
        if isPlain { return format }
        switch kind {
        case .embed, .head, .ple: return self == .q8_0 ? .q8_0 : .q6_K
        case .altup, .laurel, .pleProjection: return small
        case .v, .down:
            guard self == .q4_k_m || self == .q5_k_m, let layer, Self.getsMoreBits(layer, layerCount) else { return format }
            return .q6_K
        default: return format
        }
    }

    /// The first and the last eighth of the layers, and every third between.
    static func getsMoreBits(_ layer: Int, _ count: Int) -> Bool {
        layer < count / 8 || layer >= 7 * count / 8 || (layer - count / 8) % 3 == 2
    }

    /// The format that stands in where rows of `columns` are no whole number of blocks.
    public static func fitting(_ format: ElementFormat, columns: Int) -> ElementFormat {
        if columns % format.blockLength == 0 { return format }
        switch format {
        case .q4_K where columns % 32 == 0: return .q5_0
        case .q5_K where columns % 32 == 0, .q6_K where columns % 32 == 0: return .q8_0
        default: return .f16
        }
    }
}
