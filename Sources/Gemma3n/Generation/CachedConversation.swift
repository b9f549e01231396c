internal import Tensors

/// A conversation that is given its whole prompt every time and processes only what is new.
///
///     let rest = try cached.advance(to: whole)           // goes back to where `whole` departs from what was fed
///     let soft = try cached.softTokens(of: rest) { missing throws(GenerationError) in try model.encodeMedia(missing, parallelism) }
///     try cached.feed(rest, softTokens: soft)
///
/// Whoever keeps a conversation's tokens and media needs no second path for turns that were cancelled, changed or removed.
public final class CachedConversation {
    public let conversation: Conversation
    /// The media of the tokens that were fed, or were to be fed when a feed ended early, in order.
    public private(set) var images: [RGBImage] = []
    public private(set) var clips: [AudioClip] = []
    /// What media were encoded to.
    package var known: KnownSoftTokens

    /// - Parameter softTokenBudget: Most bytes of soft tokens kept, so that media fed again are not encoded again.
    public init(_ conversation: Conversation, softTokenBudget: Int = CachedConversation.defaultSoftTokenBudget) {
        self.conversation = conversation
        known = KnownSoftTokens(budget: softTokenBudget)
    }

    /// A copy that goes on by itself.
    public init(copying other: CachedConversation) {
        conversation = Conversation(copying: other.conversation)
        images = other.images
        clips = other.clips
        known = other.known
    }

    /// Some thirty pictures of the released checkpoints.
    public static let defaultSoftTokenBudget = 64 << 20

    /// Forgets everything.
    public func reset() {
        conversation.reset()
        images = []
        clips = []
        known.forget()
    }

    /// Says which media those of the tokens are that `conversation.restore` took.
    package func restore(images: [RGBImage], clips: [AudioClip]) { (self.images, self.clips) = (images, clips) }

    /// Makes the caches hold a beginning of `whole`, as long a one as they can, and gives the rest of it.
    ///
    /// A token chosen but not yet fed counts as held; `Conversation.feed` puts it before the rest. At least one token
    /// always remains, so that feeding the rest gives logits.
    ///
    /// - Parameter switching: Whether keys and values made by another part of the model count as held.
    /// - Returns: What is to be fed now, with the media of the rest only.
    public func advance(to whole: EncodedPrompt, switching: SizeSwitching = .recompute) -> EncodedPrompt {
        let c = conversation.model.configuration
        let held = conversation.tokens + conversation.pending
        let exact = conversation.exactTokenCount
        let usable = switching == .keep || exact == conversation.tokens.count ? held.count : exact
        let beginning = CommonBeginning(
            of: whole, and: EncodedPrompt(tokens: held, images: images, clips: clips), limit: min(usable, whole.tokens.count - 1), c)
        var common = beginning.tokens

        if common < held.count {
            // What is pending was never fed: going back to where it would stand only drops it.
            if !conversation.rewind(to: min(common, conversation.tokens.count)) {
                conversation.reset()
                images = []
                clips = []
                return whole
            }
            common = conversation.tokens.count
        }
        images = Array(whole.images.prefix(beginning.images))
        clips = Array(whole.clips.prefix(beginning.clips))
        return EncodedPrompt(
            tokens: Array(whole.tokens[common...]), images: Array(whole.images[images.count...]), clips: Array(whole.clips[clips.count...]))
    }

    /// The soft tokens of what `advance(to:)` gave: known ones where the same medium stood in the same place before.
    ///
    /// - Parameter encode: Encodes media that are not known; not called if there are none.
    /// - Throws: What `encode` throws.
    public func softTokens(
        of rest: EncodedPrompt, encode: (_ missing: EncodedPrompt) throws(GenerationError) -> SoftTokens
    ) throws(GenerationError) -> SoftTokens {
        try known.softTokens(of: rest, firstImage: images.count, firstClip: clips.count, encode: encode)
    }

    /// Feeds what `advance(to:)` gave.
    ///
    /// - Parameters:
    ///   - softTokens: Its encoded media; nil encodes them now.
    ///   - progress: Called before every chunk with the tokens fed and their total; false cancels.
    /// - Throws: What `Conversation.feed` throws. The next `advance(to:)` mends whatever was left behind.
    public func feed(
        _ rest: EncodedPrompt, softTokens: SoftTokens? = nil, wanted: LogitsRequest = .last,
        progress: (_ fed: Int, _ total: Int) -> Bool = { _, _ in true }
    ) throws(GenerationError) {
        images += rest.images
        clips += rest.clips
        try conversation.feed(rest, softTokens: softTokens, wanted: wanted, progress: progress)
    }
}
