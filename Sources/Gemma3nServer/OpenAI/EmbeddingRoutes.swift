internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost
internal import HTTPTypes

/// `/v1/embeddings`
struct EmbeddingRoutes {
    let desk: Desk

    var routes: [Route] { [Route(.post, "/v1/embeddings") { [self] in try await answer($0) }] }

    private func answer(_ exchange: Exchange) async throws -> Reply {
        let fields = try exchange.fields()
        let model = try fields.string("model") ?? desk.settings.modelName
        _ = try desk.size(ofModel: model)
        let inputs = try TextInput.read(fields, "input", tokenCount: desk.model.model.configuration.text.vocabSize, atMost: 2048)
        try fields.check(.string, "user")
        let format = try fields.string("encoding_format") ?? "float"
        guard format == "float" || format == "base64" else {
            throw fields.refusal("encoding_format", "is \"\(format.prefix(40))\", expected \"float\" or \"base64\".")
        }
        let dimensions = try fields.int("dimensions", 1...desk.model.model.configuration.text.hiddenSize)
        var (vectors, tokenCount): ([[Float]], Int) = ([], 0)
        // Those of a batch one by one: others come between.
        for part in exchange.isBackground ? inputs.map({ [$0] }) : [inputs] {
            let (more, count) = try await desk.room.embeddings(of: part)
            vectors += more
            tokenCount += count
        }
        let data: [JSONValue] = vectors.enumerated().map { index, vector in
            let vector = Embedding.shortened(vector, dimensions)
            return [
                "object": "embedding", "index": .number(JSONNumber(index)),
                "embedding": format == "float" ? Embedding.json(vector) : .string(base64(Embedding.bytes(vector))),
            ]
        }
        return .json([
            "object": "list", "data": .array(data), "model": .string(model),
            "usage": ["prompt_tokens": .number(JSONNumber(tokenCount)), "total_tokens": .number(JSONNumber(tokenCount))],
        ])
    }
}

/// Vectors on their way out.
enum Embedding {
    /// The first so many values, of length 1 again.
    static func shortened(_ vector: [Float], _ count: Int?) -> [Float] {
        guard let count, count < vector.count else { return vector }
        let part = vector.prefix(count)
        let length = part.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        return part.map { length > 0 ? Float(Double($0) / length) : 0 }
    }

    static func json(_ vector: [Float]) -> JSONValue { .array(vector.map { .number(JSONNumber(Double($0))) }) }

    /// 32-bit floats, the least significant byte first.
    static func bytes(_ vector: [Float]) -> [UInt8] {
        vector.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * UInt32($0))) } }
    }
}
