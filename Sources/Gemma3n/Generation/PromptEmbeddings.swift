/// Where the embeddings of a prompt's tokens come from that are no rows of the table.
struct PromptEmbeddings {
    private let plan: [Int: Gemma3nModel.EmbeddingSource]
    private let soft: SoftTokens
    private let hiddenSize: Int

    /// - Parameters:
    ///   - tokens: Of the prompt, or with tokens of no media before them.
    ///   - soft: The encoded media of the prompt; called when the numbers of tokens and media fit.
    /// - Throws: `mediaMismatch`, `missingModality`, what `soft` throws.
    init(
        _ model: Gemma3nModel, _ tokens: [Int32], _ prompt: EncodedPrompt, soft: () throws(GenerationError) -> SoftTokens
    ) throws(GenerationError) {
        plan = try model.embeddingPlan(tokens, prompt)
        self.soft = try soft()
        let c = model.configuration
        hiddenSize = c.text.hiddenSize
        guard self.soft.images.count == prompt.images.count * c.visionSoftTokensPerImage * hiddenSize,
            self.soft.clips.count == prompt.clips.count * c.audioSoftTokensPerClip * hiddenSize
        else {
            throw GenerationError(
                .mediaMismatch,
                "The soft tokens given are not those of this prompt's \(prompt.images.count) pictures and \(prompt.clips.count) sounds. Encode the media of the same prompt.")
        }
    }

    /// Writes the embedding of token `index`, `D` values, if it is no row of the table.
    func write(_ index: Int, into e: UnsafeMutablePointer<Float>) -> Bool {
        guard let source = plan[index] else { return false }
        func copy(_ values: [Float], row: Int) {
            values.withUnsafeBufferPointer { e.update(from: $0.baseAddress.unsafelyUnwrapped + row * hiddenSize, count: hiddenSize) }
        }
        switch source {
        case .image(let row): copy(soft.images, row: row)
        case .audio(let row): copy(soft.clips, row: row)
        case .hard(let vector): copy(vector, row: 0)
        }
        return true
    }
}
