internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost
internal import Tensors

/// Tells models apart by what they hold.
enum ModelIdentity {
    /// Bytes of a tensor that are read at each place, and places.
    private static let sample = (byteCount: 64, places: 4)

    /// A SHA-256 over the names, shapes and formats of all tensors, and over a few of each one's bytes: another checkpoint gives another one,
    /// and the same checkpoint the same one wherever it lies.
    static func digest(of model: Gemma3nLanguageModel) -> String {
        let hash = SHA256()
        for tensor in model.model.tensors {
            hash.update("\(tensor.name) \(tensor.shape) \(tensor.format) \(tensor.layout)\n".utf8)
            let region = tensor.region
            let end = min(tensor.offset + tensor.byteCount, region.bytes.count)
            let bytes = region.bytes[min(tensor.offset, end)..<end]
            let step = max(sample.byteCount, bytes.count / sample.places)
            for start in stride(from: bytes.startIndex, to: bytes.endIndex, by: step) { hash.update(bytes[start...].prefix(sample.byteCount)) }
        }
        return hash.finish()
    }
}
