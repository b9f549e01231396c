internal import Checkpoint
internal import Gemma3n
internal import Tensors
internal import Tokenization

/// What tells models apart, whatever their files are called: configuration, tokenizer, and of every tensor its name, shape, format and a
/// sample of its bytes.
///
/// The sample is all of a small tensor and 8 pieces of 64 bytes, evenly spread, of a large one: reading all of the weights would take as
/// long as a long prompt.
enum ModelFingerprint {
    private static let pieces = 8
    private static let pieceBytes = 64

    static func digits(of model: Gemma3nModel) -> String {
        var hash = ContentHash()
        // Names and values of everything in it.
        hash.add(String(describing: model.configuration))
        hash.add(model.tokenizer.vocabularySize)
        for id in 0..<model.tokenizer.vocabularySize {
            let bytes = model.tokenizer.bytes(of: Int32(truncatingIfNeeded: id))
            hash.add(bytes.count)
            hash.add(bytes)
        }
        for tensor in model.tensors {
            hash.add(tensor.name)
            hash.add(tensor.layout.typeName(tensor.format))
            hash.add(tensor.shape)
            add(tensor, to: &hash)
        }
        return hash.digits
    }

    private static func add(_ tensor: StoredTensor, to hash: inout ContentHash) {
        let region = tensor.region
        let end = min(region.count, tensor.offset + tensor.byteCount)
        guard tensor.offset < end else { return }
        let bytes = UnsafeRawBufferPointer(rebasing: region.bytes[tensor.offset..<end])
        if bytes.count <= pieces * pieceBytes { return hash.add(bytes) }
        for piece in 0..<pieces {
            let start = (bytes.count - pieceBytes) / (pieces - 1) * piece
            hash.add(UnsafeRawBufferPointer(rebasing: bytes[start..<start + pieceBytes]))
        }
    }
}
