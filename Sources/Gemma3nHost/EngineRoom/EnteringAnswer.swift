internal import Gemma3n

/// A request that was read and whose media are being encoded. Lives on the engine's thread.
final class EnteringAnswer {
    let prepared: PreparedAnswer
    /// Set when there is memory for its caches.
    private(set) var place: Place?
    /// Whose prompt begins as this one does and is under way: it need not be computed twice.
    var leader: Leader?
    /// Until so many tokens of prompts went through the model it waits for a leader; then it could have computed as much itself.
    var patience: Int?
    private(set) var soft = SoftTokens()
    private(set) var seconds = 0.0
    private var images = 0
    private var clips = 0
    /// Of the longest sound of the whole prompt, in samples: all of them are padded to it.
    private let clipLength: Int

    /// What it begins with, and the memory it may come to need.
    struct Place {
        let sequence: TextSequence
        let beginning: PrefixCache.Beginning
        let bytes: Int
    }

    struct Leader {
        let answer: RunningAnswer
        /// Tokens that both begin with.
        let tokens: Int
    }

    init(_ prepared: PreparedAnswer) {
        self.prepared = prepared
        clipLength = prepared.whole.clipLength
    }

    func take(_ place: Place) { self.place = place }

    /// The prompt, without what is in its caches already.
    private var rest: EncodedPrompt { place?.beginning.rest ?? prepared.whole }

    var ticket: AnswerTicket { prepared.ticket }

    var isEncoded: Bool { images == rest.images.count && clips == rest.clips.count }

    /// Takes what is known of the next media.
    func takeKnown(_ known: inout SoftTokenCache) {
        while let next = nextMedium, let values = known.soft(of: next, scope: ticket.answer.cacheScope) { take(values, of: next) }
    }

    /// Encodes the next picture or sound.
    func encodeNext(_ model: Gemma3nLanguageModel, _ known: inout SoftTokenCache) throws(SessionError) {
        guard let next = nextMedium else { return }
        let start = ticket.seconds
        defer { seconds += ticket.seconds - start }
        var prompt = EncodedPrompt(tokens: [])
        switch next {
        case .image(let image): prompt.images = [image]
        case .clip(let clip, _): prompt.clips = [clip]
        }
        let encoded: SoftTokens
        do throws(GenerationError) {
            defer { if model.releasesEncoders { model.releaseEncoders() } }
            encoded = try model.model.encodeMedia(prompt, model.parallelism, clipLength: clipLength) { !ticket.isStopped }
        } catch {
            throw SessionError(error)
        }
        let values = encoded.images + encoded.clips
        known.add(values, of: next, scope: ticket.answer.cacheScope)
        take(values, of: next)
    }

    private var nextMedium: SoftTokenCache.Medium? {
        if images < rest.images.count { return .image(rest.images[images]) }
        return clips < rest.clips.count ? .clip(rest.clips[clips], length: clipLength) : nil
    }

    private func take(_ values: [Float], of medium: SoftTokenCache.Medium) {
        if case .image = medium {
            soft.append(SoftTokens(images: values))
            images += 1
        } else {
            soft.append(SoftTokens(clips: values))
            clips += 1
        }
    }
}

extension EncodedPrompt {
    /// Samples of the longest sound.
    var clipLength: Int { clips.map(\.samples.count).max() ?? 0 }
}

extension Response {
    /// Of a request that was cancelled before its answer began.
    static let cancelled = Response(
        content: "", finishReason: .cancelled, tokens: [], logProbabilities: [], statistics: ResponseStatistics())
}
