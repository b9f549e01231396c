internal import Constraints
internal import Gemma3n
internal import Synchronization

/// The computing half of an `EngineRoom`. Lives on the engine's thread and is touched nowhere else.
///
/// A step takes one token of every answer under way through the model together, with a bounded piece of the prompts of those that have none
/// yet. Requests join and leave between steps. Rows of a step do not depend on each other, so no answer depends on its company.
final class EngineWork {
    private let model: Gemma3nLanguageModel
    private let limits: EngineLimits
    private let contextLength: Int
    private let cacheBytes: Int
    /// Made with the first request.
    private var batch: TextBatch?
    /// Read, but not among the running: media to encode, or no memory for the caches.
    private var entering: [EnteringAnswer] = []
    /// The oldest first.
    private var running: [RunningAnswer] = []
    private var embeddings: [EmbeddingJob] = []
    /// Of answers that ended.
    private var prefixes: PrefixCache
    private var media: SoftTokenCache
    private var shapes: [(shape: AnswerShape?, tools: ToolCalling?, machine: ConstraintMachine)] = []
    /// The sizes that ran, the one that ran last at the end.
    private var turns: [ModelSlice] = []
    private var counts = EngineCounts()
    /// Tokens of prompts that went through the model.
    private var prefilled = 0
    /// For tests.
    var observer: EngineObserver?

    typealias Ended = (ticket: AnswerTicket, result: Result<(response: Response, rest: String), SessionError>)

    /// Shapes whose machines, with what they learnt, are kept.
    private static let keptShapes = 8

    init(_ model: Gemma3nLanguageModel, _ limits: EngineLimits, contextLength: Int) {
        self.model = model
        self.limits = limits
        self.contextLength = contextLength
        prefixes = PrefixCache(model.model.configuration)
        media = SoftTokenCache(limit: min(limits.mediaCacheBytes, model.memoryPlan?.softTokenBudget ?? .max))
        cacheBytes = limits.cacheBytes ?? (model.systemState().memoryAtHand ?? 2 << 30) / 2
    }

    var isIdle: Bool { entering.isEmpty && running.isEmpty && embeddings.isEmpty }

    /// Takes on what was read.
    func join(_ ready: [PreparedAnswer], _ jobs: [EmbeddingJob]) {
        entering += ready.map { EnteringAnswer($0) }
        embeddings += jobs
        model.busyRequests.wrappingAdd(ready.count, ordering: .relaxed)
    }

    /// One pass through the model, and at most one medium through its encoder.
    ///
    /// - Returns: Requests that ended.
    func step() -> [Ended] {
        var ended = enter()
        for answer in running where answer.ticket.isStopped { answer.generation.cancel() }
        let batch = batch ?? model.batch(rows: limits.maximumRunning)
        self.batch = batch
        pass(batch)
        embeddings.removeAll { $0.endsIfStopped() }
        if let job = embeddings.first {
            // Checked when the model was opened.
            let part = (try? model.model.text.sliced(model.slice)) ?? model.model.text
            let done = job.step(part, batch, limit: running.isEmpty ? batch.capacity : limits.prefillTokens) {
                model.sequence(contextLength: contextLength)
            }
            if done { embeddings.removeFirst() }
        }
        running.removeAll { answer in
            guard let outcome = answer.outcome() else { return false }
            if answer.wasAlone, case .success((let response, _)) = outcome {
                model.speeds.learn(answer.slice.slice, tokens: response.tokens.count, seconds: response.statistics.generationSeconds, sharers: 1)
            }
            ended.append((answer.ticket, outcome))
            if answer.generation.error == nil { prefixes.keep(answer.held) }
            return true
        }
        prefixes.shrink(to: cacheBytes - reservedBytes, count: limits.maximumKept)
        model.busyRequests.wrappingSubtract(ended.count, ordering: .relaxed)
        return ended
    }

    /// Adds what was done since the last call.
    func count(into figures: inout EngineFigures) {
        counts.move(into: &figures)
        (figures.mediaHits, figures.mediaMisses, figures.mediaBytes) = (media.hits, media.misses, media.byteCount)
        figures.cacheBytes = running.reduce(prefixes.byteCount) { $0 + $1.generation.sequence.cacheByteCount }
    }

    /// What those that have begun may come to need.
    private var reservedBytes: Int { running.reduce(entering.reduce(0) { $0 + ($1.place?.bytes ?? 0) }) { $0 + $1.reservedBytes } }

    // MARK: Entering

    /// Encodes one medium, and lets those in that are ready, in order.
    private func enter() -> [Ended] {
        var ended: [Ended] = []
        var hasEncoded = false
        var waiting: [EnteringAnswer] = []
        for (index, answer) in entering.enumerated() {
            do throws(SessionError) {
                if answer.ticket.isStopped { throw SessionError(.unsupportedPrompt, "The request was cancelled.") }
                if answer.place == nil {
                    if isWorthWaiting(answer) {
                        waiting.append(answer)
                        continue
                    }
                    if !findPlace(for: answer) {
                        // No memory: nobody overtakes it.
                        waiting += entering[index...]
                        break
                    }
                }
                answer.takeKnown(&media)
                if !answer.isEncoded {
                    if hasEncoded {
                        waiting.append(answer)
                        continue
                    }
                    hasEncoded = true
                    try answer.encodeNext(model, &media)
                }
                if answer.isEncoded { running.append(try start(answer)) } else { waiting.append(answer) }
            } catch {
                ended.append((answer.ticket, answer.ticket.isStopped ? .success((.cancelled, "")) : .failure(error)))
            }
        }
        entering = waiting
        return ended
    }

    /// Tokens that make it worth while to wait for a beginning.
    private static let worthWaiting = 16

    /// Whether another request is computing what this one begins with. Nobody waits for longer than computing it would have taken: as
    /// many tokens of prompts as that is may go through the model in the meantime.
    private func isWorthWaiting(_ answer: EnteringAnswer) -> Bool {
        if let leader = answer.leader {
            let isUnderWay = leader.answer.isPrefilling && running.contains { $0 === leader.answer } && !leader.answer.ticket.isStopped
            let count = leader.answer.generation.tokens.count
            if isUnderWay, count < leader.tokens, let patience = answer.patience, prefilled < patience { return true }
            answer.leader = nil
            if count >= leader.tokens {
                counts.joined += 1
                return false
            }
        }
        if let patience = answer.patience, prefilled >= patience { return false }
        let (whole, slice, scope) = (answer.prepared.whole, answer.prepared.size.slice, answer.ticket.answer.cacheScope)
        let candidates = running.filter { $0.isPrefilling && !$0.generation.isFinished && !$0.ticket.isStopped }
        if candidates.isEmpty { return false }
        let commons = candidates.map { ($0, $0.common(with: whole, slice, scope: scope, model.model.configuration)) }
        guard let (leader, common) = commons.max(by: { $0.1 < $1.1 }), common > leader.generation.tokens.count else { return false }
        let known = prefixes.count(whole, slice, scope: scope, running: running.map(\.held))
        guard common - known >= Self.worthWaiting else { return false }
        leader.prepare(forkAt: common)
        answer.leader = EnteringAnswer.Leader(answer: leader, tokens: common)
        answer.patience = answer.patience ?? prefilled + common - known
        return true
    }

    /// Gives a request caches, with as much of its prompt in them as is known.
    ///
    /// - Returns: False if there is no memory for them now.
    private func findPlace(for answer: EnteringAnswer) -> Bool {
        let whole = answer.prepared.whole
        let slice = answer.prepared.size.slice
        let need = model.cacheByteCount(
            of: min(contextLength, whole.tokens.count + answer.prepared.options.maxTokens), contextLength: contextLength)
        let reserved = reservedBytes
        if reserved > 0, reserved + need > cacheBytes { return false }
        let beginning = prefixes.beginning(
            of: whole, slice, scope: answer.ticket.answer.cacheScope, running: running.map(\.held))
        answer.take(EnteringAnswer.Place(sequence: beginning.sequence ?? model.sequence(contextLength: contextLength), beginning: beginning, bytes: need))
        prefixes.shrink(to: cacheBytes - reserved - need)
        return true
    }

    private func start(_ entering: EnteringAnswer) throws(SessionError) -> RunningAnswer {
        let prepared = entering.prepared
        guard let place = entering.place else { preconditionFailure("no answer starts without caches") }
        do throws(GenerationError) {
            let slice: TextModel
            do throws(SliceError) { slice = try model.model.text.sliced(prepared.size.slice) } catch { throw GenerationError(.invalidOption, error.message) }
            let generation = try Generation(
                model.model, place.sequence, held: place.beginning.tokens, prompt: place.beginning.rest, soft: entering.soft, prepared.options,
                hooks: GenerationHooks(matcher: matcher(prepared)))
            counts.queueSeconds.append(prepared.ticket.seconds)
            counts.promptTokens += prepared.whole.tokens.count
            counts.cachedTokens += place.beginning.tokens.count
            if !place.beginning.tokens.isEmpty { counts.cacheHits += 1 }
            return RunningAnswer(prepared, slice, generation, place, encodeSeconds: entering.seconds, model.model.configuration)
        } catch {
            throw SessionError(error)
        }
    }

    /// The beginning of an answer of the request's shape, or of calls of its tools.
    private func matcher(_ prepared: PreparedAnswer) -> ConstraintMatcher? {
        guard let constraint = prepared.constraint else { return nil }
        let (shape, tools) = (prepared.ticket.answer.options.shape, prepared.ticket.answer.options.tools)
        let machine: ConstraintMachine
        if let index = shapes.firstIndex(where: { $0.shape == shape && $0.tools == tools }) {
            machine = shapes.remove(at: index).machine
        } else {
            machine = ConstraintMachine(constraint, model.tokenVocabulary)
        }
        shapes.append((shape, tools, machine))
        if shapes.count > Self.keptShapes { shapes.removeFirst() }
        return ConstraintMatcher(machine)
    }

    // MARK: A pass

    private func pass(_ batch: TextBatch) {
        let alive = running.filter { !$0.generation.isFinished }
        guard let slice = nextSlice(alive) else { return }
        let group = alive.filter { $0.slice.slice == slice.slice }
        let isAlone = running.count == 1
        var parts: [RunningAnswer] = []
        var rows: [EngineStep.Part] = []
        func add(_ answer: RunningAnswer, limit: Int) {
            let (room, isPrefilling) = (batch.room, answer.isPrefilling)
            guard answer.add(to: batch, limit: limit) else { return }
            parts.append(answer)
            if isPrefilling { prefilled += room - batch.room }
            if observer != nil { rows.append(EngineStep.Part(id: answer.ticket.answer.id, tokens: room - batch.room)) }
        }
        for answer in group where answer.isDecoding { add(answer, limit: 1) }
        let hasDecoding = !parts.isEmpty
        // Tokens that a shape determined.
        for answer in group where !answer.isDecoding && !answer.isPrefilling { add(answer, limit: limits.prefillTokens) }
        addPrompts(group.filter(\.isPrefilling), limit: hasDecoding ? min(batch.room, limits.prefillTokens) : batch.room, batch, add)

        let start = ContinuousClock.now
        var choosing = Duration.zero
        batch.run(slice) { part, _, logits in
            let start = ContinuousClock.now
            parts[part].take(logits)
            choosing += start.duration(to: .now)
        }
        for answer in parts { answer.makeCheckpoint() }
        observer?.didStep(EngineStep(parts: rows))
        for answer in running where !isAlone { answer.wasAlone = false }
        counts.batchSizes.append(parts.count)
        counts.stepSeconds += start.duration(to: .now) / .seconds(1)
        counts.choosingSeconds += choosing / .seconds(1)
    }

    /// Half of the room for the oldest, and for the others the shortest first, so that neither a long prompt nor many short ones keep
    /// anybody waiting for long.
    private func addPrompts(_ prompts: [RunningAnswer], limit: Int, _ batch: TextBatch, _ add: (RunningAnswer, Int) -> Void) {
        guard let oldest = prompts.first else { return }
        let others = prompts.dropFirst().sorted { $0.generation.waitingCount < $1.generation.waitingCount }
        let needed = others.reduce(0) { $0 + $1.generation.waitingCount }
        var left = limit
        for (answer, most) in [(oldest, max((limit + 1) / 2, limit - needed))] + others.map({ ($0, limit) }) where left > 0 {
            let room = batch.room
            add(answer, min(most, left))
            left -= room - batch.room
        }
    }

    /// The size that ran longest ago, of those that are wanted.
    private func nextSlice(_ answers: [RunningAnswer]) -> TextModel? {
        func age(_ answer: RunningAnswer) -> Int { turns.firstIndex(of: answer.slice.slice) ?? -1 }
        guard let next = answers.min(by: { age($0) < age($1) })?.slice else { return nil }
        turns.removeAll { $0 == next.slice }
        turns.append(next.slice)
        return next
    }
}

/// What steps add to the figures.
private struct EngineCounts {
    var promptTokens = 0
    var cachedTokens = 0
    var cacheHits = 0
    var joined = 0
    var queueSeconds: [Double] = []
    var batchSizes: [Int] = []
    var stepSeconds = 0.0
    var choosingSeconds = 0.0

    mutating func move(into figures: inout EngineFigures) {
        figures.promptTokens += promptTokens
        figures.cachedTokens += cachedTokens
        figures.cacheHits += cacheHits
        figures.joined += joined
        for seconds in queueSeconds { figures.queueSeconds.add(seconds) }
        for size in batchSizes { figures.batchSizes.add(Double(size)) }
        figures.stepSeconds += stepSeconds
        figures.choosingSeconds += choosingSeconds
        self = EngineCounts()
    }
}
