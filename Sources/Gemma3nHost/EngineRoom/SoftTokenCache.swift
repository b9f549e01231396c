internal import Gemma3n

/// What media were encoded to, by their content: whoever sends the same picture again does not have it encoded again. What was used longest
/// ago goes first.
struct SoftTokenCache {
    /// What the soft tokens of a model depend on.
    enum Medium: Equatable {
        case image(RGBImage)
        /// Padding can be seen in the last soft token: `length` is that of the longest sound of the prompt, in samples.
        case clip(AudioClip, length: Int)
    }

    private struct Entry {
        let hash: UInt64
        let medium: Medium
        let scope: String?
        let soft: [Float]
        let byteCount: Int
    }

    private let limit: Int
    /// The one used last at the end.
    private var entries: [Entry] = []
    private(set) var byteCount = 0
    private(set) var hits = 0
    private(set) var misses = 0

    /// - Parameter limit: Bytes that media and soft tokens may take.
    init(limit: Int) { self.limit = limit }

    /// - Parameter scope: Others have no use of it.
    mutating func soft(of medium: Medium, scope: String?) -> [Float]? {
        let hash = medium.hash
        guard let index = entries.firstIndex(where: { $0.hash == hash && $0.scope == scope && $0.medium == medium }) else { return nil }
        let entry = entries.remove(at: index)
        entries.append(entry)
        hits += 1
        return entry.soft
    }

    /// Keeps what a medium was just encoded to.
    mutating func add(_ soft: [Float], of medium: Medium, scope: String?) {
        misses += 1
        let count = 4 * soft.count + medium.byteCount
        if count > limit { return }
        entries.append(Entry(hash: medium.hash, medium: medium, scope: scope, soft: soft, byteCount: count))
        byteCount += count
        while byteCount > limit { byteCount -= entries.removeFirst().byteCount }
    }
}

extension SoftTokenCache.Medium {
    fileprivate var hash: UInt64 {
        var hash = ContentHash()
        switch self {
        case .image(let image):
            hash.add(image.width)
            hash.add(image.pixels)
        case .clip(let clip, let length):
            hash.add(length)
            hash.add(clip.samples)
        }
        return hash.value
    }

    fileprivate var byteCount: Int {
        switch self {
        case .image(let image): image.pixels.count
        case .clip(let clip, _): 4 * clip.samples.count
        }
    }
}
