internal import Checkpoint
internal import Gemma3nHost

extension Desk {
    /// The body as a JSON object, with the media in it that it names by `http` and `https` URLs.
    ///
    /// - Throws: 400 if it is none, or names media that are not fetched; `shuttingDown`;
    ///   `CancellationError` when the client goes away.
    func fields(of exchange: Exchange) async throws -> Fields {
        let fields = try exchange.fields()
        var named: [MediaField] = []
        _ = MediaFields.changed(fields.object) { field in
            named.append(field)
            return nil
        }
        guard let first = named.first else { return fields }
        guard let media else {
            throw Refusal(
                400,
                "\(first.place) is a URL of the network, and this server fetches nothing from there. Put the bytes in a data: URL, data:image/png;base64,…, or start it with --allow-remote-media.",
                field: first.place, code: "remote_media_not_allowed")
        }
        let fetching = Task { [named] in try await media.fetch(named) }
        exchange.connection.whenClosed { fetching.cancel() }
        exchange.connection.whenCutOff { fetching.cancel() }
        defer {
            exchange.connection.whenClosed(nil)
            exchange.connection.whenCutOff(nil)
        }
        let found: [String: FetchedMedia]
        do {
            found = try await withTaskCancellationHandler { try await fetching.value } onCancel: { fetching.cancel() }
        } catch is CancellationError where exchange.connection.isCutOff {
            throw SessionError(.shuttingDown, "The server is stopping, and its time for this request is over. Ask again.")
        }
        return Fields(MediaFields.changed(fields.object) { found[$0.url]?.dataURL })
    }
}
