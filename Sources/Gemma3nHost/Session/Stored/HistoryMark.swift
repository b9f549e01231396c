internal import Gemma3n

/// Where an answer ended: so many entries of the transcript are so much of the history.
struct HistoryMark: Sendable, Equatable {
    let entries: Int
    let tokens: Int
    let images: Int
    let clips: Int
}

extension HistoryMark {
    init(entries: Int, _ history: EncodedPrompt) {
        self.init(entries: entries, tokens: history.tokens.count, images: history.images.count, clips: history.clips.count)
    }
}

/// What a file holds of a session's computing half.
struct StoredEngine {
    let history: EncodedPrompt
    let marks: [HistoryMark]
    let toldTools: String?
    /// Nil before the first prompt.
    let conversation: CachedConversation?
}
