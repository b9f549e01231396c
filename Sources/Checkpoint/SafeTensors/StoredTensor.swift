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

    /// - Precondition: `region` holds the tensor; its last dimension is whole blocks, and one in another layout than `rows` has two.
    package init(
        name: String, format: ElementFormat, layout: MatrixLayout = .rows, shape: [Int], file: String, region: ByteRegion, offset: Int
    ) {
        self.name = name
        self.format = format
        self.layout = layout
        self.shape = shape
        self.file = file
        self.region = region
        self.offset = offset
    }

    public var elementCount: Int { shape.reduce(1, *) }
    public var byteCount: Int {
        let columns = shape.last ?? 1
        return columns == 0 ? 0 : layout.byteCount(format, rows: elementCount / columns, columns: columns) ?? 0
    }

    /// All elements as float32.
    public func decoded() -> [Float] {
        let columns = shape.last ?? 1
        return columns == 0 ? [] : matrix(rows: elementCount / columns, columns: columns).decoded()
    }
}
