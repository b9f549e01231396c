internal import Checkpoint
public import Gemma3n
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
    private let pool: ThreadPool

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
    ///   - encoders: How pictures and sound are encoded; see `Gemma3nModel.init`.
    /// - Throws: `assetsUnavailable` with what is wrong, `invalidOption`.
    public init(
        files: ModelFiles, modalities: Modalities = .all, threads: Int? = nil, contextLength: Int? = nil,
        encoders: EncoderPrecision? = nil, decoder: any MediaDecoder = FFmpegDecoder()
    ) throws(SessionError) {
        if let threads, threads < 1 { throw SessionError(.invalidOption, "the number of threads is \(threads), expected at least 1.") }
        pool = ThreadPool(threadCount: threads ?? ProcessorCount.defaultThreadCount)
        let prepare = WeightPreparation(pool.parallelism)
        do throws(CheckpointError) {
            model = try Gemma3nModel(files.source(modalities: modalities), modalities: modalities, prepare: prepare, encoders: encoders)
        } catch {
            // The core knows files by name only; say whose they are.
            throw SessionError(CheckpointError(error.code, file: files.shownName(error.file), error.message))
        }
        // One row of the per-layer table is read for a token; reading ahead would bring in the whole of it.
        for tensor in model.tensors where tensor.name.utf8.reversed().starts(with: "embed_tokens_per_layer.weight".utf8.reversed()) {
            tensor.region.advise(.random, tensor.offset..<tensor.offset + tensor.byteCount)
        }
        self.files = files
        self.decoder = decoder
        let limit = model.configuration.text.maxPositionEmbeddings
        if let contextLength, contextLength < 1 || contextLength > limit {
            throw SessionError(
                .invalidOption, "the context is \(contextLength) tokens, expected 1 to \(limit) (max_position_embeddings in config.json).")
        }
        self.contextLength = contextLength ?? limit
    }

    /// Opens a checkpoint on a thread of its own.
    ///
    /// - Throws: As `init`.
    public static func open(
        files: ModelFiles, modalities: Modalities = .all, threads: Int? = nil, contextLength: Int? = nil,
        encoders: EncoderPrecision? = nil, decoder: any MediaDecoder = FFmpegDecoder()
    ) async throws(SessionError) -> Gemma3nLanguageModel {
        let thread = SessionThread()
        let result: Result<Gemma3nLanguageModel, SessionError> = await withCheckedContinuation { continuation in
            thread.run {
                continuation.resume(
                    returning: Result { () throws(SessionError) in
                        try Gemma3nLanguageModel(
                            files: files, modalities: modalities, threads: threads, contextLength: contextLength, encoders: encoders,
                            decoder: decoder)
                    })
            }
        }
        return try result.get()
    }

    /// Opens the checkpoint in a directory, or a GGUF file, on a thread of its own.
    ///
    /// - Parameter directory: Anything `ModelFiles(path:)` takes.
    /// - Throws: As `init`; `assetsUnavailable` if there is no such directory.
    public static func open(
        directory: String, modalities: Modalities = .all, threads: Int? = nil, contextLength: Int? = nil,
        encoders: EncoderPrecision? = nil, decoder: any MediaDecoder = FFmpegDecoder()
    ) async throws(SessionError) -> Gemma3nLanguageModel {
        let files: ModelFiles
        do throws(CheckpointError) { files = try ModelFiles(path: directory) } catch { throw SessionError(error) }
        return try await open(
            files: files, modalities: modalities, threads: threads, contextLength: contextLength, encoders: encoders, decoder: decoder)
    }
}
