public import Tensors

/// A tensor as it lies in a file.
public struct StoredTensor: Sendable {
    public let name: String
    public let format: ElementFormat
    /// In which order a matrix lies; `rows` for everything but packed checkpoints.
    public let layout: MatrixLayout
    public let shape: [Int]
    /// The name of the file it lies in.
    public let file: String
    package let region: ByteRegion
    /// Byte offset inside `region`.
    package let offset: Int
    /// The scales of a matrix in layout `groups`.
    private let groups: AffineGroups?

    /// - Precondition: `region` holds the tensor; its last dimension is whole blocks, and one in another layout than `rows` has two.
    package init(
        name: String, format: ElementFormat, layout: MatrixLayout = .rows, shape: [Int], file: String, region: ByteRegion, offset: Int,
        groups: AffineGroups? = nil
    ) {
        self.name = name
        self.format = format
        self.layout = layout
        self.shape = shape
        self.file = file
        self.region = region
        self.offset = offset
        self.groups = groups
    }

    public var elementCount: Int { shape.reduce(1, *) }
    public var byteCount: Int { whole?.byteCount ?? 0 }

    /// Seen as a matrix of its last dimension; nil if that is 0.
    private var whole: Matrix? {
        let columns = shape.last ?? 1
        return columns == 0 ? nil : matrix(rows: elementCount / columns, columns: columns)
    }

    /// Says how its bytes will be used, wherever they lie.
    package func advise(_ advice: MemoryAdvice) { whole?.advise(advice) }

    /// All elements as float32.
    public func decoded() -> [Float] { whole?.decoded() ?? [] }
}

extension StoredTensor {
    /// The elements seen as a matrix, sharing the bytes.
    /// - Precondition: `rows * columns == elementCount`, and columns are whole blocks.
    public func matrix(rows: Int, columns: Int) -> Matrix {
        precondition(rows * columns == elementCount, "'\(name)' \(shape) seen as \(rows) x \(columns)")
        return Matrix(region: region, offset: offset, rows: rows, columns: columns, format: format, layout: layout, groups: groups)
    }

    /// The same tensor under another name.
    package func renamed(_ name: String) -> StoredTensor {
        StoredTensor(name: name, format: format, layout: layout, shape: shape, file: file, region: region, offset: offset, groups: groups)
    }
}
