import Checkpoint
import Tensors
import TestSupport
import Testing

/// Where weights lie: one file, or the shards of an index.
struct WeightStoreTests {
    private func weights(_ names: [String]) -> [UInt8] {
        SafeTensorsWriter.header(names.map { SafeTensorsWriter.Entry(name: $0, shape: [1]) }) + [UInt8](repeating: 0, count: 4 * names.count)
    }

    private func open(_ files: [String: [UInt8]]) throws -> WeightStore {
        try WeightStore { (name: String) throws(CheckpointError) in files[name].map { ByteRegion(copying: $0) } }
    }

    private let index = Array(#"{"weight_map": {"a": "s-2.safetensors", "b": "s-1.safetensors", "c": "s-1.safetensors"}}"#.utf8)

    /// A matrix stored unit by unit where rows are multiplied would be read beyond its end.
    @Test(arguments: ["F32.units", "BF16.units", "Q4_0.units"])
    func unitsOnlyWhereTheyBelong(type: String) throws {
        let parts = type.split(separator: ".")
        let format = try #require(ElementFormat(name: String(parts[0])))
        let size = try #require(MatrixLayout.units.byteCount(format, rows: 32, columns: 64))
        let file = SafeTensorsWriter.header([SafeTensorsWriter.Entry(name: "q.weight", format: type, shape: [32, 64], byteCount: size)])
        let scope = try open(["model.safetensors": file + [UInt8](repeating: 0, count: size)]).root["q"]
        #expect(throws: CheckpointError(
            .unsupportedFormat, file: "model.safetensors",
            "tensor 'q.weight' lies in units, expected rows or panels: only the down_proj of a sparse layer is stored so. Convert the checkpoint again.")
        ) { try scope.matrix(rows: 32, columns: 64) }
        let matrix = try scope.matrix(rows: 32, columns: 64, allowsUnits: true)
        #expect(matrix.layout == .units)
        #expect(MatrixLayout.units.typeName(format) == type)
    }

    @Test func oneFileOrShards() throws {
        #expect(try open(["model.safetensors": weights(["a", "b"])]).tensors.keys.sorted() == ["a", "b"])
        let store = try open([
            "model.safetensors.index.json": index, "s-1.safetensors": weights(["b", "c"]), "s-2.safetensors": weights(["a"]),
        ])
        #expect(store.tensors.mapValues(\.file) == ["a": "s-2.safetensors", "b": "s-1.safetensors", "c": "s-1.safetensors"])
        let none = #expect(throws: CheckpointError.self) { try open([:]) }
        #expect(none?.code == .missingFile)
        #expect(none?.file == "model.safetensors")
    }

    @Test func whatTheIndexSaysMustBeThere() throws {
        let missing = #expect(throws: CheckpointError.self) {
            try open(["model.safetensors.index.json": index, "s-2.safetensors": weights(["a"])])
        }
        #expect(
            missing?.description == "model.safetensors.index.json: lists 's-1.safetensors', which is not there. Is the download complete?")
        let elsewhere = #expect(throws: CheckpointError.self) {
            try open(["model.safetensors.index.json": index, "s-1.safetensors": weights(["b"]), "s-2.safetensors": weights(["a", "c"])])
        }
        #expect(elsewhere?.code == .missingTensor)
        let twice = #expect(throws: CheckpointError.self) {
            try open(["model.safetensors.index.json": index, "s-1.safetensors": weights(["b", "c", "a"]), "s-2.safetensors": weights(["a"])])
        }
        #expect(twice?.code == .malformedHeader)
        #expect(throws: CheckpointError.self) {
            try open(["model.safetensors.index.json": Array(#"{"weight_map": {"a": "../secret"}}"#.utf8)])
        }
    }
}
