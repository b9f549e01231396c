internal import ArgumentParser
internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost

/// `gemma3n slice`: a part of a nested model as a checkpoint of its own.
struct SliceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "slice", abstract: "Writes a part of a nested model, such as E2B out of E4B, as a checkpoint of its own.",
        usage: "gemma3n slice MODEL OUT --size E2B | --widths LIST | --skip-layers 20-24 | --slice FILE",
        discussion: """
            MODEL is a checkpoint directory, a packed one, or a GGUF file; OUT is written in the same way: the same formats and layout, the \
            encoders of pictures and sound and all other files as they are. Weights are cut, never computed: every number that stays keeps its bytes.

            Commands that run MODEL can also run the part without a file of its own: they take the same options.

            An interrupted run goes on where it stopped when the same command is given again: what is done lies in .OUT.partial beside OUT \
            until then, and can be removed. If MODEL or the part has changed, it starts anew.
            """)

    @Argument(help: ArgumentHelp("A checkpoint directory or a GGUF file.", valueName: "model")) var model: String
    @Argument(help: ArgumentHelp("The directory or GGUF file to write.", valueName: "out")) var output: String
    @OptionGroup var part: SliceOptions
    @Flag(help: "Replace what OUT is now.") var force = false
    @Flag(help: "Print the report as JSON.") var json = false

    func validate() throws {
        guard part.isGiven else { throw ValidationError("Say which part is to be written: --size, --widths, --skip-layers or --slice.") }
    }

    func run() async throws {
        let files = try ModelFiles(path: model)
        if files.gguf != nil, !output.hasSuffix(".gguf") {
            throw CommandError("OUT is '\(output)', but a slice of a GGUF file is one, too. Give a name that ends in .gguf.")
        }
        if files.gguf == nil, output.hasSuffix(".gguf") {
            throw CommandError("OUT is '\(output)', but a slice of a checkpoint directory is one, too. Give another name, and make a GGUF file of it by gemma3n convert.")
        }
        let source = try SlicingSource(files)
        let whole = source.configuration.text
        let slice = try part.slice(of: whole, grain: source.widthGrain) ?? ModelSlice(wholeOf: whole)
        let slicer = try ModelSlicer(source, to: slice)
        let name = slice.name(in: whole)
        if !json {
            Output.writeError("\(model): \(name) of it, \(slice.layers.count) of \(whole.numHiddenLayers) layers, \(megabytes(slicer.byteCount))\n")
        }

        let stop = Stop()
        Interrupts.shared.handle { stop.set() }
        defer { Interrupts.shared.stopHandling() }
        let meter = ProgressMeter()
        let report: SlicingReport
        do {
            report = try slicer.write(to: output, replace: force) { progress in
                meter.show(progress.tensor, done: progress.done, total: progress.total)
                return !stop.isSet
            }
            meter.end()
        } catch is CancellationError {
            meter.end()
            throw CommandError("stopped; the same command goes on from here.")
        } catch let error as FileError where error.code == .diskFull {
            meter.end()
            throw CommandError("\(error.message) Nothing is left under the name '\(output)'; with more room the same command goes on.")
        }

        let parameters = slicer.configuration.effectiveParameterCount
        if json {
            func number(_ value: Int) -> JSONValue { .number(JSONNumber(value)) }
            let result: JSONValue = [
                "slice": .string(name), "effective_parameters": number(parameters), "widths": .array(slicer.configuration.intermediateSize.map(number)),
                "skip_layers": .array(slice.leftOut.map(number)), "file_bytes": number(report.fileBytes), "resumed_at": number(report.resumedAt),
                "seconds": .number(JSONNumber(report.seconds)), "notes": .array(report.notes.map { .string($0) }),
            ]
            Output.line(result.serialized(indent: 2))
            return
        }
        let resumed = report.resumedAt > 0 ? ", of which \(megabytes(report.resumedAt)) were there from an earlier run" : ""
        Output.line("\(name): \(millions(parameters)) of \(millions(whole.effectiveParameterCount)) million effective parameters")
        Output.line("\(megabytes(report.fileBytes)) written in \(fixed(report.seconds, 1)) s\(resumed)")
        for note in report.notes { Output.line("note: \(note)") }
    }

    private func millions(_ count: Int) -> String { fixed(Double(count) / 1e6, count < 10_000_000 ? 3 : 0) }
}
