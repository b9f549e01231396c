public import Tensors

/// All tensors of a checkpoint by name, with a record of which were read.
///
/// The loader reads every tensor it needs through a `WeightScope`; afterwards `checkNoLeftovers` names those nobody read.
public final class WeightStore {
    public let tensors: [String: StoredTensor]
    package private(set) var used: Set<String> = []

    public init(_ tensors: [String: StoredTensor]) {
        self.tensors = tensors
    }

    /// The top of the tree of names.
    public var root: WeightScope { WeightScope(store: self, path: "") }

    package func markUsed(_ name: String) { used.insert(name) }

    /// Throws if a tensor was never read, except those `isKnownUnused` accepts.
    public func checkNoLeftovers(except isKnownUnused: (String) -> Bool) throws(CheckpointError) {
        let left = tensors.keys.filter { !used.contains($0) && !isKnownUnused($0) }.sorted()
        guard let first = left.first, let tensor = tensors[first] else { return }
        let more = left.count > 1 ? " and \(left.count - 1) more (\(left.dropFirst().prefix(3).joined(separator: ", "))\(left.count > 4 ? ", …" : ""))" : ""
        throw CheckpointError(
            .leftoverTensors, file: tensor.file,
            "tensor '\(first)'\(more) belongs to no part of the model that config.json describes. Is config.json from the same checkpoint?")
    }
}

/// A place in the tree of tensor names, from which typed weights are read.
///
///     let left = try scope["linear_left"].matrix(rows: rank, columns: hiddenSize)
///
/// reads `<path>.linear_left.weight` and checks its shape.
public struct WeightScope {
    package let store: WeightStore
    public let path: String

    public subscript(_ name: String) -> WeightScope {
        WeightScope(store: store, path: path.isEmpty ? name : "\(path).\(name)")
    }

    public subscript(_ index: Int) -> WeightScope { self[String(index)] }

    /// Whether any tensor lies at or below this path.
    public var exists: Bool {
        let prefix = path + "."
        return store.tensors[path] != nil || store.tensors.keys.contains { $0.utf8.starts(with: prefix.utf8) }
    }

    /// The tensor `<path>.weight`, or `<path>` itself for the few stored without that suffix; nil if neither exists.
    /// Does not mark it used.
    public var tensor: StoredTensor? {
        store.tensors[path + ".weight"] ?? store.tensors[path]
    }

    /// - Parameters:
    ///   - reason: Where the expected shape comes from, for the error sentence.
    ///   - allowsUnits: Whether the caller can use a matrix in layout `units`.
    /// - Throws: `missingTensor`, `wrongShape`, `unsupportedFormat` for a layout that has no place here.
    public func tensor(shape: [Int], reason: String = "", allowsUnits: Bool = false) throws(CheckpointError) -> StoredTensor {
        guard let tensor else {
            throw CheckpointError(
                .missingTensor,
                "tensor '\(path).weight' is missing, expected with shape \(shape)\(reason.isEmpty ? "" : " (\(reason))"). Is the checkpoint complete and config.json from the same checkpoint?")
        }
        guard tensor.shape == shape else {
            throw CheckpointError(
                .wrongShape, file: tensor.file,
                "tensor '\(tensor.name)' has shape \(tensor.shape), expected \(shape)\(reason.isEmpty ? "" : " (\(reason))"). Is config.json from the same checkpoint?")
        }
        guard allowsUnits || tensor.layout != .units else {
            throw CheckpointError(
                .unsupportedFormat, file: tensor.file,
                "tensor '\(tensor.name)' lies in units, expected rows or panels: only the down_proj of a sparse layer is stored so. Convert the checkpoint again.")
        }
        store.markUsed(tensor.name)
        return tensor
    }

    /// A linear map, stored as `[rows, columns]` = `[out, in]`; the bytes are shared, not copied.
    public func matrix(rows: Int, columns: Int, reason: String = "", allowsUnits: Bool = false) throws(CheckpointError) -> Matrix {
        try tensor(shape: [rows, columns], reason: reason, allowsUnits: allowsUnits).matrix(rows: rows, columns: columns)
    }

    /// A vector, decoded to float32.
    public func vector(count: Int, reason: String = "") throws(CheckpointError) -> Vector {
        let stored = try tensor(shape: [count], reason: reason)
        return Vector(stored.decoded())
    }
}
