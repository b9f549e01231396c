internal import ArgumentParser
internal import Gemma3nHost

/// How answers are made.
struct SamplingArguments: ParsableArguments {
    @Option(help: ArgumentHelp("Tokens of an answer at most; by default as many as the context has room for.", valueName: "n"))
    var maxTokens: Int?

    @Option(help: ArgumentHelp("0 always takes the likeliest token; the checkpoint's own default otherwise, as for all that follow.", valueName: "t"))
    var temperature: Double?

    @Option(help: ArgumentHelp("Draw from the k likeliest tokens; 0 is all.", valueName: "k"))
    var topK: Int?

    @Option(help: ArgumentHelp("Draw from the likeliest tokens that together reach this probability.", valueName: "p"))
    var topP: Double?

    @Option(help: ArgumentHelp("Draw from tokens at least this fraction as likely as the likeliest.", valueName: "p"))
    var minP: Double?

    @Option(help: ArgumentHelp("The same seed gives the same answer.", valueName: "n"))
    var seed: UInt64?

    @Option(help: ArgumentHelp("Text that ends the answer; may be given several times.", valueName: "text"))
    var stop: [String] = []

    func validate() throws {
        if let maxTokens, maxTokens < 0 { throw ValidationError("--max-tokens is \(maxTokens), expected 0 or more.") }
        if let temperature, !(temperature >= 0 && temperature.isFinite) { throw ValidationError("--temperature is \(temperature), expected 0 or more.") }
        if let topK, topK < 0 { throw ValidationError("--top-k is \(topK), expected 0 or more.") }
        if let topP, !(topP > 0 && topP <= 1) { throw ValidationError("--top-p is \(topP), expected a probability above 0 and at most 1.") }
        if let minP, !(minP >= 0 && minP <= 1) { throw ValidationError("--min-p is \(minP), expected a probability from 0 to 1.") }
    }

    var options: ResponseOptions {
        var options = ResponseOptions(temperature: temperature, maximumResponseTokens: maxTokens)
        options.topK = topK
        options.topP = topP
        options.minP = minP
        options.seed = seed
        options.stopStrings = stop
        return options
    }
}
