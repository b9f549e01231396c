internal import ArgumentParser
internal import Gemma3n
internal import Gemma3nHost

/// What `--size auto` heeds.
struct SizeWishOptions: ParsableArguments {
    @Option(name: .customLong("ms-per-token"), help: ArgumentHelp("With --size auto: milliseconds that a token of the answer may take.", valueName: "n"))
    var millisecondsPerToken: Double?

    @Option(help: ArgumentHelp("With --size auto: draft, where speed counts, or reason, where quality does.", valueName: "task"))
    var task: TaskName?

    func validate() throws {
        if let millisecondsPerToken, !(millisecondsPerToken > 0 && millisecondsPerToken.isFinite) {
            throw ValidationError("--ms-per-token is \(millisecondsPerToken), expected a number above 0.")
        }
    }

    var wishes: SizeWishes { SizeWishes(millisecondsPerToken: millisecondsPerToken, task: task?.task) }

    /// `draft` or `reason`.
    struct TaskName: ExpressibleByArgument {
        let task: SizeWishes.Task

        init?(argument: String) {
            guard let task = SizeWishes.Task(rawValue: argument) else { return nil }
            self.task = task
        }
    }
}

/// `keep` or `recompute`.
struct SwitchingName: ExpressibleByArgument {
    let value: SizeSwitching

    init(_ value: SizeSwitching) { self.value = value }

    init?(argument: String) {
        guard let value = SizeSwitching(rawValue: argument) else { return nil }
        self.value = value
    }

    var defaultValueDescription: String { value.rawValue }
}
