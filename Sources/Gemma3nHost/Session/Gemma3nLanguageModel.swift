internal import Checkpoint
internal import Constraints
public import Gemma3n
internal import Synchronization
package import Tensors

/// A checkpoint opened on this machine, with the threads that compute. Open one and share it between sessions.
///
///     let model = try await Gemma3nLanguageModel.open(directory: "gemma-3n-E2B-it")
///     let session = LanguageModelSession(model: model)
///     print(try await session.respond(to: "Why is the sky blue?").content)
///
/// Weights are mapped, not read: opening takes no time and memory for what is not used.
public final class Gemma3nLanguageModel: Sendable {
    public let model: Gemma3nModel
    public let files: ModelFiles
    public let decoder: any MediaDecoder
    /// Tokens of context of a session that does not ask for another number.
    public let contextLength: Int
    /// How keys and values are kept; nil as the model's weights suggest.
    let keyValues: KVFormat?
    /// What keeps the model and one session within the memory that was given; nil without a limit.
    public let memoryPlan: MemoryPlan?
    private let pool: ThreadPool
    private let vocabulary = Mutex<TokenVocabulary?>(nil)
    private let knownFingerprint = Mutex<String?>(nil)

    /// The tokens as constraints see them; made when the first answer of a shape is asked for.
    var tokenVocabulary: TokenVocabulary {
        vocabulary.withLock { vocabulary in
            if let vocabulary { return vocabulary }
            let made = TokenVocabulary(model.tokenizer, endTokens: model.generationConfiguration.eosTokenIDs)
            vocabulary = made
            return made
        }
    }

    /// What tells this model from others; see `ModelFingerprint`.
    var fingerprint: String {
        knownFingerprint.withLock { known in
            if let known { return known }
            let made = ModelFingerprint.digits(of: model)
            known = made
            return made
        }
    }

    /// The part of the model that answers unless a session says otherwise.
    public let slice: ModelSlice
    /// What a memory plan was made for: nothing beyond it may run.
    private let limit: ModelSlice?
    let speeds = DecodeSpeeds()
    /// Answers under way.
    let busyRequests = Atomic<Int>(0)
    private let ladder = Mutex<[SizeCandidate]?>(nil)
    private let system = Mutex<@Sendable () -> SystemState>({ SystemState.current })

    public var threadCount: Int { pool.threadCount }
    package var parallelism: Parallelism { pool.parallelism }
    /// What was found odd but harmless in the checkpoint, one sentence each.
    public var warnings: [String] { model.warnings }

    /// Opens a checkpoint; blocks the caller. See `open(directory:)` for one that does not.
    ///
    /// - Parameters:
    ///   - modalities: What to read besides text; parts left out cost no memory.
    ///   - threads: Threads that compute, all processors by default.
    ///   - contextLength: Tokens of context, the checkpoint's `max_position_embeddings` by default and at most. Memory grows as
    ///     a conversation does.
    ///   - keyValues: How keys and values are kept; by default half precision if the weights are quantised, else float32.
    ///   - encoders: How pictures and sound are encoded; see `Gemma3nModel.init`.
    ///   - memoryLimit: Bytes this process may hold, one session included. What the model needs is planned before its weights are
    ///     read: see `MemoryPlan`. Nil sets no limit.
    ///   - size: The part of the model that answers unless a session says otherwise. A memory limit is then planned for it, as far
    ///     as its weights are used where they lie, and nothing larger runs.
    /// - Throws: `assetsUnavailable` with what is wrong, `invalidOption`; `insufficientMemory` with what would fit.
    public init(
        files: ModelFiles, modalities: Modalities = .all, threads: Int? = nil, contextLength: Int? = nil,
        keyValues: KVFormat? = nil, memoryLimit: Int? = nil, encoders: EncoderPrecision? = nil, size: ModelSize? = nil,
        decoder: any MediaDecoder = FFmpegDecoder()
    ) throws(SessionError) {
        if let threads, threads < 1 { throw SessionError(.invalidOption, "the number of threads is \(threads), expected at least 1.") }
        func named<T>(_ body: () throws(CheckpointError) -> T) throws(SessionError) -> T {
            do throws(CheckpointError) {
                return try body()
            } catch {
                // The core knows files by name only; say whose they are.
                throw SessionError(CheckpointError(error.code, file: files.shownName(error.file), error.message))
            }
        }
        let source = try named { () throws(CheckpointError) in try files.source(modalities: modalities) }
        releaseFreedMemory()
        let longest = source.configuration.text.maxPositionEmbeddings
        if let contextLength, contextLength < 1 || contextLength > longest {
            throw SessionError(
                .invalidOption, "the context is \(contextLength) tokens, expected 1 to \(longest) (max_position_embeddings in config.json).")
        }
        let threadCount = threads ?? ProcessorCount.defaultThreadCount
        let planned = try size.map { size throws(SessionError) in try Self.resolve(size, source) }
        let plan = try memoryLimit.map { limit throws(SessionError) in
            try Self.plan(
                source, files.name, limit: limit, modalities: modalities, threads: threadCount, contextLength: contextLength, keyValues: keyValues,
                encoders: encoders, slice: planned)
        }
        memoryPlan = plan
        self.keyValues = plan?.keyValues ?? keyValues
        self.contextLength = plan?.contextLength ?? contextLength ?? longest
        pool = ThreadPool(threadCount: threadCount)
        // What was copied into the kernels' order is not read again where it lies in the file.
        let prepare = WeightPreparation(pool.parallelism) { region, bytes in region.advise(.unused, bytes) }
        model = try named { () throws(CheckpointError) in try Gemma3nModel(source, modalities: modalities, prepare: prepare, encoders: encoders) }
        if let plan { model.text.limitTableMemory(to: plan.tableBudget) }
        // One row of the per-layer table is read for a token; reading ahead would bring in the whole of it.
        for tensor in model.tensors where tensor.name.utf8.reversed().starts(with: "embed_tokens_per_layer.weight".utf8.reversed()) {
            tensor.advise(.random)
        }
        self.files = files
        self.decoder = decoder
        slice = planned ?? model.text.slice
        limit = plan == nil ? nil : planned
        do throws(SliceError) { _ = try model.text.sliced(slice) } catch { throw SessionError(error) }
    }

    /// Before the weights are read.
    private static func resolve(_ size: ModelSize, _ source: ModelSource) throws(SessionError) -> ModelSlice {
        do throws(SliceError) {
            return try size.slice(of: source.configuration.text, grain: source.widthGrain)
        } catch {
            throw SessionError(error)
        }
    }

    /// - Throws: `insufficientMemory`.
    private static func plan(
        _ source: ModelSource, _ name: String, limit: Int, modalities: Modalities, threads: Int, contextLength: Int?, keyValues: KVFormat?,
        encoders: EncoderPrecision?, slice: ModelSlice?
    ) throws(SessionError) -> MemoryPlan {
        if limit < 1 { throw SessionError(.invalidOption, "the memory limit is \(limit) bytes, expected at least 1.") }
        let held = ProcessFigures.residentBytes
        let needs = MemoryNeeds(source, modalities: modalities, encoders: encoders, threads: threads, held: held, slice: slice)
        let group = MemoryLimit.controlGroup
        let (bound, granted) = group.map { $0 < limit } == true ? (group ?? limit, "this process's control group allows") : (limit, "the limit is")
        let plan = needs.plan(
            limit: bound, contextLength: contextLength, longest: source.configuration.text.maxPositionEmbeddings, keyValues: keyValues)
        if plan.byteCount <= bound { return plan }
        let c = source.configuration.text
        let e2b = slice == nil ? PublishedSlice.all.first?.slice(of: c) : nil
        throw SessionError(
            .insufficientMemory,
            needs.refusal(
                plan, limit: bound, granted: granted, contextLength: contextLength, keyValues: keyValues, modalities: modalities, name: name,
                smaller: e2b.map { ($0.name(in: c), MemoryNeeds(source, modalities: modalities, encoders: encoders, threads: threads, held: held, slice: $0)) }))
    }

    /// A conversation as the options of opening want it.
    package func conversation(contextLength: Int, keyValues: KVFormat? = nil) -> Conversation {
        Conversation(
            model, contextLength: contextLength, chunk: memoryPlan?.chunk ?? Self.defaultChunk, keyValues: keyValues ?? self.keyValues,
            parallelism: parallelism)
    }

    /// The same, with the memory of media that the options of opening leave.
    func cachedConversation(contextLength: Int, keyValues: KVFormat? = nil) -> CachedConversation {
        CachedConversation(
            conversation(contextLength: contextLength, keyValues: keyValues),
            softTokenBudget: memoryPlan?.softTokenBudget ?? CachedConversation.defaultSoftTokenBudget)
    }

    /// The text part of such a conversation, with other threads.
    package func decoder(contextLength: Int, _ parallelism: Parallelism) -> TextDecoder {
        TextDecoder(
            model.text, contextLength: contextLength, chunk: memoryPlan?.chunk ?? Self.defaultChunk, keyValues: keyValues, parallelism: parallelism)
    }

    /// Keys and values of a conversation that goes through the model beside others.
    func sequence(contextLength: Int) -> TextSequence {
        TextSequence(model.text, contextLength: contextLength, chunk: memoryPlan?.chunk ?? Self.defaultChunk, keyValues: keyValues)
    }

    /// Bytes of keys and values that `count` tokens of such a conversation take.
    func cacheByteCount(of count: Int, contextLength: Int) -> Int {
        TextSequence.cacheByteCount(
            of: count, model.text, contextLength: contextLength, chunk: memoryPlan?.chunk ?? Self.defaultChunk, keyValues: keyValues)
    }

    /// What such conversations go through the model in: a chunk of prompts, and a token each of `rows` others.
    func batch(rows: Int) -> TextBatch {
        TextBatch(
            model.text, capacity: (memoryPlan?.chunk ?? Self.defaultChunk) + rows, logitRows: min(rows, Self.logitRows), parallelism: parallelism)
    }

    private static let defaultChunk = 128
    /// Rows of logits that many answers make together.
    private static let logitRows = 32

    /// Whether the encoders' memory is given up after every use: under a tight limit.
    var releasesEncoders: Bool { memoryPlan?.releasesEncoders == true }

    /// Gives up the memory of the encoders until they are used again; see `Gemma3nModel.releaseEncoders`.
    public func releaseEncoders() {
        model.releaseEncoders()
        releaseFreedMemory()
    }

    /// Opens a checkpoint on a thread of its own.
    ///
    /// - Throws: As `init`.
    public static func open(
        files: ModelFiles, modalities: Modalities = .all, threads: Int? = nil, contextLength: Int? = nil,
        keyValues: KVFormat? = nil, memoryLimit: Int? = nil, encoders: EncoderPrecision? = nil, size: ModelSize? = nil,
        decoder: any MediaDecoder = FFmpegDecoder()
    ) async throws(SessionError) -> Gemma3nLanguageModel {
        try await SessionThread().result { () throws(SessionError) in
            try Gemma3nLanguageModel(
                files: files, modalities: modalities, threads: threads, contextLength: contextLength, keyValues: keyValues,
                memoryLimit: memoryLimit, encoders: encoders, size: size, decoder: decoder)
        }
    }

    /// Opens the checkpoint in a directory, or a GGUF file, on a thread of its own.
    ///
    /// - Parameter directory: Anything `ModelFiles(path:)` takes.
    /// - Throws: As `init`; `assetsUnavailable` if there is no such directory.
    public static func open(
        directory: String, modalities: Modalities = .all, threads: Int? = nil, contextLength: Int? = nil,
        keyValues: KVFormat? = nil, memoryLimit: Int? = nil, encoders: EncoderPrecision? = nil, size: ModelSize? = nil,
        decoder: any MediaDecoder = FFmpegDecoder()
    ) async throws(SessionError) -> Gemma3nLanguageModel {
        let files: ModelFiles
        do throws(CheckpointError) { files = try ModelFiles(path: directory) } catch { throw SessionError(error) }
        return try await open(
            files: files, modalities: modalities, threads: threads, contextLength: contextLength, keyValues: keyValues,
            memoryLimit: memoryLimit, encoders: encoders, size: size, decoder: decoder)
    }
}

// MARK: Sizes

extension Gemma3nLanguageModel {
    /// The parts of the model that an automatic choice chooses among, the smallest first, with the speeds measured so far.
    public var sizes: [SizeCandidate] {
        let candidates = ladder.withLock { ladder in
            if let ladder { return ladder }
            let made = SizeLadder.candidates(model.text).filter { candidate in limit.map { candidate.slice.isNested(in: $0) } ?? true }
            // What the plan was made for may be none of them, and smaller than all.
            ladder = made.isEmpty ? [SizeLadder.candidate((try? model.text.sliced(slice)) ?? model.text)] : made
            return ladder ?? []
        }
        return speeds.fillIn(candidates)
    }

    /// The part of this model that a size means.
    ///
    /// - Throws: `invalidOption` if the model has no such part, or was opened with memory for a smaller one.
    public func slice(_ size: ModelSize) throws(SessionError) -> ModelSlice {
        do throws(SliceError) {
            let slice = try size.slice(of: model.text.configuration, grain: model.text.widthGrain)
            if let limit, !slice.isNested(in: limit) {
                let c = model.text.configuration
                throw SliceError(
                    .unknownSize,
                    "\(slice.name(in: c)) is larger than \(limit.name(in: c)), which the memory limit was planned for. Open the model with this size, or without one.")
            }
            _ = try model.text.sliced(slice)
            return slice
        } catch {
            throw SessionError(error)
        }
    }

    func systemState() -> SystemState { system.withLock { $0 }() }

    /// For tests: what the machine says.
    package func useSystem(_ source: @escaping @Sendable () -> SystemState) { system.withLock { $0 = source } }

    /// For tests: as if an answer had taken so long.
    package func learn(_ slice: ModelSlice, secondsPerToken: Double) { speeds.learn(slice, tokens: 101, seconds: 100 * secondsPerToken, sharers: 1) }
}
