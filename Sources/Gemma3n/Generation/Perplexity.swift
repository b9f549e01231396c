internal import CKernels
public import Tensors
internal import Tokenization

/// How well a model foresees a text: `exp` of the mean negative log likelihood of its tokens.
///
/// The text is cut into windows; each begins anew with the beginning-of-sequence token, so that memory stays bounded and every token
/// but the first of a window is judged by what stands before it there.
public struct Perplexity {
    /// Sum of `-ln p` over the tokens judged.
    public private(set) var negativeLogLikelihood = 0.0
    public private(set) var tokens = 0
    /// The tokens the model would have written itself.
    public private(set) var right = 0

    public var value: Double { tokens > 0 ? ck_exp(negativeLogLikelihood / Double(tokens)) : .nan }

    /// - Parameters:
    ///   - window: Tokens of a window, the first one included.
    ///   - progress: Called with the tokens judged so far; false stops.
    /// - Throws: `GenerationError`; `cancelled` if `progress` says so.
    public init(
        of text: String, _ model: Gemma3nModel, window: Int = 512, _ parallelism: Parallelism, progress: (_ done: Int, _ total: Int) -> Bool = { _, _ in true }
    ) throws(GenerationError) {
        let ids = model.tokenizer.encode(text, recognizesSpecialTokens: false)
        guard ids.count > 1 else {
            throw GenerationError(.emptyPrompt, "The text has \(ids.count) tokens; perplexity needs at least 2.")
        }
        let bos = model.tokenizer.bosToken.map { [$0] } ?? []
        let length = max(2, min(window, model.configuration.text.maxPositionEmbeddings)) - bos.count
        let conversation = Conversation(model, contextLength: length + bos.count, parallelism: parallelism)
        var start = 0
        while start < ids.count {
            let part = bos + ids[start..<min(ids.count, start + length)]
            if part.count < 2 { break }
            conversation.reset()
            var sum = 0.0
            var hits = 0
            try conversation.feed(
                EncodedPrompt(tokens: part), wanted: .all, progress: { _, _ in progress(start, ids.count) },
                onLogits: { index, row in
                    guard index + 1 < part.count else { return }
                    let (likelihood, isBest) = Self.judge(row, Int(part[index + 1]))
                    sum -= likelihood
                    if isBest { hits += 1 }
                })
            negativeLogLikelihood += sum
            tokens += part.count - 1
            right += hits
            start += length
        }
    }

    /// The log probability of token `id`, and whether it is the likeliest. `row` is used up.
    private static func judge(_ row: UnsafeMutableBufferPointer<Float>, _ id: Int) -> (Double, Bool) {
        guard let base = row.baseAddress else { return (0, false) }
        var largest = -Float.infinity
        for index in 0..<row.count { largest = max(largest, base[index]) }
        let logit = base[id]
        let sum = ck_exp_sum_f32(base, largest, row.count)
        return (Double(logit - largest) - ck_log(Double(sum)), logit == largest)
    }
}
