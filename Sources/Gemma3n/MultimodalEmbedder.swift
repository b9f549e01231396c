internal import CKernels
public import Checkpoint
public import Tensors

/// Brings one modality into the language model's space: its special tokens ("hard") and its encoder's features ("soft").
///
///     hard(id)  = rms(W · rms(embedding[id - offset]; hard_embedding_norm))
///     soft(f)   = rms(W · rms(f; soft_embedding_norm))
///
/// The outer norm has no weight, so every result has unit RMS; neither kind is scaled further.
///
/// - Source: `Gemma3nMultimodalEmbedder` in transformers 5.23.0.
public struct MultimodalEmbedder: Sendable {
    /// Token ids with an embedding of their own here: `vocabOffset ..< vocabOffset + vocabSize`.
    public let ids: Range<Int>
    /// Features of one soft token, `D`.
    public let featureCount: Int
    /// Hidden size of the language model, `H`.
    public let hiddenSize: Int

    private let epsilon: Float
    private let embedding: Matrix  // [vocabSize, D]
    private let hardNorm: Vector  // [D]
    private let softNorm: Vector  // [D]
    private let projection: Matrix  // [H, D]

    /// - Parameters:
    ///   - scope: `embed_vision` or `embed_audio`.
    ///   - featureCount: `hidden_size` of the modality's configuration.
    ///   - hiddenSize: `hidden_size` of the text configuration.
    ///   - epsilon: `rms_norm_eps` of the modality's configuration.
    /// - Throws: `missingTensor`, `wrongShape`.
    public init(
        _ scope: WeightScope, vocabOffset: Int, vocabSize: Int, featureCount: Int, hiddenSize: Int, epsilon: Float
    ) throws(CheckpointError) {
        let (end, overflow) = vocabOffset.addingReportingOverflow(vocabSize)
        guard vocabOffset >= 0, vocabSize >= 0, !overflow else {
            throw CheckpointError(
                .unsupportedValue, "vocab_offset \(vocabOffset) and vocab_size \(vocabSize) of '\(scope.path)' make no range of ids.")
        }
        ids = vocabOffset..<end
        self.featureCount = featureCount
        self.hiddenSize = hiddenSize
        self.epsilon = epsilon
        embedding = try scope["embedding"].matrix(
            rows: vocabSize, columns: featureCount, reason: "vocab_size \(vocabSize), hidden_size \(featureCount) of the modality")
        hardNorm = try scope["hard_embedding_norm"].vector(count: featureCount)
        softNorm = try scope["soft_embedding_norm"].vector(count: featureCount)
        projection = try scope["embedding_projection"].matrix(
            rows: hiddenSize, columns: featureCount, reason: "text hidden_size \(hiddenSize), modality hidden_size \(featureCount)"
        ).plain
    }

    /// The embedding of a special token of this modality, `[H]`.
    /// - Precondition: `ids.contains(id)`.
    public func hard(_ id: Int) -> [Float] {
        precondition(ids.contains(id), "id \(id) has no embedding here: ids are \(ids)")
        let row = FloatBuffer(count: featureCount)
        embedding.decodeRow(id - ids.lowerBound, into: row.pointer)
        ck_rms_norm_f32(row.pointer, hardNorm.pointer, epsilon, row.pointer, featureCount)
        return [Float](unsafeUninitializedCapacity: hiddenSize) { buffer, count in
            if let out = buffer.baseAddress { project(row.pointer, tokens: 1, into: out, .serial) }
            count = hiddenSize
        }
    }

    /// Soft tokens from encoder features, `[tokens, H]`.
    ///
    /// - Parameter features: `[tokens, D]`, row-major.
    /// - Precondition: `features.count` is a multiple of `D`.
    public func soft(_ features: [Float], _ parallelism: Parallelism = .serial) -> [Float] {
        precondition(features.count % max(featureCount, 1) == 0, "\(features.count) features are no rows of \(featureCount)")
        let tokens = features.count / max(featureCount, 1)
        return [Float](unsafeUninitializedCapacity: tokens * hiddenSize) { buffer, count in
            features.withUnsafeBufferPointer {
                if let x = $0.baseAddress, let y = buffer.baseAddress { soft(x, tokens: tokens, into: y, parallelism) }
            }
            count = tokens * hiddenSize
        }
    }

    /// The same into given memory: `features` `[tokens, D]`, `output` `[tokens, H]`.
    package func soft(
        _ features: UnsafePointer<Float>, tokens: Int, into output: UnsafeMutablePointer<Float>, _ parallelism: Parallelism
    ) {
        let normed = FloatBuffer(count: tokens * featureCount)
        for t in 0..<tokens {
            ck_rms_norm_f32(
                features + t * featureCount, softNorm.pointer, epsilon, normed.pointer + t * featureCount, featureCount)
        }
        project(normed.pointer, tokens: tokens, into: output, parallelism)
    }

    private func project(
        _ x: UnsafePointer<Float>, tokens: Int, into y: UnsafeMutablePointer<Float>, _ parallelism: Parallelism
    ) {
        projection.multiply(x, tokens: tokens, into: y, parallelism)
        for t in 0..<tokens { ck_rms_norm_f32(y + t * hiddenSize, nil, epsilon, y + t * hiddenSize, hiddenSize) }
    }
}
