internal import ArgumentParser
internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost

/// `gemma3n inspect`: what a checkpoint is.
struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Shows architecture, parameters, files and memory of a model.",
        usage: "gemma3n inspect [MODEL] [--json]")

    @Argument(help: ArgumentHelp("The model's directory or GGUF file, if it is not the demo model.", valueName: "model"))
    var directory: String?
    @OptionGroup(title: "Model") var model: ModelOptions
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        let model = try await Gemma3nLanguageModel.open(
            files: try self.model.files(directory ?? self.model.directory), modalities: self.model.modalities?.value ?? .all,
            threads: self.model.threads, contextLength: self.model.context)
        let inspection = try Inspection(model)
        if json {
            Output.line(inspection.json.serialized(indent: 2))
        } else {
            Output.write(inspection.text)
            for warning in model.warnings { Output.warning(warning) }
        }
    }
}
