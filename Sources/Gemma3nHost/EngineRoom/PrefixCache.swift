internal import Gemma3n

/// Sequences of answers that ended, for requests that begin as they did. What was used longest ago goes first.
struct PrefixCache {
    /// A sequence, what is in it, and the part of the model that made it.
    struct Held {
        let sequence: TextSequence
        let prompt: EncodedPrompt
        let slice: ModelSlice
        let scope: String?
        /// Of the longest sound of the whole prompt: the soft tokens of the others depend on it.
        let clipLength: Int

        /// How far a prompt agrees with it, if it was made by a part of the model that makes the same keys and values.
        func common(
            with whole: EncodedPrompt, _ slice: ModelSlice, scope: String?, limit: Int, _ c: Gemma3nConfiguration
        ) -> CommonBeginning? {
            guard scope == self.scope, slice.makesSameKeyValues(as: self.slice, in: c.text) else { return nil }
            var prompt = prompt
            if clipLength != whole.clipLength { prompt.clips = [] }
            return CommonBeginning(of: whole, and: prompt, limit: limit, c)
        }
    }

    /// What a request begins with.
    struct Beginning {
        /// Nil if nothing is known of it.
        let sequence: TextSequence?
        let tokens: [Int32]
        /// The rest of the prompt.
        let rest: EncodedPrompt
        /// So many tokens were in a cache, more than could be used: others may begin with them, too.
        let missed: Int?
    }

    private let c: Gemma3nConfiguration
    /// The one used last at the end.
    private var kept: [Held] = []

    init(_ c: Gemma3nConfiguration) { self.c = c }

    var byteCount: Int { kept.reduce(0) { $0 + $1.sequence.cacheByteCount } }

    mutating func keep(_ held: Held) {
        if !held.prompt.tokens.isEmpty { kept.append(held) }
    }

    /// Forgets sequences until the others are no more than `count` and hold no more than `bytes`.
    mutating func shrink(to bytes: Int, count: Int? = nil) {
        if let count, kept.count > count { kept.removeFirst(kept.count - count) }
        var held = byteCount
        while held > bytes, !kept.isEmpty { held -= kept.removeFirst().sequence.cacheByteCount }
    }

    /// Where the longest beginning of a prompt is that some sequence holds, and how many tokens would be if there were checkpoints.
    private func search(
        _ whole: EncodedPrompt, _ slice: ModelSlice, scope: String?, _ all: [Held]
    ) -> (best: (index: Int, common: CommonBeginning)?, longest: Int) {
        var best: (index: Int, common: CommonBeginning)?
        var longest = 0
        for (index, held) in all.enumerated() {
            guard var common = held.common(with: whole, slice, scope: scope, limit: whole.tokens.count - 1, c) else { continue }
            longest = max(longest, common.tokens)
            while true {
                // A checkpoint may lie between soft tokens.
                let point = held.sequence.forkPoint(upTo: common.tokens)
                if point == common.tokens { break }
                common = held.common(with: whole, slice, scope: scope, limit: point, c) ?? common
            }
            if common.tokens > best?.common.tokens ?? 0 { best = (index, common) }
        }
        return (best, longest)
    }

    /// Tokens of the longest beginning of a prompt that can be had now.
    func count(_ whole: EncodedPrompt, _ slice: ModelSlice, scope: String?, running: [Held]) -> Int {
        search(whole, slice, scope: scope, kept + running).best?.common.tokens ?? 0
    }

    /// The longest beginning of a prompt that some sequence of its scope holds, made by a part of the model that makes the same keys and
    /// values. A kept sequence that the prompt goes on from is given away; of any other there is a fork.
    ///
    /// - Parameter running: Those of answers under way.
    mutating func beginning(of whole: EncodedPrompt, _ slice: ModelSlice, scope: String?, running: [Held]) -> Beginning {
        let all = kept + running
        let (best, longest) = search(whole, slice, scope: scope, all)
        guard let (index, common) = best else { return Beginning(sequence: nil, tokens: [], rest: whole, missed: longest > 0 ? longest : nil) }
        let held = all[index]
        let isKept = index < kept.count
        if isKept { kept.remove(at: index) }
        let goesOn = isKept && common.tokens == held.sequence.position
        if isKept, !goesOn { kept.append(held) }
        return Beginning(
            sequence: goesOn ? held.sequence : held.sequence.fork(at: common.tokens), tokens: Array(whole.tokens[..<common.tokens]),
            rest: whole.dropping(common), missed: longest > common.tokens ? longest : nil)
    }
}
