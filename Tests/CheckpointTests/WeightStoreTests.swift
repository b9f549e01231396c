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
