/// Soft tokens of a conversation's media by their places in it, within a budget.
package struct KnownSoftTokens {
    package private(set) var images: [Int: (medium: RGBImage, soft: [Float])] = [:]
    package private(set) var clips: [Int: (medium: AudioClip, soft: [Float])] = [:]
    private let budget: Int
    private var byteCount = 0

    init(budget: Int) {
        self.budget = budget
    }

    /// Takes what was known, as far as there is room for it.
    package mutating func restore(
        images: [Int: (medium: RGBImage, soft: [Float])], clips: [Int: (medium: AudioClip, soft: [Float])]
    ) {
        (self.images, self.clips) = (images, clips)
        byteCount = 4 * (images.values.reduce(0) { $0 + $1.soft.count } + clips.values.reduce(0) { $0 + $1.soft.count })
        shrink()
    }

    mutating func forget() {
        images = [:]
        clips = [:]
        byteCount = 0
    }

    /// - Parameters:
    ///   - firstImage, firstClip: Places of the prompt's first picture and sound in the conversation.
    ///   - encode: Encodes what is not known.
    mutating func softTokens(
        of prompt: EncodedPrompt, firstImage: Int, firstClip: Int, encode: (EncodedPrompt) throws(GenerationError) -> SoftTokens
    ) throws(GenerationError) -> SoftTokens {
        var missing = EncodedPrompt(tokens: [])
        let foundImages = prompt.images.enumerated().map { index, image in images[firstImage + index].flatMap { $0.medium == image ? $0.soft : nil } }
        let foundClips = prompt.clips.enumerated().map { index, clip in clips[firstClip + index].flatMap { $0.medium == clip ? $0.soft : nil } }
        for (image, found) in zip(prompt.images, foundImages) where found == nil { missing.images.append(image) }
        for (clip, found) in zip(prompt.clips, foundClips) where found == nil { missing.clips.append(clip) }
        var encoded = SoftTokens()
        if !missing.images.isEmpty || !missing.clips.isEmpty { encoded = try encode(missing) }
        let perImage = missing.images.isEmpty ? 0 : encoded.images.count / missing.images.count
        let perClip = missing.clips.isEmpty ? 0 : encoded.clips.count / missing.clips.count
        var all = SoftTokens()
        var next = 0
        for (index, found) in foundImages.enumerated() {
            let soft = found ?? Array(encoded.images[next * perImage..<(next + 1) * perImage])
            all.images += soft
            if found != nil { continue }
            next += 1
            add(soft, replacing: images[firstImage + index]?.soft)
            images[firstImage + index] = (prompt.images[index], soft)
        }
        next = 0
        for (index, found) in foundClips.enumerated() {
            let soft = found ?? Array(encoded.clips[next * perClip..<(next + 1) * perClip])
            all.clips += soft
            if found != nil { continue }
            next += 1
            add(soft, replacing: clips[firstClip + index]?.soft)
            clips[firstClip + index] = (prompt.clips[index], soft)
        }
        shrink()
        return all
    }

    private mutating func add(_ soft: [Float], replacing old: [Float]?) { byteCount += 4 * (soft.count - (old?.count ?? 0)) }

    /// The oldest go first, pictures before sounds: a sound's last vector depends on those it was encoded with.
    private mutating func shrink() {
        while byteCount > budget, let oldest = images.keys.min() { byteCount -= 4 * (images.removeValue(forKey: oldest)?.soft.count ?? 0) }
        while byteCount > budget, let oldest = clips.keys.min() { byteCount -= 4 * (clips.removeValue(forKey: oldest)?.soft.count ?? 0) }
    }
}
