internal import ArgumentParser
internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost

/// `gemma3n batch`: a line in, a line out.
struct BatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "batch", abstract: "Answers lines of JSON with lines of JSON, many at a time, in order.",
        discussion: """
            echo '"Tell me the opposite of loud."' | gemma3n batch
            gemma3n batch gemma-3n-E4B-it --max-tokens 100 --output answers.jsonl < questions.jsonl

            A line is a string, {"prompt": …}, {"messages": […]}, or a line of OpenAI's batch files. Beside prompt and messages may stand id, \
            max_tokens, temperature, seed, stop, response_format, size and what else docs/batch.md lists. For every line comes one, in order:

              {"line": 1, "id": …, "text": …, "finish_reason": …, "usage": {…}}
              {"line": 2, "id": …, "error": {"code": …, "message": …}}

            With --output, the same command goes on where an interrupted one ended. Exit code: 0 if every line was answered, 2 if some failed.
            """)

    @Argument(help: ArgumentHelp("The model's directory or GGUF file, if it is not the demo model.", valueName: "model"))
    var path: String?

    @OptionGroup(title: "Lines") var batch: BatchOptions
    @OptionGroup(title: "Sampling") var sampling: SamplingArguments
    @OptionGroup(title: "Shape") var shape: ShapeOptions
    @OptionGroup(title: "Model") var model: ModelOptions
    @OptionGroup(title: "Size") var size: SliceOptions
    @OptionGroup(title: "Size") var wishes: SizeWishOptions

    /// Lines in hand for each that is computed, or MiB of them: a long answer holds those behind it back no sooner.
    private static let linesInHand = 4

    func run() async throws {
        let output = try batch.output.map { try BatchOutput(path: $0) } ?? BatchOutput()
        let model = try await model.open(model.directory ?? path, size: size.atOpening)
        var options = sampling.options
        options.shape = try shape.shape()
        options.size = try size.choice(model)
        options.sizeWishes = wishes.wishes
        let reader = BatchRequestReader(
            options: options, system: batch.system, seed: sampling.seed ?? 0, lineLimit: batch.maxLine?.bytes ?? 16 << 20)
        let window = batch.parallel * Self.linesInHand
        // Lines have a beginning in common with their neighbours, if at all: more would be searched in vain, and fill the memory.
        let limits = EngineLimits(maximumRunning: batch.parallel, maximumQueued: window, maximumKept: 2 * batch.parallel)
        let room = EngineRoom(model, limits: limits)

        Interrupts.shared.handle { output.interrupt() }
        var meter = BatchMeter(failed: output.failed)
        let lines = NumberedLines(limit: reader.lineLimit)
        try lines.skip(output.answered)
        try await OrderedPipeline.run(
            window: window, next: lines.next, size: { line, _ in 1 + line.bytes.count >> 20 },
            start: { [room] line, number in
                let (id, request) = reader.read(line, number: number)
                return Self.answer(request, room, line: number, id: id)
            },
            write: { record in
                try output.write(record)
                meter.add(record)
            })
        meter.end()
        Interrupts.shared.stopHandling()
        if batch.stats { Output.writeError("\(meter.summary)\n\(memorySummary(model))") }
        if meter.failed > 0 { throw ExitCode(2) }
    }

    /// Takes a request on at once; what it returns waits for the answer.
    private static func answer(
        _ request: Result<AnswerRequest, BatchFailure>, _ room: EngineRoom, line: Int, id: JSONValue
    ) -> @Sendable () async -> BatchRecord {
        let stream = request.flatMap { request in
            Result { () throws(SessionError) in try room.answer(request) }.mapError { BatchFailure($0) }
        }
        return {
            var result: Result<Response, BatchFailure>
            do {
                result = .success(try await stream.get().collect())
            } catch let failure as BatchFailure {
                result = .failure(failure)
            } catch let error as SessionError {
                result = .failure(BatchFailure(error))
            } catch {
                result = .failure(BatchFailure(.internalError, "The answer was not finished."))
            }
            return BatchRecord(line: line, id: id, result: result)
        }
    }
}

/// What `batch` alone has.
struct BatchOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The file for records instead of standard output. Records in it are kept, and their lines skipped.", valueName: "file"))
    var output: String?
    @Option(help: ArgumentHelp("Lines that are answered together.", valueName: "n")) var parallel = EngineLimits().maximumRunning
    @Option(help: ArgumentHelp("A line at most, such as 1MB; a longer one fails. 16MiB by default.", valueName: "size")) var maxLine: MemorySize?
    @Option(help: ArgumentHelp("Instructions the model gets before lines that have none of their own; none by default.", valueName: "text"))
    var system: String?
    @Flag(help: "Print what the lines cost to standard error.") var stats = false

    func validate() throws {
        guard (1...256).contains(parallel) else { throw ValidationError("--parallel is \(parallel), expected 1 to 256.") }
    }
}
