/// How far two prompts agree, media included.
public struct CommonBeginning: Sendable, Equatable {
    /// Tokens at the beginning that are the same; never between the soft tokens of one medium.
    public let tokens: Int
    /// Media of those tokens.
    public let images: Int
    public let clips: Int

    /// - Parameter limit: Tokens that count at most.
    public init(of whole: EncodedPrompt, and held: EncodedPrompt, limit: Int, _ c: Gemma3nConfiguration) {
        var common = 0
        let limit = min(limit, whole.tokens.count, held.tokens.count)
        // Soft tokens passed so far: an image or clip is common only if it is the same one.
        var (imageTokens, clipTokens) = (0, 0)
        var (imageStart, clipStart) = (0, 0)
        let (perImage, perClip) = (max(1, c.visionSoftTokensPerImage), max(1, c.audioSoftTokensPerClip))
        while common < limit, held.tokens[common] == whole.tokens[common] {
            let token = held.tokens[common]
            if token == c.imageTokenID, !whole.images.isEmpty {
                if imageTokens % perImage == 0 {
                    imageStart = common
                    let index = imageTokens / perImage
                    guard index < held.images.count, index < whole.images.count, held.images[index] == whole.images[index] else { break }
                }
                imageTokens += 1
            } else if token == c.audioTokenID, !whole.clips.isEmpty {
                if clipTokens % perClip == 0 {
                    clipStart = common
                    let index = clipTokens / perClip
                    guard index < held.clips.count, index < whole.clips.count, held.clips[index] == whole.clips[index] else { break }
                }
                clipTokens += 1
            }
            common += 1
        }
        // Never between the soft tokens of one medium.
        if imageTokens % perImage != 0 {
            common = min(common, imageStart)
            imageTokens -= imageTokens % perImage
        }
        if clipTokens % perClip != 0 {
            common = min(common, clipStart)
            clipTokens -= clipTokens % perClip
        }
        tokens = common
        images = min(whole.images.count, imageTokens / perImage)
        clips = min(whole.clips.count, clipTokens / perClip)
    }
}

extension EncodedPrompt {
    /// What follows a beginning.
    public func dropping(_ beginning: CommonBeginning) -> EncodedPrompt {
        EncodedPrompt(
            tokens: Array(tokens[beginning.tokens...]), images: Array(images[beginning.images...]), clips: Array(clips[beginning.clips...]))
    }
}
