internal import Checkpoint
internal import Gemma3n

/// Writes a session's file.
struct SessionFileWriter {
    private enum Content {
        case bytes([UInt8])
        case floats([Float])
        case tokens([Int32])
        case pieces([UnsafeRawBufferPointer])
    }

    private var entries: [SafeTensorsWriter.Entry] = []
    private var contents: [Content] = []
    private var images: [RGBImage] = []
    private var clips: [AudioClip] = []

    /// - Parameters:
    ///   - state: What is not of the engine.
    ///   - path: Replaced when everything is written.
    /// - Throws: `sessionFile`.
    static func write(
        _ engine: StoredEngine, _ transcript: Transcript, _ state: SessionFile.State, model: Gemma3nLanguageModel, to path: String
    ) throws(SessionError) {
        var writer = SessionFileWriter()
        writer.add(engine, transcript, state)
        do throws(FileError) {
            try writer.write(model: model, to: path)
        } catch {
            throw SessionError(.sessionFile, error.message)
        }
    }

    private mutating func add(_ engine: StoredEngine, _ transcript: Transcript, _ given: SessionFile.State) {
        var state = given
        state.toldTools = engine.toldTools
        state.marks = engine.marks
        state.historyImages = places(engine.history.images)
        state.historyClips = places(engine.history.clips)
        var soft: [(name: String, values: [Float])] = []
        if let cached = engine.conversation {
            let stored = cached.conversation.stored
            var caches = SessionFile.Caches()
            caches.stored = cached.conversation.decoder.sequence.stored
            (caches.pending, caches.makers, caches.slice) = (stored.pending, stored.makers, stored.slice)
            caches.images = places(cached.images)
            caches.clips = places(cached.clips)
            for (place, known) in cached.known.images.sorted(by: { $0.key < $1.key }) {
                caches.softImages.append(SessionFile.Place(place: place, medium: places([known.medium])[0]))
                soft.append(("soft.image.\(place)", known.soft))
            }
            for (place, known) in cached.known.clips.sorted(by: { $0.key < $1.key }) {
                caches.softClips.append(SessionFile.Place(place: place, medium: places([known.medium])[0]))
                soft.append(("soft.clip.\(place)", known.soft))
            }
            state.caches = caches
        }
        add("state", .bytes(Array(state.json.serialized().utf8)))
        add("transcript", .bytes(Array(JSONValue.array(transcript.messages.map(\.json)).serialized().utf8)))
        add("history", .tokens(engine.history.tokens))
        add("fed", .tokens(engine.conversation?.conversation.tokens ?? []))
        for (index, image) in images.enumerated() { add("image.\(index)", .bytes(image.pixels), shape: [image.height, image.width, 3]) }
        for (index, clip) in clips.enumerated() { add("clip.\(index)", .floats(clip.samples)) }
        for (name, values) in soft { add(name, .floats(values)) }
        if let sequence = engine.conversation?.conversation.decoder.sequence {
            for index in 0..<sequence.cacheCount { add("kv.\(index)", .pieces(sequence.storedPieces(ofCache: index))) }
        }
    }

    /// Where pictures stand in the table; new ones are put there.
    private mutating func places(_ wanted: [RGBImage]) -> [Int] {
        wanted.map { image in
            if let known = images.firstIndex(of: image) { return known }
            images.append(image)
            return images.count - 1
        }
    }

    private mutating func places(_ wanted: [AudioClip]) -> [Int] {
        wanted.map { clip in
            if let known = clips.firstIndex(of: clip) { return known }
            clips.append(clip)
            return clips.count - 1
        }
    }

    private mutating func add(_ name: String, _ content: Content, shape: [Int]? = nil) {
        let (format, count, size): (String, Int, Int) =
            switch content {
            case .bytes(let bytes): ("U8", bytes.count, 1)
            case .floats(let values): ("F32", values.count, 4)
            case .tokens(let tokens): ("I32", tokens.count, 4)
            case .pieces(let pieces): ("U8", pieces.reduce(0) { $0 + $1.count }, 1)
            }
        entries.append(SafeTensorsWriter.Entry(name: name, format: format, shape: shape ?? [count], byteCount: count * size))
        contents.append(content)
    }

    private func write(model: Gemma3nLanguageModel, to path: String) throws(FileError) {
        let checksum = SafeTensorsWriter.Entry(name: "checksum", format: "U8", shape: [8], byteCount: 8)
        let header = SafeTensorsWriter.header(
            entries + [checksum],
            metadata: [
                ("format", SessionFile.format), ("version", SessionFile.version), ("model", model.fingerprint), ("model_name", model.files.name),
            ])
        var file = try AtomicFile(path: path)
        var hash = ContentHash()
        hash.add(header)
        try file.write(header)
        for content in contents {
            switch content {
            case .bytes(let bytes): try Self.write(bytes, to: &file, &hash)
            case .floats(let values): try Self.write(values, to: &file, &hash)
            case .tokens(let tokens): try Self.write(tokens, to: &file, &hash)
            case .pieces(let pieces):
                for piece in pieces {
                    hash.add(piece)
                    try file.write(piece)
                }
            }
        }
        let value = hash.value
        try file.write((0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) })
        try file.commit()
    }

    private static func write<T: BitwiseCopyable>(_ values: [T], to file: inout AtomicFile, _ hash: inout ContentHash) throws(FileError) {
        hash.add(values)
        let bytes = values.withUnsafeBytes { Array($0) }
        try file.write(bytes)
    }
}
