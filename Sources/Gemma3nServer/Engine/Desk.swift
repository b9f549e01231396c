internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost
internal import Synchronization

/// What all protocols share: the model under its names, and where requests for answers go.
final class Desk: Sendable {
    let model: Gemma3nLanguageModel
    let settings: ServerSettings
    /// When the server began, in seconds since 1970.
    let created = TimeStamp.now.seconds
    let room: EngineRoom
    /// Of the model's weights, in 64 hexadecimal digits.
    let identity: String
    /// Nil where nothing is fetched from the network.
    let media: RemoteMedia?
    let places: BatchPlaces
    let storage: Storage
    private let listening = Atomic<Bool>(false)
    private let stopping = Atomic<Bool>(false)

    init(_ model: Gemma3nLanguageModel, _ settings: ServerSettings) {
        self.model = model
        self.settings = settings
        identity = ModelIdentity.digest(of: model)
        media = settings.remoteMedia.map { RemoteMedia($0) }
        room = EngineRoom(model, limits: EngineLimits(maximumRunning: settings.parallel, maximumQueued: settings.queue, maximumKept: 128))
        places = BatchPlaces(room, limit: settings.batchLines)
        storage = Storage(settings)
    }

    /// Takes answers on, in order.
    ///
    /// - Throws: 400 for options outside their range, 429 if too many requests wait, 503 when the server is stopping.
    func begin(_ works: ChatWork..., for exchange: Exchange) throws(Refusal) -> Answering { try begin(works, for: exchange) }

    func begin(_ works: [ChatWork], for exchange: Exchange) throws(Refusal) -> Answering {
        if !exchange.isBackground { places.makeRoom(for: works.reduce(0) { $0 + $1.count }) }
        do throws(SessionError) {
            return try Answering(works, room, exchange)
        } catch {
            throw Refusal(error)
        }
    }

    /// Tokens of a prompt, tools and all.
    func tokenCount(_ work: ChatWork) async throws -> Int { try await room.tokenCount(work.input, tools: work.options.tools) }

    var isStopping: Bool { stopping.load(ordering: .relaxed) }
    /// Whether requests were ever taken.
    var hasBegun: Bool { listening.load(ordering: .relaxed) }
    func begin() { listening.store(true, ordering: .relaxed) }
    func stop() { stopping.store(true, ordering: .relaxed) }

    /// What answers depend on beside the request, in a word: another one where the weights, the part of them that answers or this program's
    /// version are others. Clients use it to tell whether a seed means the same.
    var fingerprint: String {
        "fp_" + SHA256.hex("\(identity) \(model.slice.widths) \(settings.version)".utf8).prefix(16)
    }

    /// The part of the model that a name means; nil is the one the model was opened with.
    ///
    /// Names are the model's, its aliases, and those with `:latest` or `:` and a size behind, such as `gemma-3n-E4B-it:E2B`.
    ///
    /// - Throws: 404 for other names.
    func size(ofModel name: String?) throws(Refusal) -> ModelSize? {
        guard let name else { return nil }
        let names = [settings.modelName] + settings.aliases
        if names.contains(name) { return nil }
        if let colon = name.lastIndex(of: ":"), names.contains(String(name[..<colon])) {
            let tag = String(name[name.index(after: colon)...])
            if tag == "latest" { return nil }
            return try size(tag, field: "model", status: 404, code: "model_not_found")
        }
        throw Refusal(
            404, "The model '\(shown(name))' does not exist. This server has '\(settings.modelName)'.", field: "model", code: "model_not_found")
    }

    /// A part of the model by its name or its effective parameters.
    func size(_ text: String, field: String, status: Int = 400, code: String) throws(Refusal) -> ModelSize {
        let size: ModelSize
        do throws(SliceError) { size = try ModelSize(text) } catch { throw Refusal(status, "\(field): \(error.message)", field: field, code: code) }
        do throws(SessionError) { _ = try model.slice(size) } catch { throw Refusal(status, "\(field): \(error.message)", field: field, code: code) }
        return size
    }

    private func shown(_ name: String) -> String { name.utf8.count <= 200 ? name : String(name.prefix(100)) + "…" }
}
