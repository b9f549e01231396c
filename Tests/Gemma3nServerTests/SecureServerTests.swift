import AsyncHTTPClient
import Checkpoint
import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Testing

import Gemma3nServer

/// A whole server behind TLS, asked over real connections.
@Suite struct SecureServerTests {
    private func withServer<Result: Sendable>(
        _ change: (inout ServerSettings) -> Void = { _ in }, _ body: @Sendable (_ server: ServerUnderTest, _ port: Int) async throws -> Result
    ) async throws -> Result {
        let certificate = try ServerCertificate(certificate: Certificates.path("certificate"), key: Certificates.path("key"))
        let server = try ServerUnderTest {
            $0.port = 0
            $0.certificate = certificate
            change(&$0)
        }
        let (ports, port) = AsyncStream<Int>.makeStream()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try? await server.server.run { port.yield($0) }
                port.finish()
            }
            defer { group.cancelAll() }
            var iterator = ports.makeAsyncIterator()
            let number = await iterator.next()
            return try await body(server, try #require(number))
        }
    }

    private func withClient<Result: Sendable>(
        _ change: (inout TLSConfiguration) -> Void = { _ in }, _ body: (HTTPClient) async throws -> Result
    ) async throws -> Result {
        var security = TLSConfiguration.makeClientConfiguration()
        security.trustRoots = .file(Certificates.path("certificate"))
        change(&security)
        var configuration = HTTPClient.Configuration(tlsConfiguration: security)
        configuration.connectionPool.retryConnectionEstablishment = false
        return try await HTTPClient.withHTTPClient(eventLoopGroup: MultiThreadedEventLoopGroup.singleton, configuration: configuration, body)
    }

    private func request(_ port: Int, _ json: JSONValue) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: "https://localhost:\(port)/v1/chat/completions")
        request.method = .POST
        request.body = .bytes(ByteBuffer(string: json.serialized()))
        return request
    }

    @Test func answersAndStreams() async throws {
        try await withServer { server, port in
            let expected = await server.post("/v1/chat/completions", question()).json["choices"]
            try await withClient { client in
                let whole = try await client.execute(request(port, question()), timeout: .seconds(60))
                let body = String(buffer: try await whole.body.collect(upTo: 1 << 20))
                #expect(whole.status == .ok && whole.version == .http1_1)
                let choices = try JSONValue.parse(body, file: "")["choices"]
                #expect(choices == expected)
                let stream = try await client.execute(request(port, question([("stream", true)])), timeout: .seconds(60))
                let events = String(buffer: try await stream.body.collect(upTo: 1 << 20)).split(separator: "\n").compactMap { line in
                    line.hasPrefix("data: {") ? try? JSONValue.parse(String(line.dropFirst(6)), file: "") : nil
                }
                let text = events.compactMap { $0["choices"]?[0]?["delta"]?["content"]?.string }.joined()
                #expect(text == expected?[0]?["message"]?["content"]?.string)
            }
        }
    }

    @Test func aClientThatGoesEndsItsAnswer() async throws {
        try await withServer { server, port in
            try await withClient { client in
                let long = question([("stream", true), ("n", 16)], tokens: 1_000_000)
                let response = try await client.execute(request(port, long), timeout: .seconds(60))
                for try await _ in response.body { break }
            }
            func isCancelled() async -> Bool {
                await server.send(.get, "/metrics").text.split(separator: "\n").contains { $0 == "gemma3n_http_clients_gone_total 1" }
            }
            while await !isCancelled() { try await Task.sleep(for: .milliseconds(10)) }
        }
    }

    @Test func versions() async throws {
        try await withServer { _, port in
            @Sendable func status(_ version: TLSVersion) async throws -> Int {
                try await withClient({ $0.maximumTLSVersion = version }) { client in
                    Int(try await client.execute(HTTPClientRequest(url: "https://localhost:\(port)/health"), timeout: .seconds(60)).status.code)
                }
            }
            let status12 = try await status(.tlsv12)
            #expect(status12 == 200)
            await #expect(throws: (any Error).self) { try await status(.tlsv11) }
        }
    }

    /// Who connects and says nothing loses its place.
    @Test func silentHandshakesEnd() async throws {
        try await withServer { $0.handshakeSeconds = 1 } _: { _, port in
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connect(host: "127.0.0.1", port: port).get()
            try await channel.closeFuture.get()
        }
    }

    /// A server that is cut off does not wait for clients that hold on.
    @Test func endsWhileConnectionsAreOpen() async throws {
        let security = try NIOSSLContext(configuration: {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.certificateVerification = .none
            return configuration
        }())
        let channel = try await withServer { _, port in
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: security, serverHostname: "localhost"))
                    }
                }
                .connect(host: "127.0.0.1", port: port).get()
            try await channel.writeAndFlush(ByteBuffer(string: "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
            return channel
        }
        try await channel.closeFuture.get()
    }
}
