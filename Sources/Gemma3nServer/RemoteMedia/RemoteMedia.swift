internal import NIOPosix

/// Fetches the media that requests name by URL.
struct RemoteMedia: Sendable {
    let settings: RemoteMediaSettings
    private let places: FetchPlaces

    init(_ settings: RemoteMediaSettings) {
        self.settings = settings
        places = FetchPlaces(settings.atOnce)
    }

    /// Media by their URLs.
    ///
    /// - Throws: 400 naming the field whose media cannot be had, 503 if too many others were fetched all the time;
    ///   `CancellationError`.
    func fetch(_ fields: [MediaField]) async throws -> [String: FetchedMedia] {
        var urls: [(field: MediaField, url: RemoteURL)] = []
        for field in fields where !urls.contains(where: { $0.field.url == field.url }) {
            guard urls.count < RemoteMediaSettings.maximumURLs else {
                throw field.refusal(RemoteMediaError("is one URL too many; a request may name \(RemoteMediaSettings.maximumURLs)."))
            }
            do throws(RemoteMediaError) {
                let url = try RemoteURL(field.url)
                try settings.check(url)
                urls.append((field, url))
            } catch {
                throw field.refusal(error)
            }
        }
        let budget = FetchBudget(bytes: settings.byteLimit)
        return try await withThrowingTaskGroup(of: (url: String, media: FetchedMedia)?.self) { group in
            group.addTask {
                try await Task.sleep(for: .seconds(settings.seconds))
                return nil
            }
            for (field, url) in urls {
                group.addTask {
                    do {
                        return (field.url, try await places.withPlace { try await media(url, field, budget) })
                    } catch let error as RemoteMediaError {
                        throw field.refusal(error)
                    }
                }
            }
            var found: [String: FetchedMedia] = [:]
            while found.count < urls.count, let next = try await group.next() {
                guard let next else {
                    throw late(urls.first { found[$0.field.url] == nil }?.field ?? fields[0], budget)
                }
                found[next.url] = next.media
            }
            group.cancelAll()
            return found
        }
    }

    private func late(_ field: MediaField, _ budget: FetchBudget) -> Refusal {
        if budget.hasBegun(field.url) { return field.refusal(RemoteMediaError("did not come within \(settings.seconds) s.")) }
        return Refusal(503, "\(field.place) was not fetched: too many others were. Ask again later.", field: field.place, code: "overloaded", retryAfter: 5)
    }

    /// Follows redirects, each of which is checked like the URL itself.
    private func media(_ first: RemoteURL, _ field: MediaField, _ budget: FetchBudget) async throws -> FetchedMedia {
        budget.begin(field.url)
        var url = first
        for _ in 0...RemoteMediaSettings.maximumRedirects {
            try settings.check(url)
            let addresses = try await settings.addresses(of: url)
            switch try await ask(url, at: addresses, budget) {
            case .media(let media): return media
            case .redirect(let location):
                let next = try url.redirected(to: location)
                if url.isSecure, !next.isSecure { throw RemoteMediaError("redirects from https to http.") }
                url = next
            }
        }
        throw RemoteMediaError("redirects more than \(RemoteMediaSettings.maximumRedirects) times.")
    }

    private func ask(_ url: RemoteURL, at addresses: [IPAddress], _ budget: FetchBudget) async throws -> FetchAttempt.Answer {
        for address in addresses.prefix(3) {
            do {
                return try await FetchAttempt(url: url, address: address, trusted: settings.trustedCertificates).answer(budget)
            } catch is FetchAttempt.Unreachable {
                continue
            }
        }
        throw RemoteMediaError("leads to a host that cannot be reached or gives no answer.")
    }
}
