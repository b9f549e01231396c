/// What belongs to one sequence of tokens: its keys and values, and where it stands.
///
/// Any number of sequences go through the model together in a `TextBatch`, each as if it were alone.
public final class TextSequence {
    /// The model whose slices may run it.
    let whole: TextModel
    /// Positions at most.
    public let contextLength: Int
    /// Tokens of it that may go through the model together.
    public let chunk: Int
    /// How keys and values are kept.
    public let keyValues: KVFormat
    /// Tokens in the caches so far.
    public private(set) var position = 0
    /// Those of the layers that make keys and values: the same ones in every slice.
    let caches: [KVCache]
    /// Positions below this were written at some time; a ring holds the newest of them.
    private(set) var written = 0
    /// Where tokens stood that were taken back by `goBack`.
    private var drafted = 0
    /// Ascending.
    private var checkpoints: [Checkpoint] = []

    /// The rings as they were at a position; what full attention keeps is still there.
    private struct Checkpoint {
        let position: Int
        let written: Int
        /// By the number of the cache; nil for full attention.
        let rings: [KVCache?]
    }

    /// - Parameters:
    ///   - contextLength: Tokens the caches may hold; memory grows as they fill.
    ///   - chunk: Tokens of it that may go through the model together; changes speed and memory, not results.
    ///   - keyValues: How keys and values are kept; `TextModel.defaultKVFormat` if nil.
    public init(_ model: TextModel, contextLength: Int, chunk: Int = 128, keyValues: KVFormat? = nil) {
        let c = model.configuration
        let format = keyValues ?? model.defaultKVFormat
        whole = model.whole
        self.keyValues = format
        self.contextLength = max(1, contextLength)
        self.chunk = max(1, min(chunk, self.contextLength))
        let (contextLength, chunk) = (self.contextLength, self.chunk)
        // A window longer than the context sees all of it.
        let window = min(c.slidingWindow, contextLength)
        caches = (0..<c.firstSharedLayer).map { layer in
            KVCache(
                headCount: c.numKeyValueHeads, headDim: c.headDim, window: c.layerTypes[layer] == .sliding ? window : nil, chunk: chunk,
                contextLength: contextLength, format: format)
        }
    }

    /// Bytes of K/V held now, checkpoints included.
    public var cacheByteCount: Int {
        checkpoints.reduce(caches.reduce(0) { $0 + $1.byteCount }) { sum, point in
            point.rings.reduce(sum) { $0 + ($1?.byteCount ?? 0) }
        }
    }

    /// Bytes of K/V that `count` tokens of such a sequence take.
    public static func cacheByteCount(
        of count: Int, _ model: TextModel, contextLength: Int, chunk: Int = 128, keyValues: KVFormat? = nil
    ) -> Int {
        let c = model.configuration
        let contextLength = max(1, contextLength)
        return (0..<c.firstSharedLayer).reduce(0) { sum, layer in
            sum + KVCache.byteCount(
                headCount: c.numKeyValueHeads, headDim: c.headDim, window: c.layerTypes[layer] == .sliding ? min(c.slidingWindow, contextLength) : nil,
                chunk: max(1, min(chunk, contextLength)), contextLength: contextLength, format: keyValues ?? model.defaultKVFormat, positions: count)
        }
    }

    /// Forgets everything.
    public func reset() {
        position = 0
        written = 0
        checkpoints = []
    }

    /// Forgets the tokens from `newPosition` on, if the sliding caches still hold the window before it.
    ///
    /// - Returns: False, and nothing changes, when they do not: the caller must start again from `reset()`.
    public func rewind(to newPosition: Int) -> Bool {
        guard canRewind(to: newPosition) else { return false }
        position = newPosition
        checkpoints.removeAll { $0.position > newPosition }
        return true
    }

    /// Whether `rewind` would do it.
    public func canRewind(to newPosition: Int) -> Bool {
        guard newPosition >= 0, newPosition <= position else { return false }
        for cache in caches {
            guard let ring = cache.ringLength, let window = cache.window else { continue }
            if max(0, newPosition - window + 1) < written - ring { return false }
        }
        return true
    }

    // MARK: Forks

    /// Checkpoints kept at most: the first, which most others may share, and the newest.
    private static let maximumCheckpoints = 4

    /// Makes it possible to `fork` here later, however many tokens follow. The rings are copied when tokens follow.
    public func makeCheckpoint() {
        if position == 0 || checkpoints.last?.position == position { return }
        let end = position
        checkpoints.append(
            Checkpoint(position: position, written: written, rings: caches.map { $0.window == nil ? nil : KVCache(copying: $0, upTo: end) }))
        if checkpoints.count > Self.maximumCheckpoints { checkpoints.remove(at: 1) }
    }

    /// Whether a sequence of `count` tokens can be forked everywhere, without checkpoints.
    public func forksAnywhere(in count: Int) -> Bool {
        caches.allSatisfy { cache in cache.ringLength.map { $0 >= count } ?? true }
    }

    /// The most tokens, `count` or fewer, that a fork can begin with.
    public func forkPoint(upTo count: Int) -> Int {
        let count = min(count, position)
        if canRewind(to: count) { return count }
        return checkpoints.last { $0.position <= count }?.position ?? 0
    }

    /// A sequence of its own that begins with the first `count` tokens of this one: the same bits, in memory that both share until one
    /// of them stores there.
    ///
    /// - Precondition: `count` is a `forkPoint`.
    public func fork(at count: Int) -> TextSequence {
        if canRewind(to: count) { return TextSequence(copying: self, rings: nil, position: count, written: written) }
        guard let point = checkpoints.last(where: { $0.position == count }) else {
            preconditionFailure("no fork of \(position) tokens at \(count)")
        }
        return TextSequence(copying: self, rings: point.rings, position: count, written: point.written)
    }

    private init(copying other: TextSequence, rings: [KVCache?]?, position: Int, written: Int) {
        whole = other.whole
        contextLength = other.contextLength
        keyValues = other.keyValues
        chunk = other.chunk
        caches = other.caches.enumerated().map { index, cache in KVCache(copying: rings?[index] ?? cache, upTo: position) }
        self.position = position
        self.written = written
        checkpoints = other.checkpoints.filter { $0.position <= position }
    }

    /// `count` more tokens are in the caches.
    func advance(_ count: Int) {
        position += count
        written = max(written, position)
    }

    /// What was restored is in the caches.
    func setPosition(_ position: Int, written: Int) {
        self.position = position
        self.written = written
    }

    // MARK: Guesses

    /// Where a sequence stands, to come back to after tokens that may come to nothing.
    struct Bookmark {
        fileprivate let position: Int
        fileprivate let written: Int
    }

    var bookmark: Bookmark { Bookmark(position: position, written: written) }

    /// Makes what was fed since as if it had never been. Keys and values of the tokens lie where they were: `goForward` takes them again.
    ///
    /// - Precondition: At most `KVCache.draftRoom` tokens more than are taken again were fed since.
    func goBack(to bookmark: Bookmark) {
        drafted = position
        position = bookmark.position
        written = bookmark.written
    }

    /// Takes `count` tokens as fed that were fed before `goBack` by the slice that runs now, after the same tokens.
    func goForward(_ count: Int) {
        advance(count)
        precondition(position <= drafted, "\(position) tokens of \(drafted) that were fed")
    }

    // MARK: What may be fed

    /// - Throws: `contextFull` if `count` more tokens do not fit.
    func checkRoom(for count: Int) throws(GenerationError) {
        guard position + count <= contextLength else {
            throw GenerationError(
                .contextFull,
                "The prompt needs \(position + count) tokens of context, but this session holds \(contextLength). Shorten the prompt or open the session with a longer context.")
        }
    }
}
