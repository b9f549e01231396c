internal import ArgumentParser
internal import Checkpoint
package import Gemma3n
package import Gemma3nHost
internal import Tokenization

/// `gemma3n trace`: what the model computes for a prompt, for comparison with other implementations.
struct TraceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace", abstract: "Writes logits and intermediate states of a prompt to a file.",
        usage: "gemma3n trace [MODEL] --messages FILE --output OUT.safetensors [--taps] [--max-tokens N] [--size SIZE]",
        discussion: """
            FILE is a JSON array of chat messages, or {"input_ids": [...]}. Media are named by paths (looked for beside FILE if not \
            found from here), file: URLs or data: URLs. Decoding is greedy over the whole vocabulary and does not stop at end tokens.

            Tensors, float32: logits [T, V] of every prompt token; step_logits [N, V], row i chose greedy token i; pixel_values, \
            input_features, image_soft_tokens, audio_soft_tokens where they apply; with --taps the states after every block.
            Prints {"input_ids", "greedy_ids", "text"}.
            """)

    @Argument(help: ArgumentHelp("The model's directory or GGUF file, if it is not the demo model.", valueName: "model"))
    var directory: String?
    @Option(help: ArgumentHelp("The prompt.", valueName: "file")) var messages: String
    @Option(help: ArgumentHelp("Where the tensors go.", valueName: "file")) var output: String
    @Flag(help: "Record the state after every block, too.") var taps = false
    @Option(help: ArgumentHelp("Tokens to generate.", valueName: "n")) var maxTokens = 24
    @OptionGroup(title: "Model") var model: ModelOptions
    @OptionGroup(title: "Size") var slice: SliceOptions

    func validate() throws {
        if maxTokens < 0 { throw ValidationError("--max-tokens is \(maxTokens), expected 0 or more.") }
    }

    func run() async throws {
        try AtomicFile.check(path: output)
        let model = try await model.open(directory ?? self.model.directory, size: slice.atOpening)
        let text = model.model.text
        let slice = try slice.slice(of: text.configuration, grain: text.widthGrain)
        let trace = Trace(model, taps: taps, slice: slice)
        try trace.run(try TraceInput.read(messages, model), maxTokens: maxTokens)
        try trace.write(to: output)
        let ids = { (ids: [Int32]) -> JSONValue in .array(ids.map { .number(JSONNumber(Int($0))) }) }
        var printed: [JSONObject.Member] = [
            .init(key: "input_ids", value: ids(trace.inputIDs)), .init(key: "greedy_ids", value: ids(trace.greedyIDs)),
            .init(key: "text", value: .string(model.model.tokenizer.decode(trace.greedyIDs, skipSpecialTokens: false))),
        ]
        if let slice { printed.append(.init(key: "slice", value: slice.json)) }
        Output.line(JSONValue.object(JSONObject(printed)).serialized())
    }
}

/// What a trace starts from.
package enum TraceInput {
    /// Reads a messages file.
    ///
    /// - Throws: `FileError`, `CheckpointError` for bad JSON, `SessionError`, `MediaError`, `GenerationError`.
    package static func read(_ path: String, _ model: Gemma3nLanguageModel) throws -> EncodedPrompt {
        let bytes = path == "-" ? Output.readInput() : try readFile(path)
        let json = try JSONValue.parse(bytes, file: path)
        if json.object != nil, let list = json["input_ids"] { return EncodedPrompt(tokens: try ids(list, path, model)) }
        let folder = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[...$0]) } ?? ""
        let list = json["messages"] ?? json
        let messages = try MessageInput.parse(list, file: path) { name in
            name.hasPrefix("/") || fileExists(name) ? name : folder + name
        }
        var decoded: [ModelMessage] = []
        for message in messages {
            decoded.append(ModelMessage(message.role, try message.content.decoded(by: model.decoder)))
        }
        return try PromptEncoder(model.model, recognizesSpecialTokens: true).encode(decoded)
    }

    private static func ids(_ json: JSONValue, _ path: String, _ model: Gemma3nLanguageModel) throws -> [Int32] {
        // A batch of one, as the reference's processor gives it, is taken too.
        var json = json
        if let rows = json.array, rows.count == 1, rows[0].array != nil { json = rows[0] }
        guard let list = json.array, !list.isEmpty else {
            throw CommandError("\(path): input_ids is \(json.array == nil ? json.kind : "empty"), expected an array of token ids.")
        }
        let vocabulary = model.model.configuration.text.vocabSize
        return try list.enumerated().map { index, value in
            guard let id = value.int, id >= 0, id < vocabulary else {
                throw CommandError("\(path): input_ids[\(index)] is \(value.serialized()), expected a token id from 0 to \(vocabulary - 1).")
            }
            return Int32(id)
        }
    }
}
