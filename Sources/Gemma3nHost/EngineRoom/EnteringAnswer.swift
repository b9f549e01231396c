internal import Gemma3n

/// A request that was read and whose media are being encoded. Lives on the engine's thread.
final class EnteringAnswer {
    let prepared: PreparedAnswer
    /// Set when there is memory for its caches.
    private(set) var place: Place?
    private(set) var soft = SoftTokens()
    private(set) var seconds = 0.0
    private var images = 0
    private var hasClips = false

    /// What it begins with, and the memory it may come to need.
    struct Place {
        let sequence: TextSequence
        let beginning: PrefixCache.Beginning
        let bytes: Int
    }

    init(_ prepared: PreparedAnswer) { self.prepared = prepared }

    func take(_ place: Place) { self.place = place }

    /// The prompt, without what is in its caches already.
    private var rest: EncodedPrompt { place?.beginning.rest ?? prepared.whole }

    var ticket: AnswerTicket { prepared.ticket }

    var isEncoded: Bool { images == rest.images.count && (hasClips || rest.clips.isEmpty) }

    /// Encodes a picture, or all sounds: those of one prompt are padded to the longest of them.
    func encodeNext(_ model: Gemma3nLanguageModel) throws(SessionError) {
        let start = ticket.seconds
        defer { seconds += ticket.seconds - start }
        var next = EncodedPrompt(tokens: [])
        if images < rest.images.count { next.images = [rest.images[images]] } else { next.clips = rest.clips }
        do throws(GenerationError) {
            defer { if model.releasesEncoders { model.releaseEncoders() } }
            soft.append(try model.model.encodeMedia(next, model.parallelism) { !ticket.isStopped })
        } catch {
            throw SessionError(error)
        }
        if next.images.isEmpty { hasClips = true } else { images += 1 }
    }
}

extension Response {
    /// Of a request that was cancelled before its answer began.
    static let cancelled = Response(
        content: "", finishReason: .cancelled, tokens: [], logProbabilities: [], statistics: ResponseStatistics())
}
