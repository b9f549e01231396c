public import Checkpoint
public import Tensors

extension Tokenizer {
    /// Opens SentencePiece's `tokenizer.model`, as the reference converts it: merges from the pieces' scores, user-defined
    /// pieces cut out of the text first.
    ///
    /// - Parameter specialTokens: Control tokens that lie behind the file's pieces (those of pictures and sound, whose ids
    ///   `config.json` holds); one that the file has already keeps the file's id.
    /// - Throws: `malformedTokenizer` for a file that is no SentencePiece model; `unsupportedValue` for one that is not BPE.
    /// - Source: `GemmaConverter`, `generate_merges` in transformers 5.23.0.
    public convenience init(
        sentencePiece region: ByteRegion, file: String = "tokenizer.model", specialTokens: [(content: String, id: Int32)] = []
    ) throws(CheckpointError) {
        let model = try SentencePieceModel(region, file: file)
        try self.init(model.parts(specialTokens: specialTokens), file: file)
    }
}

/// The parts of SentencePiece's `ModelProto` that matter here.
private struct SentencePieceModel: ~Copyable {
    private let file: String
    private var pieces: ScoredPieces

    init(_ region: ByteRegion, file: String) throws(CheckpointError) {
        defer { withExtendedLifetime(region) {} }
        self.file = file
        // The released file has 20 bytes for each piece.
        pieces = ScoredPieces(capacity: region.count / 16, file: file)
        var modelType: UInt64 = 1
        var message = ProtobufReader(region.bytes, file: file)
        while let field = try message.next() {
            switch field.number {
            case 1: try readPiece(field)
            case 2:
                var trainer = try field.message(file)
                while let setting = try trainer.next() {
                    if setting.number == 3 { modelType = setting.varint }
                    if setting.number == 24, setting.varint != 0 { throw unsupported("treats white space as a suffix") }
                }
            case 3:
                var normalizer = try field.message(file)
                while let setting = try normalizer.next() {
                    if setting.number == 2, setting.bytes.count > 0 { throw unsupported("normalises characters") }
                    if setting.number == 3, setting.varint != 0 { throw unsupported("puts a space in front of a text (add_dummy_prefix)") }
                    if setting.number == 4, setting.varint != 0 { throw unsupported("drops spaces (remove_extra_whitespaces)") }
                }
            default: break
            }
        }
        guard pieces.count > 0 else { throw malformed("the file holds no pieces, expected a SentencePiece model.") }
        guard modelType == 2 else {
            let name = modelType == 1 ? "unigram" : "number \(modelType)"
            throw CheckpointError(.unsupportedValue, file: file, "the SentencePiece model is of type \(name); Gemma's are BPE, and this version knows those.")
        }
    }

    private func malformed(_ message: String) -> CheckpointError { CheckpointError(.malformedTokenizer, file: file, message) }

    private func unsupported(_ what: String) -> CheckpointError {
        CheckpointError(.unsupportedValue, file: file, "the SentencePiece model \(what); Gemma's do not, and this version cannot.")
    }

    @inline(__always)
    private mutating func readPiece(_ field: ProtobufReader.Field) throws(CheckpointError) {
        var message = try field.message(file)
        var bytes = UnsafeRawBufferPointer(start: nil, count: 0)
        var score: Float = 0
        var kind = ScoredPieces.Kind.normal
        while let part = try message.next() {
            switch part.number {
            case 1: bytes = part.bytes
            case 2: score = Float(bitPattern: UInt32(truncatingIfNeeded: part.varint))
            case 3: kind = ScoredPieces.Kind(rawValue: UInt8(clamping: part.varint)) ?? .normal
            default: break
            }
        }
        try pieces.append(bytes.assumingMemoryBound(to: UInt8.self), score: score, kind: kind)
    }

    consuming func parts(specialTokens: [(content: String, id: Int32)]) throws(CheckpointError) -> TokenizerParts {
        // The first three have score 0 in the reference, whatever the file says.
        for id in 0..<min(3, pieces.count) { pieces.setScore(0, id: id) }
        return try pieces.parts(specialTokens: specialTokens)
    }
}

/// Reads the fields of a protobuf message one after the other.
///
/// - Source: Protocol Buffers encoding, https://protobuf.dev/programming-guides/encoding/.
struct ProtobufReader {
    struct Field {
        let number: UInt64
        /// The value of a number field: integers as they are, float32 and float64 as their bits.
        var varint: UInt64 = 0
        /// The contents of a length-delimited field.
        var bytes = UnsafeRawBufferPointer(start: nil, count: 0)

        func message(_ file: String) throws(CheckpointError) -> ProtobufReader { ProtobufReader(bytes, file: file) }
    }

    private let bytes: UnsafeRawBufferPointer
    private let file: String
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer, file: String) {
        self.bytes = bytes
        self.file = file
    }

    private func malformed(_ found: String) -> CheckpointError {
        CheckpointError(.malformedTokenizer, file: file, "\(found) at byte \(position) of a message; expected a SentencePiece model (protobuf). Is the file complete?")
    }

    /// The next field; nil at the end.
    mutating func next() throws(CheckpointError) -> Field? {
        if position >= bytes.count { return nil }
        let key = try varint()
        var field = Field(number: key >> 3)
        switch key & 7 {
        case 0: field.varint = try varint()
        case 1: field.varint = try fixed(8)
        case 5: field.varint = try fixed(4)
        case 2:
            let length = try varint()
            guard length <= UInt64(bytes.count - position) else { throw malformed("a field of \(length) bytes runs past the end") }
            field.bytes = UnsafeRawBufferPointer(rebasing: bytes[position..<position + Int(length)])
            position += Int(length)
        default: throw malformed("an unknown kind of field (\(key & 7))")
        }
        return field
    }

    @inline(__always)
    private mutating func varint() throws(CheckpointError) -> UInt64 {
        if position < bytes.count, bytes[position] < 0x80 {
            position += 1
            return UInt64(bytes[position - 1])
        }
        return try longVarint()
    }

    private mutating func longVarint() throws(CheckpointError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while shift < 70 {
            guard position < bytes.count else { throw malformed("the file ends inside a number") }
            let byte = bytes[position]
            position += 1
            if shift < 64 { value |= UInt64(byte & 0x7F) << shift }
            if byte & 0x80 == 0 { return value }
            shift += 7
        }
        throw malformed("a number of more than ten bytes")
    }

    private mutating func fixed(_ size: Int) throws(CheckpointError) -> UInt64 {
        guard bytes.count - position >= size else { throw malformed("the file ends inside a number") }
        var value: UInt64 = 0
        for i in 0..<size { value |= UInt64(bytes[position + i]) << (8 * UInt64(i)) }
        position += size
        return value
    }
}
