import Checkpoint
import Tensors
import Testing

@Suite struct SafeTensors {
    /// A file with this header text and `data` zero bytes behind it.
    func file(_ header: String, data: Int) -> [UInt8] {
        let text = Array(header.utf8)
        return (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) } + text + [UInt8](repeating: 0, count: data)
    }

    func open(_ bytes: [UInt8]) throws(CheckpointError) -> SafeTensorsFile {
        try SafeTensorsFile(bytes: ByteRegion(copying: bytes), name: "m.safetensors")
    }

    @Test func writtenFileReadsBack() throws {
        let values: [Float] = [1, -2.5, 3e-20, 4, 5, 6]
        let half: [UInt8] = [0x80, 0x3F, 0x00, 0xC0]  // bfloat16 1, -2
        let ids: [Int64] = [-1, 1 << 40]
        var bytes = SafeTensorsWriter.header(
            [
                .init(name: "a", shape: [2, 3]), .init(name: "h", format: "BF16", shape: [2], byteCount: 4),
                .init(name: "ids", format: "I64", shape: [2], byteCount: 16), .init(name: "empty", shape: [0, 7]),
            ],
            metadata: [("script", "x\"y")])
        #expect(bytes.count % 8 == 0)
        bytes += values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * UInt32($0))) } }
        bytes += half
        bytes += ids.flatMap { value in (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * Int64($0))) } }
        let file = try open(bytes)
        #expect(file.tensors.map { $0.name } == ["a", "h", "empty"])
        #expect(file["a"]?.shape == [2, 3])
        #expect(file["a"]?.decoded() == values)
        #expect(file["h"]?.decoded() == [1, -2])
        #expect(file["empty"]?.decoded() == [])
        #expect(file.others.first?.integers == ids.map { Int($0) })
        #expect(file.others.first?.doubles == nil)
        #expect(file.metadata == ["script": "x\"y"])
    }

    /// The header's length need not be a multiple of anything, so a tensor may lie at any address.
    @Test func unalignedTensors() throws {
        let header = #"{"u":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"f":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}"#
        var bytes = file(header, data: 0)
        bytes += [255, 0, 0, 0x80, 0x3F]
        let opened = try open(bytes)
        #expect(opened["f"]?.decoded() == [1])
        #expect(opened.others.first?.integers == [255])
    }

    @Test(arguments: [
        ([], "the file has 0 bytes, a safetensors file at least 8. Was it copied completely?"),
        ([1, 2, 3], "the file has 3 bytes, a safetensors file at least 8. Was it copied completely?"),
        ([9, 0, 0, 0, 0, 0, 0, 0, 0x7B], "the first 8 bytes announce a header of 9 bytes, the file has 9. Is it a safetensors file, and complete?"),
        (
            [UInt8](repeating: 0xFF, count: 16),
            "the first 8 bytes announce a header of 18446744073709551615 bytes, the file has 16. Is it a safetensors file, and complete?"
        ),
        ([0, 0, 0, 0, 0, 0, 0, 0], "the header is no JSON object. Is it a safetensors file?"),
        ([2, 0, 0, 0, 0, 0, 0, 0, 0x5B, 0x5D], "the header is no JSON object. Is it a safetensors file?"),
    ] as [([UInt8], String)])
    func truncatedFiles(bytes: [UInt8], sentence: String) {
        #expect(throws: CheckpointError(.malformedHeader, file: "m.safetensors", sentence)) { try open(bytes) }
    }

    @Test(arguments: [
        (#"{"a":1}"#, "tensor 'a' lacks dtype (a string), shape or data_offsets (arrays) in the header."),
        (#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, "tensor 'a' has a shape that is no list of sizes."),
        (#"{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}"#, "tensor 'a' has a shape that is no list of sizes."),
        (
            #"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}"#,
            "tensor 'a' has shape [4611686018427387904, 4], larger than any file."
        ),
        (
            #"{"a":{"dtype":"F32","shape":[4611686018427387904,4,0],"data_offsets":[0,0]}}"#,
            "tensor 'a' has shape [4611686018427387904, 4, 0], larger than any file."
        ),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, "tensor 'a' has data_offsets that are not a begin and an end."),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}"#, "tensor 'a' has data_offsets that are not a begin and an end."),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}"#, "tensor 'a' has data_offsets that are not a begin and an end."),
        (
            #"{"a":{"dtype":"F32","shape":[5],"data_offsets":[0,20]}}"#,
            "tensor 'a' ends at byte 20 of the tensor data, the file holds 16. Was it copied completely?"
        ),
        (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, "tensor 'a' has 4 bytes, expected 8 for shape [2] of F32."),
        (
            #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
            "tensors 'a' and 'b' overlap in the file."
        ),
        (
            #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
            "the header names tensor 'a' twice."
        ),
        (#"{"__metadata__":[]}"#, "__metadata__ is an array, expected an object of strings."),
        (#"{"__metadata__":{"a":1}}"#, "__metadata__ 'a' is a number, expected a string."),
    ])
    func lyingHeaders(header: String, sentence: String) {
        #expect(throws: CheckpointError(.malformedHeader, file: "m.safetensors", sentence)) { try open(file(header, data: 16)) }
    }

    @Test func unknownElementType() {
        let header = #"{"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}"#
        #expect(
            throws: CheckpointError(
                .unsupportedFormat, file: "m.safetensors",
                "tensor 'a' has element type 'F8_E4M3'; this version reads F32, F16, BF16 and those of checkpoints packed by gemma3n convert. Convert the checkpoint to one of them.")
        ) { try open(file(header, data: 4)) }
    }

    @Test func brokenJSONInHeader() {
        let error = #expect(throws: CheckpointError.self) { try open(file("{\"a\":", data: 4)) }
        #expect(error?.code == .malformedJSON)
    }

    @Test func damagedFiles() throws {
        let good = SafeTensorsWriter.header([.init(name: "a", shape: [2, 2]), .init(name: "b", format: "I32", shape: [2], byteCount: 8)])
            + [UInt8](repeating: 1, count: 24)
        for length in 0..<good.count {
            #expect(throws: CheckpointError.self) { try open(Array(good[..<length])) }
        }
        var random = TestRandom(seed: 3)
        for _ in 0..<20_000 {
            var damaged = good
            for _ in 0..<(1 + random.next() % 3) { damaged[Int(random.next() % UInt64(good.count))] = UInt8(truncatingIfNeeded: random.next()) }
            if let opened = try? open(damaged) {
                for tensor in opened.tensors { #expect(tensor.decoded().count == tensor.elementCount) }
                for tensor in opened.others { #expect(tensor.bytes.count <= 24) }
            }
        }
    }

    @Test func index() throws {
        let text = #"{"metadata":{"total_size":8},"weight_map":{"x":"m-2.safetensors","a":"m-1.safetensors","b":"m-2.safetensors"}}"#
        let index = try SafeTensorsIndex(bytes: ByteRegion(copying: Array(text.utf8)), name: "i.json")
        #expect(index.files == ["m-2.safetensors", "m-1.safetensors"])
        #expect(index.entries.map { $0.tensor } == ["x", "a", "b"])
        #expect(index.entries.map { $0.file } == ["m-2.safetensors", "m-1.safetensors", "m-2.safetensors"])
    }

    @Test(arguments: [
        ("{}", CheckpointError(.missingKey, file: "i.json", "there is no 'weight_map'. Is it the index of a sharded checkpoint?")),
        (
            #"{"weight_map":[]}"#,
            CheckpointError(.wrongType, file: "i.json", "'weight_map' is an array, expected an object of tensor names and file names.")
        ),
        (#"{"weight_map":{"a":1}}"#, CheckpointError(.wrongType, file: "i.json", "weight_map 'a' is a number, expected a file name.")),
        (
            #"{"weight_map":{"a":"../x"}}"#,
            CheckpointError(.unsupportedValue, file: "i.json", "weight_map 'a' is \"../x\", expected the name of a file beside the index.")
        ),
    ])
    func badIndexes(text: String, error: CheckpointError) {
        #expect(throws: error) { try SafeTensorsIndex(bytes: ByteRegion(copying: Array(text.utf8)), name: "i.json") }
    }
}
