/// Lays out a safetensors file; whoever writes it appends the tensors' bytes behind the header, in order and without gaps.
public enum SafeTensorsWriter {
    public struct Entry: Sendable {
        public let name: String
        /// The element type's name: `F32`, `BF16`, `I64`, …
        public let format: String
        public let shape: [Int]
        public let byteCount: Int

        /// - Precondition: `byteCount` is what `shape` and `format` need.
        public init(name: String, format: String, shape: [Int], byteCount: Int) {
            self.name = name
            self.format = format
            self.shape = shape
            self.byteCount = byteCount
        }

        /// A float32 tensor.
        public init(name: String, shape: [Int]) {
            self.init(name: name, format: "F32", shape: shape, byteCount: shape.reduce(1, *) * 4)
        }
    }

    /// The 8 bytes of length and the JSON header, padded with spaces so that the data begins at a multiple of 8 bytes.
    ///
    /// - Parameter alignment: The data and every tensor begin at a multiple of this, a multiple of 8; whoever writes the file fills the
    ///   gaps. Without it tensors follow each other, as the reference library demands.
    public static func header(_ entries: [Entry], metadata: [(key: String, value: String)] = [], alignment: Int? = nil) -> [UInt8] {
        var members: [JSONObject.Member] = []
        if !metadata.isEmpty {
            let object = JSONObject(metadata.map { JSONObject.Member(key: $0.key, value: .string($0.value)) })
            members.append(JSONObject.Member(key: "__metadata__", value: .object(object)))
        }
        var offset = 0
        for entry in entries {
            let shape = JSONValue.array(entry.shape.map { .number(JSONNumber($0)) })
            let offsets: JSONValue = [.number(JSONNumber(offset)), .number(JSONNumber(offset + entry.byteCount))]
            members.append(JSONObject.Member(key: entry.name, value: ["dtype": .string(entry.format), "shape": shape, "data_offsets": offsets]))
            offset += padded(entry.byteCount, to: alignment ?? 1)
        }
        var json = [UInt8](JSONValue.object(JSONObject(members)).serialized().utf8)
        while (8 + json.count) % (alignment ?? 8) != 0 { json.append(0x20) }
        let length = UInt64(json.count)
        return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * UInt64($0))) } + json
    }

    /// `count` rounded up to a multiple of `alignment`.
    public static func padded(_ count: Int, to alignment: Int) -> Int { (count + alignment - 1) / alignment * alignment }
}
