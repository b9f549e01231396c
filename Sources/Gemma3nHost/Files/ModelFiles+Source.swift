public import Checkpoint
public import Gemma3n
internal import Tensors
public import Tokenization

extension ModelFiles {
    /// What the model is made of, in whatever files it lies.
    ///
    /// - Parameter modalities: A projector file is opened only if it holds something that is asked for.
    /// - Throws: Every error of files, configuration, tokenizer and headers.
    public func source(modalities: Modalities = .all) throws(CheckpointError) -> ModelSource {
        guard let gguf else {
            return try ModelSource { name throws(CheckpointError) in try regionIfPresent(name) }
        }
        let file = try GGUFFile(bytes: try region(gguf.model), name: gguf.model)
        guard let name = gguf.projector, !modalities.isEmpty else { return try ModelSource(gguf: file) }
        let projector = try GGUFFile(bytes: try region(name), name: name)
        if !gguf.isProjectorGiven, !ModelSource.isProjector(projector) {
            var source = try ModelSource(gguf: file)
            source.warn("\(name) beside the model is no projector file of a Gemma 3n and was left alone. Name the right one with --mmproj.")
            return source
        }
        return try ModelSource(gguf: file, projector: projector)
    }

    /// The tokenizer alone; no weights are opened.
    /// - Throws: Every error of files and tokenizer.
    public func tokenizer() throws(CheckpointError) -> Tokenizer {
        guard let gguf else {
            return try ModelSource.tokenizer { name throws(CheckpointError) in try regionIfPresent(name) }
        }
        return try ModelSource.tokenizer(gguf: GGUFFile(bytes: try region(gguf.model), name: gguf.model))
    }
}
