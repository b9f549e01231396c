internal import AsyncHTTPClient
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL

/// One question for one URL to one address: nothing in it resolves a name, follows a redirect or keeps a connection.
struct FetchAttempt: Sendable {
    enum Answer: Sendable {
        case media(FetchedMedia)
        case redirect(String)
    }

    /// No answer began; another address may give one.
    struct Unreachable: Error {}

    let url: RemoteURL
    let address: IPAddress
    let trusted: [NIOSSLCertificate]?

    /// - Throws: `RemoteMediaError`, `Unreachable`, `CancellationError`.
    func answer(_ budget: FetchBudget) async throws -> Answer {
        try await HTTPClient.withHTTPClient(eventLoopGroup: MultiThreadedEventLoopGroup.singleton, configuration: configuration) { client in
            try await answer(client, budget)
        }
    }

    private func answer(_ client: HTTPClient, _ budget: FetchBudget) async throws -> Answer {
        var request = HTTPClientRequest(url: url.text)
        request.headers.add(name: "user-agent", value: "gemma3n")
        request.headers.add(name: "accept", value: "*/*")
        request.headers.add(name: "accept-encoding", value: "identity")
        let response: HTTPClientResponse
        do {
            response = try await client.execute(request, deadline: .distantFuture)
        } catch {
            try Task.checkCancellation()
            throw Self.reason(of: error)
        }
        let status = Int(response.status.code)
        if [301, 302, 303, 307, 308].contains(status), let location = response.headers.first(name: "location") { return .redirect(location) }
        guard status == 200 else { throw RemoteMediaError("was answered with status \(status).") }
        if let encoding = response.headers.first(name: "content-encoding"), encoding.lowercased() != "identity" {
            throw RemoteMediaError("comes compressed by its server, though it was asked for as it is.")
        }
        let type = FetchedMedia.type(response.headers.first(name: "content-type"))
        guard !type.hasPrefix("text/"), type != "application/json" else {
            throw RemoteMediaError("is \(type), expected a picture, a sound or a video.")
        }
        if let announced = response.headers.first(name: "content-length").flatMap({ Int($0) }) { try budget.check(announced) }
        let bytes = try await body(response, budget)
        guard !bytes.isEmpty else { throw RemoteMediaError("is empty.") }
        return .media(FetchedMedia(type: type, bytes: bytes))
    }

    private func body(_ response: HTTPClientResponse, _ budget: FetchBudget) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        do {
            for try await buffer in response.body {
                try budget.take(buffer.readableBytes)
                bytes += buffer.readableBytesView
            }
        } catch let error as RemoteMediaError {
            throw error
        } catch {
            try Task.checkCancellation()
            throw RemoteMediaError("broke off before its end.")
        }
        try Task.checkCancellation()
        return bytes
    }

    /// No proxy, no pool, no cookies, no decompression; the host's name stands for the checked address.
    private var configuration: HTTPClient.Configuration {
        var security = TLSConfiguration.makeClientConfiguration()
        security.minimumTLSVersion = .tlsv12
        security.shutdownTimeout = .seconds(1)
        if let trusted { security.trustRoots = .certificates(trusted) }
        var configuration = HTTPClient.Configuration(
            tlsConfiguration: security, redirectConfiguration: .disallow, timeout: .init(connect: .seconds(5)), proxy: nil, decompression: .disabled)
        configuration.httpVersion = .http1Only
        configuration.connectionPool.retryConnectionEstablishment = false
        if case .name(let name) = url.host { configuration.dnsOverride = [name: address.text] }
        // Whatever was made of the URL: nothing is sent to another address.
        configuration.http1_1ConnectionDebugInitializer = { [address] channel in
            guard let peer = channel.remoteAddress, IPAddress(peer) == address else { return channel.eventLoop.makeFailedFuture(Unreachable()) }
            return channel.eventLoop.makeSucceededVoidFuture()
        }
        return configuration
    }

    private static func reason(of error: any Error) -> any Error {
        switch error {
        case is NIOSSLError, is NIOSSLExtraError, is BoringSSLError: RemoteMediaError("leads to a host whose certificate is not trusted.")
        default: Unreachable()
        }
    }
}
