import CKernels
import Checkpoint
import Gemma3n
import Tensors

/// A tiny random model with the layers of E4B: 35, of which 20 own K/V, every fifth of full attention, the first ten sparse.
///
/// Weights are kept as plain bytes in rows, so that a slice can be cut out of them here by counting bytes.
struct NestedModel {
    /// In which order quantised matrices are given to the model.
    enum Storage: CaseIterable {
        /// In rows, as a GGUF file has them.
        case rows
        /// As `convert` packs them: panels, and units in sparse layers.
        case packed
        /// All in panels, the down projections of sparse layers, too.
        case panels
    }

    struct Weight {
        let format: ElementFormat
        var shape: [Int]
        var bytes: [UInt8]
    }

    let configuration: TextConfiguration
    var weights: [String: Weight] = [:]

    static let layerCount = 35
    static let owners = 20

    private init(configuration: TextConfiguration) { self.configuration = configuration }

    /// - Parameter format: Of a matrix by its name; one whose rows are no whole blocks is float32.
    init(seed: UInt64, width: Int = 160, hiddenSize d: Int = 64, perLayer p: Int = 32, headDim n: Int = 32, format: (String) -> ElementFormat) throws {
        let json = """
            {"vocab_size": 96, "vocab_size_per_layer_input": 80, "hidden_size": \(d), "hidden_size_per_layer_input": \(p),
             "num_hidden_layers": 35, "intermediate_size": \(width), "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": \(n),
             "num_kv_shared_layers": 15, "sliding_window": 8, "laurel_rank": 32, "max_position_embeddings": 64}
            """
        let c = try TextConfiguration(JSONValue.parse(json, file: "config.json"))
        self.init(configuration: c)
        var random = Random(state: seed)
        forEachTextWeight(c, embeddings: 0.2, sharingLayersOwnKeys: false) { name, shape, mean, spread in
            let count = shape.reduce(1, *)
            let columns = shape.last ?? 1
            var values = [Float](repeating: 0, count: count)
            for i in 0..<count { values[i] = mean + spread * random.normal() }
            let wanted = format(name)
            let isMatrix = shape.count == 2 && shape[0] > 16 && !name.contains("altup.")
            let stored = isMatrix && columns % wanted.blockLength == 0 ? wanted : .f32
            weights["model.\(name)"] = Weight(format: stored, shape: shape, bytes: Self.encode(values, rows: count / columns, columns, stored))
        }
    }

    private static func encode(_ values: [Float], rows: Int, _ columns: Int, _ format: ElementFormat) -> [UInt8] {
        let rowBytes = format.byteCount(of: columns)
        var bytes = [UInt8](repeating: 0, count: rows * rowBytes)
        values.withUnsafeBufferPointer { values in
            bytes.withUnsafeMutableBytes { bytes in
                for r in 0..<rows {
                    ck_quantize_row(ck_format(UInt32(format.rawValue)), values.baseAddress! + r * columns, columns, bytes.baseAddress! + r * rowBytes)
                }
            }
        }
        return bytes
    }

    // MARK: Cutting

    /// The slice as a checkpoint of its own, every byte of it copied: the first rows of gate and up, the first blocks of down's rows, the layers'
    /// shares of the per-layer tensors; other layers' numbers close up.
    func cut(widths: [Int], leavingOut leftOut: Set<Int>) -> NestedModel {
        let kept = (0..<configuration.numHiddenLayers).filter { !leftOut.contains($0) }
        let p = configuration.hiddenSizePerLayerInput
        var c = configuration
        c.numHiddenLayers = kept.count
        c.numKVSharedLayers -= leftOut.count
        c.intermediateSize = kept.map { widths[$0] }
        c.layerTypes = kept.map { configuration.layerTypes[$0] }
        c.activationSparsityPattern = kept.map { configuration.activationSparsityPattern[$0] }
        var result = NestedModel(configuration: c)
        for (name, weight) in weights {
            var new = weight
            var newName = name
            var parts = name.split(separator: ".").map { String($0) }
            if parts[1] == "layers", let old = Int(parts[2]) {
                guard let index = kept.firstIndex(of: old) else { continue }
                parts[2] = "\(index)"
                newName = parts.joined(separator: ".")
                switch parts[4] {
                case "gate_proj", "up_proj": new = weight.rows([0..<widths[old]])
                case "down_proj": new = weight.columns([0..<widths[old]])
                default: break
                }
            } else if parts[1] == "embed_tokens_per_layer" {
                new = weight.columns(kept.map { $0 * p..<($0 + 1) * p })
            } else if parts[1] == "per_layer_model_projection" {
                new = weight.rows(kept.map { $0 * p..<($0 + 1) * p })
            }
            result.weights[newName] = new
        }
        return result
    }

    // MARK: Opening

    func model(_ storage: Storage) throws -> TextModel {
        var tensors: [String: StoredTensor] = [:]
        for (name, weight) in weights {
            var layout = MatrixLayout.rows
            if weight.format.isQuantized, storage != .rows, !name.contains("embed_tokens_per_layer") {
                let parts = name.split(separator: ".").map { String($0) }
                let isSparse = parts[1] == "layers" && configuration.activationSparsityPattern[Int(parts[2]) ?? 0] > 0 && storage == .packed
                layout = isSparse && name.contains("up_proj") ? .rows : isSparse && name.contains("down_proj") ? .units : .panels
            }
            tensors[name] = weight.stored(name, layout)
        }
        let root = WeightStore(tensors).root
        return try TextModel(root["model"], head: root["lm_head"], configuration)
    }
}

extension NestedModel.Weight {
    private var rowBytes: Int { bytes.count / shape[0] }

    func rows(_ ranges: [Range<Int>]) -> NestedModel.Weight {
        var cut: [UInt8] = []
        for range in ranges { cut += bytes[range.lowerBound * rowBytes..<range.upperBound * rowBytes] }
        return NestedModel.Weight(format: format, shape: [ranges.reduce(0) { $0 + $1.count }, shape[1]], bytes: cut)
    }

    func columns(_ ranges: [Range<Int>]) -> NestedModel.Weight {
        var cut: [UInt8] = []
        let (block, size) = (format.blockLength, format.blockByteCount)
        for row in 0..<shape[0] {
            for range in ranges { cut += bytes[row * rowBytes + range.lowerBound / block * size..<row * rowBytes + range.upperBound / block * size] }
        }
        return NestedModel.Weight(format: format, shape: [shape[0], ranges.reduce(0) { $0 + $1.count }], bytes: cut)
    }

    fileprivate func stored(_ name: String, _ layout: MatrixLayout) -> StoredTensor {
        let plain = StoredTensor(name: name, format: format, shape: shape, file: "made up", region: ByteRegion(copying: bytes), offset: 0)
        guard layout != .rows, let packed = plain.matrix(rows: shape[0], columns: shape[1]).packed(layout, .serial) else { return plain }
        return StoredTensor(
            name: name, format: format, layout: layout, shape: shape, file: "made up", region: packed.region, offset: packed.offset)
    }
}

/// xorshift64.
struct Random: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }

    /// Close enough to a normal distribution of variance 1/3.
    mutating func normal() -> Float {
        let bits = next()
        var sum = 0
        for shift in [0, 16, 32, 48] { sum += Int(bits >> UInt64(shift) & 0xFFFF) }
        return Float(sum) / 65536 - 2
    }
}
