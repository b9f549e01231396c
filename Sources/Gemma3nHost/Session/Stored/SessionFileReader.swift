internal import Checkpoint
internal import Gemma3n
internal import Tensors

/// Reads a session's file. Nothing in it is trusted: sizes are compared with what is there before memory is taken.
struct SessionFileReader {
    let state: SessionFile.State
    let transcript: Transcript
    private let file: SafeTensorsFile
    private let others: [String: OtherTensor]
    private let model: Gemma3nLanguageModel
    private let path: String

    /// - Throws: `sessionFile`.
    init(path: String, _ model: Gemma3nLanguageModel) throws(SessionError) {
        let mapped: MappedFile
        do throws(FileError) { mapped = try MappedFile(path: path) } catch { throw SessionError(.sessionFile, error.message) }
        do throws(CheckpointError) {
            file = try SafeTensorsFile(bytes: mapped.region, name: "'\(path)'")
        } catch {
            throw SessionError(.sessionFile, "'\(path)' is no whole file of a session: \(error.message)")
        }
        (self.path, self.model) = (path, model)
        others = Dictionary(file.others.map { ($0.name, $0) }) { first, _ in first }
        guard file.metadata["format"] == SessionFile.format else {
            throw SessionError(.sessionFile, "'\(path)' holds no session. Give a file that a session was saved to.")
        }
        let version = file.metadata["version"] ?? "none"
        guard version == SessionFile.version else {
            throw SessionError(
                .sessionFile, "'\(path)' has the version \(version) of its layout, and this program reads version \(SessionFile.version). Restore it with the program that wrote it.")
        }
        guard Self.hasItsChecksum(mapped.region, others["checksum"]) else {
            throw SessionError(.sessionFile, "'\(path)' is damaged: its checksum is not that of its contents. Was it copied completely?")
        }
        guard file.metadata["model"] == model.fingerprint else {
            throw SessionError(
                .sessionFile,
                "'\(path)' was saved with another model (\(file.metadata["model_name"] ?? "of no name")) than \(model.files.name), or other weights of it. Open the model it was saved with.")
        }
        do throws(SessionFile.Flaw) {
            state = try SessionFile.State(try Self.json("state", others["state"]))
            transcript = try Self.transcript(try Self.json("transcript", others["transcript"]))
        } catch {
            throw Self.damaged(path, error.what)
        }
    }

    /// The engine as it was.
    ///
    /// - Throws: `sessionFile`; `exceededContextWindowSize`, `invalidOption` if the model was opened otherwise than the session needs.
    func engine(contextLength: Int) throws(SessionError) -> SessionEngine {
        let (images, clips) = (try images(), try clips())
        let history = EncodedPrompt(
            tokens: try tokens("history"), images: try pick(state.historyImages, of: images, "history_images"),
            clips: try pick(state.historyClips, of: clips, "history_clips"))
        try check(history)
        let engine = SessionEngine(model, contextLength: contextLength)
        var restored: CachedConversation?
        if let caches = state.caches { restored = try conversation(caches, images, clips, contextLength: contextLength) }
        engine.restore(history: history, marks: state.marks, toldTools: state.toldTools, restored)
        return engine
    }

    private func conversation(
        _ caches: SessionFile.Caches, _ images: [RGBImage], _ clips: [AudioClip], contextLength: Int
    ) throws(SessionError) -> CachedConversation {
        let stored = caches.stored
        guard stored.position <= contextLength else {
            throw SessionError(
                .exceededContextWindowSize,
                "'\(path)' holds \(stored.position) tokens, but the model was opened with a context of \(contextLength). Open it with a longer one.")
        }
        if let wanted = model.keyValues, wanted != stored.format {
            throw SessionError(
                .invalidOption,
                "'\(path)' holds keys and values as \(stored.format.rawValue), but the model was opened to keep them as \(wanted.rawValue). Open it with \(stored.format.rawValue).")
        }
        let cached = model.cachedConversation(contextLength: contextLength, keyValues: stored.format)
        var contents: [UnsafeRawBufferPointer] = []
        for index in 0..<cached.conversation.decoder.sequence.cacheCount {
            guard let bytes = others["kv.\(index)"]?.contents else { throw damaged("kv.\(index) is missing.") }
            contents.append(bytes)
        }
        let fed = Conversation.Stored(tokens: try tokens("fed"), pending: caches.pending, makers: caches.makers, slice: caches.slice)
        do throws(GenerationError) {
            try cached.conversation.restore(fed, stored, from: contents)
        } catch {
            throw damaged(error.message)
        }
        cached.restore(images: try pick(caches.images, of: images, "images"), clips: try pick(caches.clips, of: clips, "clips"))
        cached.known.restore(
            images: try soft(caches.softImages, "soft.image", of: images, tokens: model.model.configuration.visionSoftTokensPerImage),
            clips: try soft(caches.softClips, "soft.clip", of: clips, tokens: model.model.configuration.audioSoftTokensPerClip))
        return cached
    }

    // MARK: Parts

    private func images() throws(SessionError) -> [RGBImage] {
        var images: [RGBImage] = []
        while let tensor = others["image.\(images.count)"] {
            guard tensor.shape.count == 3, tensor.shape[2] == 3, tensor.elementCount > 0, let bytes = bytes(tensor) else {
                throw damaged("\(tensor.name) is no picture.")
            }
            images.append(RGBImage(width: tensor.shape[1], height: tensor.shape[0], pixels: bytes))
        }
        return images
    }

    private func clips() throws(SessionError) -> [AudioClip] {
        var clips: [AudioClip] = []
        while let samples = floats("clip.\(clips.count)") { clips.append(AudioClip(samples: samples)) }
        return clips
    }

    /// What media were encoded to, by place.
    private func soft<Medium>(
        _ places: [SessionFile.Place], _ name: String, of media: [Medium], tokens: Int
    ) throws(SessionError) -> [Int: (medium: Medium, soft: [Float])] {
        var known: [Int: (medium: Medium, soft: [Float])] = [:]
        for place in places {
            guard media.indices.contains(place.medium), let soft = floats("\(name).\(place.place)"),
                soft.count == tokens * model.model.configuration.text.hiddenSize
            else {
                throw damaged("\(name).\(place.place) is missing or of another model.")
            }
            known[place.place] = (media[place.medium], soft)
        }
        return known
    }

    private func pick<Medium>(_ places: [Int], of media: [Medium], _ what: String) throws(SessionError) -> [Medium] {
        var picked: [Medium] = []
        for place in places {
            guard media.indices.contains(place) else { throw damaged("\(what) names medium \(place) of \(media.count).") }
            picked.append(media[place])
        }
        return picked
    }

    /// Soft tokens and media have to match, and marks must lie inside.
    private func check(_ history: EncodedPrompt) throws(SessionError) {
        let c = model.model.configuration
        func fits(_ id: Int32, _ count: Int, _ perMedium: Int) -> Bool {
            count == 0 || history.tokens.reduce(0, { $0 + ($1 == id ? 1 : 0) }) == count * perMedium
        }
        guard history.tokens.allSatisfy({ $0 >= 0 && Int($0) < c.text.vocabSize }),
            fits(c.imageTokenID, history.images.count, c.visionSoftTokensPerImage), fits(c.audioTokenID, history.clips.count, c.audioSoftTokensPerClip)
        else {
            throw damaged("the tokens of the history are not those of its media or of the vocabulary.")
        }
        var last = HistoryMark(entries: 0, tokens: 0, images: 0, clips: 0)
        for mark in state.marks + [HistoryMark(entries: .max, history)] {
            guard mark.entries >= last.entries, mark.tokens >= last.tokens, mark.images >= last.images, mark.clips >= last.clips else {
                throw damaged("the marks of answers are in no order.")
            }
            last = mark
        }
    }

    private func tokens(_ name: String) throws(SessionError) -> [Int32] {
        guard let tensor = others[name], tensor.format == "I32", let numbers = tensor.integers else { throw damaged("\(name) is missing.") }
        return numbers.map { Int32(truncatingIfNeeded: $0) }
    }

    private func floats(_ name: String) -> [Float]? {
        guard let tensor = file[name], tensor.format == .f32, tensor.layout == .rows else { return nil }
        return tensor.decoded()
    }

    private func bytes(_ tensor: OtherTensor) -> [UInt8]? { tensor.format == "U8" ? tensor.bytes : nil }

    private func damaged(_ what: String) -> SessionError { Self.damaged(path, what) }

    private static func damaged(_ path: String, _ what: String) -> SessionError {
        SessionError(.sessionFile, "'\(path)' is damaged, though its checksum fits: \(what)")
    }

    private static func json(_ name: String, _ tensor: OtherTensor?) throws(SessionFile.Flaw) -> JSONValue {
        guard let bytes = tensor?.contents else { throw SessionFile.Flaw("\(name) is missing.") }
        do throws(CheckpointError) { return try JSONValue.parse(bytes, file: name) } catch { throw SessionFile.Flaw(error.description) }
    }

    private static func transcript(_ json: JSONValue) throws(SessionFile.Flaw) -> Transcript {
        if json.array?.isEmpty == true { return Transcript() }
        do throws(SessionError) { return try Transcript(messages: try MessageInput.parse(json)) } catch { throw SessionFile.Flaw(error.message) }
    }

    /// The checksum is the last thing in the file, and of everything before it.
    private static func hasItsChecksum(_ region: ByteRegion, _ checksum: OtherTensor?) -> Bool {
        guard let checksum, checksum.range.count == 8, checksum.range.upperBound == region.count else { return false }
        var hash = ContentHash()
        hash.add(UnsafeRawBufferPointer(rebasing: region.bytes[..<checksum.range.lowerBound]))
        let value = hash.value
        return checksum.bytes.enumerated().allSatisfy { $0.element == UInt8(truncatingIfNeeded: value >> (8 * UInt64($0.offset))) }
    }
}
