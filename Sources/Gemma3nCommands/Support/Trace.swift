internal import Checkpoint
package import Gemma3n
package import Gemma3nHost
internal import Tensors

/// Runs a prompt greedily and keeps everything worth comparing.
package final class Trace {
    private let model: Gemma3nLanguageModel
    private let taps: Taps?
    private let slice: ModelSlice?
    package private(set) var inputIDs: [Int32] = []
    package private(set) var greedyIDs: [Int32] = []
    /// In the order in which they are written.
    package private(set) var tensors: [(name: String, shape: [Int], values: [Float])] = []

    /// - Parameter slice: The part of the model that runs; all of it if nil.
    package init(_ model: Gemma3nLanguageModel, taps: Bool, slice: ModelSlice? = nil) {
        self.model = model
        self.slice = slice
        self.taps = taps ? Taps() : nil
    }

    /// - Throws: `GenerationError`: a prompt with the tokens asked for must fit the context; `SliceError`.
    package func run(_ prompt: EncodedPrompt, maxTokens: Int) throws {
        inputIDs = prompt.tokens
        let count = prompt.tokens.count
        let needed = count + max(0, maxTokens - 1)
        guard needed <= model.contextLength else {
            throw GenerationError(
                .contextFull,
                "The prompt of \(count) tokens and \(maxTokens) more need \(needed) tokens of context, but there are \(model.contextLength). Shorten the prompt or pass a smaller --max-tokens.")
        }
        // With taps the whole prompt is one chunk, so that every state comes as one tensor.
        let conversation = Conversation(
            model.model, contextLength: model.contextLength, chunk: taps == nil ? 128 : max(1, count), parallelism: model.parallelism)
        if let slice { try conversation.use(slice) }
        let vocabulary = model.model.configuration.text.vocabSize
        var logits = [Float](repeating: 0, count: count * vocabulary)
        let media = Taps()
        let soft = try model.model.encodeMedia(prompt, taps: media, model.parallelism)
        try conversation.feed(
            prompt, softTokens: soft, taps: taps, wanted: .all,
            onLogits: { index, row in
                logits.withUnsafeMutableBufferPointer { all in
                    for v in 0..<vocabulary { all[index * vocabulary + v] = row[v] }
                }
            })
        tensors.append(("logits", [count, vocabulary], logits))

        var steps: [Float] = []
        for step in 0..<maxTokens {
            guard let row = conversation.nextLogits else { break }
            steps += row
            let token = Int32(truncatingIfNeeded: largest(row))
            greedyIDs.append(token)
            if step + 1 < maxTokens { try conversation.feed(EncodedPrompt(tokens: [token])) }
        }
        if maxTokens > 0 { tensors.append(("step_logits", [greedyIDs.count, vocabulary], steps)) }

        collect(media)
        for entry in taps?.entries ?? [] { tensors.append((entry.name, entry.shape, entry.values)) }
    }

    /// The inputs and outputs of the encoders always, their inner states only when asked for; those of the first picture.
    private func collect(_ media: Taps) {
        let always: Set = ["pixel_values", "input_features", "image_soft_tokens", "audio_soft_tokens"]
        var names: Set<String> = []
        for entry in media.entries where (taps != nil || always.contains(entry.name)) && names.insert(entry.name).inserted {
            tensors.append((entry.name, entry.shape, entry.values))
        }
    }

    /// The first of the largest.
    private func largest(_ row: [Float]) -> Int {
        var best = 0
        row.withUnsafeBufferPointer { row in
            for v in 1..<max(1, row.count) where row[v] > row[best] { best = v }
        }
        return best
    }

    /// Writes the tensors, whole or not at all.
    /// - Throws: `FileError`.
    package func write(to path: String) throws(FileError) {
        let entries = tensors.map { SafeTensorsWriter.Entry(name: $0.name, shape: $0.shape) }
        var file = try AtomicFile(path: path)
        try file.write(
            SafeTensorsWriter.header(entries, metadata: [("format", "pt"), ("producer", "gemma3n \(Gemma3nCommand.version)"), ("checkpoint", model.files.name)]))
        for tensor in tensors { try file.write(littleEndian(tensor.values)) }
        try file.commit()
    }

    private func littleEndian(_ values: [Float]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: values.count * 4) { bytes, count in
            for (i, value) in values.enumerated() {
                let bits = value.bitPattern.littleEndian
                withUnsafeBytes(of: bits) { UnsafeMutableRawBufferPointer(bytes)[(i * 4)..<(i * 4 + 4)].copyBytes(from: $0) }
            }
            count = values.count * 4
        }
    }
}
