internal import Tensors

extension StoredTensor {
    /// The same elements in another shape.
    /// - Precondition: As many of them, in rows.
    package func reshaped(_ shape: [Int]) -> StoredTensor {
        precondition(layout == .rows && shape.reduce(1, *) == elementCount, "'\(name)' \(self.shape) seen as \(shape)")
        return StoredTensor(name: name, format: format, shape: shape, file: file, region: region, offset: offset)
    }

    /// Rows of the tensor seen as a matrix of its last dimension, sharing the bytes.
    /// - Precondition: `shape` holds as many elements as these rows.
    package func slice(rows: Range<Int>, shape newShape: [Int]) -> StoredTensor {
        let rowCount = shape.dropLast().reduce(1, *)
        let columns = shape.last ?? 1
        precondition(layout == .rows && rows.lowerBound >= 0 && rows.upperBound <= rowCount, "rows \(rows) of \(rowCount)")
        precondition(newShape.reduce(1, *) == rows.count * columns, "\(rows.count) rows of \(columns) seen as \(newShape)")
        let rowBytes = rowCount == 0 ? 0 : byteCount / rowCount
        return StoredTensor(
            name: name, format: format, shape: newShape, file: file, region: region, offset: offset + rows.lowerBound * rowBytes)
    }
}
