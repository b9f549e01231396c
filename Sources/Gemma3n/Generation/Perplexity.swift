internal import CKernels
public import Tensors
internal import Tokenization

/// How well a model foresees a text: `exp` of the mean negative log likelihood of its tokens.
///
/// The text is cut into windows; each begins anew with the beginning-of-sequence token, so that memory stays bounded and every token
/// but the first of a window is judged by what stands before it there.
public struct Perplexity: Sendable {
    /// Sum of `-ln p` over the tokens judged.
    public private(set) var negativeLogLikelihood = 0.0
    public private(set) var tokens = 0
    /// The tokens the model would have written itself.
    public private(set) var right = 0

    public var value: Double { tokens > 0 ? ck_exp(negativeLogLikelihood / Double(tokens)) : .nan }

    /// Nothing judged yet; `add` judges.
    public init() {}

    /// - Parameters:
    ///   - window: Tokens of a window, the first one included.
    ///   - progress: Called with the tokens judged so far; false stops.
    /// - Throws: `GenerationError`; `cancelled` if `progress` says so.
    public init(
        of text: String, _ model: Gemma3nModel, window: Int = 512, _ parallelism: Parallelism, progress: (_ done: Int, _ total: Int) -> Bool = { _, _ in true }
    ) throws(GenerationError) {
        let windows = try Self.windows(of: text, model, length: window)
        let conversation = Conversation(model, contextLength: windows[0].count, parallelism: parallelism)
        let bos = model.tokenizer.bosToken == nil ? 0 : 1
        let total = windows.reduce(0) { $0 + $1.count - bos }
        var done = 0
        for window in windows {
            try add(window, in: conversation) { progress(done, total) }
            done += window.count - bos
        }
    }

    /// The windows of a text, none longer than the first.
    ///
    /// - Parameter length: Tokens of a window, the beginning-of-sequence token included; fewer if the model takes no more.
    /// - Throws: `emptyPrompt` for a text of fewer than two tokens.
    public static func windows(of text: String, _ model: Gemma3nModel, length: Int = 512) throws(GenerationError) -> [[Int32]] {
        let ids = model.tokenizer.encode(text, recognizesSpecialTokens: false)
        guard ids.count > 1 else {
            throw GenerationError(.emptyPrompt, "The text has \(ids.count) token\(ids.count == 1 ? "" : "s"); perplexity needs at least 2.")
        }
        let bos = model.tokenizer.bosToken.map { [$0] } ?? []
        let count = max(2, min(length, model.configuration.text.maxPositionEmbeddings)) - bos.count
        return stride(from: 0, to: ids.count, by: count).map { bos + ids[$0..<min(ids.count, $0 + count)] }.filter { $0.count > 1 }
    }

    /// Judges the tokens of a window but the first, by the part of the model that `conversation` runs.
    ///
    /// - Parameter shouldContinue: Asked before every chunk.
    /// - Throws: `GenerationError`; `cancelled` if `shouldContinue` said no, and then nothing of the window counts.
    public mutating func add(_ window: [Int32], in conversation: Conversation, shouldContinue: () -> Bool = { true }) throws(GenerationError) {
        conversation.reset()
        var sum = 0.0
        var hits = 0
        try conversation.feed(
            EncodedPrompt(tokens: window), wanted: .all, progress: { _, _ in shouldContinue() },
            onLogits: { index, row in
                guard index + 1 < window.count else { return }
                let (likelihood, isBest) = Self.judge(row, Int(window[index + 1]))
                sum -= likelihood
                if isBest { hits += 1 }
            })
        negativeLogLikelihood += sum
        tokens += window.count - 1
        right += hits
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
