/// Token ids ready to be fed, and the pictures and sounds their soft tokens stand for, in order of appearance.
public struct EncodedPrompt: Sendable {
    public var tokens: [Int32]
    public var images: [RGBImage]
    /// Each no longer than the model's soft tokens of one clip (see `AudioSplitter`).
    public var clips: [AudioClip]

    public init(tokens: [Int32], images: [RGBImage] = [], clips: [AudioClip] = []) {
        self.tokens = tokens
        self.images = images
        self.clips = clips
    }
}

/// The encoders' answers for one prompt.
public struct SoftTokens: Sendable {
    /// `[N, vision_soft_tokens_per_image, D]`
    public internal(set) var images: [Float] = []
    /// `[N, audio_soft_tokens_per_image, D]`
    public internal(set) var clips: [Float] = []

    public init(images: [Float] = [], clips: [Float] = []) { (self.images, self.clips) = (images, clips) }

    /// Puts those of further media behind these.
    public mutating func append(_ next: SoftTokens) {
        images += next.images
        clips += next.clips
    }
}
