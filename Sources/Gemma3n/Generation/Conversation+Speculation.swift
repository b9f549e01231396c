internal import Tensors

/// The guesses of one answer.
struct Speculator {
    /// What experience is about: another slice, or another way to count time, begins anew.
    struct Key: Equatable {
        let running: ModelSlice
        let draft: ModelSlice?
        let hasClock: Bool
    }

    let options: Speculation
    /// The slice that guesses; nil if none may.
    let small: TextModel?
    let key: Key
    var controller: SpeculationController
    private(set) var statistics = SpeculationStatistics()
    let clock: (() -> Double)?

    /// Guesses that were computed and not yet compared.
    private var ahead: ArraySlice<Int32> = []
    /// Those of the round that were right so far.
    private var right = 0
    private var source: SpeculationController.Source?
    /// Seconds of passes and of guessing.
    private var spent = 0.0

    init(_ options: Speculation, small: TextModel?, key: Key, _ controller: SpeculationController, _ clock: (() -> Double)?) {
        (self.options, self.small, self.key, self.controller, self.clock) = (options, small, key, controller, clock)
        statistics.draftSlice = small?.slice
    }

    var isOn: Bool { options.method != .off }

    /// Whether `token` is the next guess, so that its logits are there.
    mutating func accepts(_ token: Int32) -> Bool {
        guard let guess = ahead.first else {
            settle()
            return false
        }
        guard guess == token else {
            settle(failed: true)
            return false
        }
        ahead.removeFirst()
        right += 1
        return true
    }

    /// Ends a round: what came of it is known.
    mutating func settle(failed: Bool = false) {
        guard let source else { return }
        let right = right
        controller.learn(source, right: right, failed: failed)
        update(source) { $0.accepted += right }
        let tokens = statistics.plainSteps + statistics.all.rounds + statistics.all.accepted
        if spent > 0, let plain = controller.plainSeconds(tokens) { statistics.gain = plain / spent }
        ahead = []
        self.right = 0
        self.source = nil
    }

    mutating func begin(_ draft: [Int32], from source: SpeculationController.Source, seconds: Double) {
        ahead = draft[...]
        self.source = source
        spent += seconds
        controller.timedRound(seconds, drafted: draft.count)
        update(source) {
            $0.rounds += 1
            $0.drafted += draft.count
        }
    }

    mutating func guessed(_ count: Int, seconds: Double) {
        spent += seconds
        controller.timedGuesses(seconds, count: count)
    }

    mutating func stepped(seconds: Double) {
        spent += seconds
        statistics.plainSteps += 1
        controller.timedPass(seconds)
    }

    private mutating func update(_ source: SpeculationController.Source, _ change: (inout SpeculationStatistics.Drafts) -> Void) {
        if source == .slice { change(&statistics.slice) } else { change(&statistics.lookup) }
    }

    /// What to guess from, how many tokens, and what the earlier text offers.
    ///
    /// - Parameters:
    ///   - found: What the earlier text offers.
    ///   - limit: Tokens at most.
    /// - Returns: Nil for a pass of one token.
    mutating func plan(_ found: (tokens: [Int32], match: Int), limit: Int) -> (source: SpeculationController.Source, count: Int)? {
        let matched = found.tokens.isEmpty ? nil : SpeculationController.Source(match: found.match)
        if !options.adapts {
            if let matched, small == nil || found.match > 1 { return (matched, found.tokens.count) }
            return small == nil ? nil : (.slice, limit)
        }
        if controller.wantsPlainPass { return nil }
        let nothing = (count: 0, gain: 1.0)
        let lookup = matched.map { controller.best($0, limit: found.tokens.count) } ?? nothing
        let slice = small == nil ? nothing : controller.best(.slice, limit: limit)
        if slice.gain > lookup.gain { return (.slice, slice.count) }
        if let matched, lookup.count > 0 { return (matched, lookup.count) }
        if let matched, controller.rests(matched) { return (matched, min(found.tokens.count, SpeculationController.trial)) }
        if small != nil, controller.rests(.slice) { return (.slice, min(limit, SpeculationController.trial)) }
        return nil
    }
}

extension Conversation {
    /// - Throws: `invalidOption`.
    func makeSpeculator(_ options: Speculation, _ clock: (() -> Double)?) throws(GenerationError) -> Speculator {
        let running = decoder.model
        let usesSlice = options.method == .slice || options.method == .automatic
        let small = usesSlice ? try draftModel(options.draftSize, running) : nil
        let key = Speculator.Key(running: running.slice, draft: small?.slice, hasClock: clock != nil)
        if let known = experience(of: key) { return Speculator(options, small: small, key: key, known, clock) }
        let share = small.map { TextWork($0).bytesPerToken / TextWork(running).bytesPerToken } ?? 1
        return Speculator(options, small: small, key: key, SpeculationController(guessShare: share, hasClock: clock != nil), clock)
    }

    /// The slice that guesses for `running`; nil if it has no smaller part that is made for it.
    private func draftModel(_ size: ModelSize?, _ running: TextModel) throws(GenerationError) -> TextModel? {
        let c = running.whole.configuration
        do throws(SliceError) {
            if let size {
                let slice = try size.slice(of: c, grain: running.widthGrain)
                guard slice.isNested(in: running.slice) else {
                    throw SliceError(
                        .unknownSize,
                        "The slice \(slice.name(in: c)) cannot draft for \(running.slice.name(in: c)): it is not a part of it. Give a smaller one.")
                }
                return slice == running.slice ? nil : try running.sliced(slice)
            }
            for slice in [PublishedSlice.all.first?.slice(of: c), try ModelSize.half.slice(of: c, grain: running.widthGrain)] {
                if let slice, slice != running.slice, slice.isNested(in: running.slice) { return try running.sliced(slice) }
            }
            return nil
        } catch {
            throw GenerationError(.invalidOption, error.message)
        }
    }

    /// Makes logits for what follows `token`, which was chosen last: they are there, or a pass computes them, and some more if it pays.
    func advance(_ token: Int32, _ answer: Answer, _ speculator: inout Speculator) throws(GenerationError) {
        if speculator.accepts(token) { return takeNextGuess(token) }
        let clock = speculator.clock ?? { 0 }
        let (source, guesses) = speculator.isOn ? try draft(after: token, answer, &speculator) : (nil, [])
        let start = clock()
        if let source, !guesses.isEmpty {
            try feed(token, guesses: guesses)
            speculator.begin(guesses, from: source, seconds: clock() - start)
        } else {
            try feedPending(token)
            speculator.stepped(seconds: clock() - start)
        }
    }

    private func draft(
        after token: Int32, _ answer: Answer, _ speculator: inout Speculator
    ) throws(GenerationError) -> (source: SpeculationController.Source?, tokens: [Int32]) {
        // The last token of an answer is never fed, nor one beyond the context; a pass takes a chunk at most.
        let limit = min(speculator.options.maxDraft, answer.remaining - 1, decoder.contextLength - decoder.position - 1, decoder.chunk - 1)
        guard limit > 0, answer.goesOn(after: token) else { return (nil, []) }
        var found: (tokens: [Int32], match: Int) = ([], 0)
        if speculator.options.method != .slice {
            found = PromptLookup.draft(after: tokens, token, count: limit)
            found.tokens = answer.allowed(found.tokens)
        }
        guard let (source, count) = speculator.plan(found, limit: limit) else { return (nil, []) }
        guard source == .slice, let small = speculator.small else { return (source, Array(found.tokens.prefix(count))) }

        let clock = speculator.clock ?? { 0 }
        let start = clock()
        let (bookmark, running) = (decoder.sequence.bookmark, decoder.model)
        decoder.use(small)
        defer {
            decoder.use(running)
            decoder.sequence.goBack(to: bookmark)
        }
        var copy = answer.choice
        var draft: [Int32] = []
        var passes = 0
        var next = token
        while draft.count < count {
            try decoder.decode(next) { next = answer.guess($0, &copy) }
            passes += 1
            if !answer.goesOn(after: next) { break }
            draft.append(next)
        }
        speculator.guessed(passes, seconds: clock() - start)
        return (.slice, draft)
    }
}
