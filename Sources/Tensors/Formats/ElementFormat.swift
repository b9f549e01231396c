internal import CKernels

/// How the numbers of a stored tensor are encoded.
///
/// The plain formats hold one number after the other. The block formats hold runs of numbers of a row that share a scale; the bytes
/// of all but the affine ones are those of GGUF. Raw values are `ck_format`'s.
public enum ElementFormat: UInt8, Sendable, Equatable, CaseIterable {
    case f32 = 0
    case f16 = 1
    case bf16 = 2
    /// Blocks of 32: a scale and 8 bits each.
    case q8_0 = 3
    /// Blocks of 32: a scale and 4 bits each, offset 8.
    case q4_0 = 4
    /// Blocks of 32: a scale and 5 bits each, offset 16.
    case q5_0 = 5
    /// Blocks of 256: 4 bits each, a scale and a minimum of 6 bits for every 32.
    case q4_K = 6
    /// Blocks of 256: 5 bits each, a scale and a minimum of 6 bits for every 32.
    case q5_K = 7
    /// Blocks of 256: 6 bits each, offset 32, a scale of 8 bits for every 16.
    case q6_K = 8
    /// Blocks of 32: scale and bias (float32) and 4 bits each; what MLX's groups of 4 bits are read into.
    case affine4 = 9
    /// Blocks of 32: scale and bias (float32) and 8 bits each; what MLX's groups of 8 bits are read into.
    case affine8 = 10

    /// Whether numbers share scales: such matrices are multiplied in 8-bit integer arithmetic.
    public var isQuantized: Bool { rawValue >= ElementFormat.q8_0.rawValue }

    /// Numbers of a row stored together; rows of a matrix are a multiple of it.
    public var blockLength: Int { ck_block_length(kernel) }

    /// Bytes of one block.
    public var blockByteCount: Int { ck_block_bytes(kernel) }

    /// Bits of a number of the affine formats; nil for the others.
    package var affineBits: Int? {
        switch self {
        case .affine4: 4
        case .affine8: 8
        default: nil
        }
    }

    /// Bytes of `count` numbers of a row, `count` a multiple of `blockLength`.
    public func byteCount(of count: Int) -> Int { count / blockLength * blockByteCount }

    /// The name safetensors headers use, GGUF's for block formats.
    public var name: String {
        switch self {
        case .f32: "F32"
        case .f16: "F16"
        case .bf16: "BF16"
        case .q8_0: "Q8_0"
        case .q4_0: "Q4_0"
        case .q5_0: "Q5_0"
        case .q4_K: "Q4_K"
        case .q5_K: "Q5_K"
        case .q6_K: "Q6_K"
        case .affine4: "AFFINE4"
        case .affine8: "AFFINE8"
        }
    }

    public init?(name: String) {
        guard let format = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = format
    }

    var kernel: ck_format { ck_format(UInt32(rawValue)) }
}

/// In which order the blocks of a matrix lie. No order changes a result's bits, but for `units`, whose sums are defined
/// differently (see `Matrix`).
public enum MatrixLayout: UInt8, Sendable, Equatable, CaseIterable {
    /// Row after row, as in other programs' files.
    case rows
    /// 16 rows interleaved, as the kernels read them (block formats only).
    case panels
    /// Transposed: everything one input contributes lies together, so that inputs known to be zero need not be read.
    case units
    /// Row after row, scales and biases apart from the numbers, as MLX stores them (affine formats only; see `AffineGroups`). Read by
    /// row, or brought into another layout; not multiplied.
    case groups

    /// Its name, as headers of packed checkpoints write it behind the format's: `Q4_0.panels`. They leave `rows` out.
    public var name: String {
        switch self {
        case .rows: "rows"
        case .panels: "panels"
        case .units: "units"
        case .groups: "groups"
        }
    }

    /// The element type of a safetensors header for a matrix of `format` in this layout.
    package func typeName(_ format: ElementFormat) -> String { self == .rows ? format.name : "\(format.name).\(name)" }

    /// Bytes of a matrix, of `groups` those of the numbers alone. Nil if the format has no such layout, rows are no whole number of blocks, or the size is beyond `Int`.
    public func byteCount(_ format: ElementFormat, rows: Int, columns: Int) -> Int? {
        guard rows >= 0, columns >= 0, columns % format.blockLength == 0, rows < 1 << 40, columns < 1 << 40 else { return nil }
        let one: Int
        let count: Int
        switch self {
        case .rows: (one, count) = (format.byteCount(of: columns), rows)
        case .panels:
            guard format.isQuantized else { return nil }
            (one, count) = (ck_panel_bytes(format.kernel, columns), (rows + 15) / 16)
        case .units:
            // Sizes a model has; larger ones would overflow the kernel's arithmetic.
            guard rows < 1 << 24, columns < 1 << 24 else { return nil }
            return ck_units_bytes(format.kernel, rows, columns)
        case .groups:
            guard let bits = format.affineBits else { return nil }
            (one, count) = (columns * bits / 8, rows)
        }
        let (bytes, overflow) = one.multipliedReportingOverflow(by: count)
        return overflow ? nil : bytes
    }
}
