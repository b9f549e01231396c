import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import TestSupport

/// A server on this machine that answers each connection's first request with whatever bytes a test likes.
final class WebServerUnderTest: Sendable {
    typealias Connection = NIOAsyncChannel<ByteBuffer, ByteBuffer>
    typealias Send = @Sendable ([UInt8]) async throws -> Void
    /// Gets the request's head and a way to send. The connection closes when it returns.
    typealias Answer = @Sendable (_ head: String, _ send: Send) async throws -> Void

    let port: Int
    private let heads = Mutex<[String]>([])

    /// The heads of requests so far.
    var requests: [String] { heads.withLock { $0 } }

    private init(port: Int) { self.port = port }

    /// - Parameter secure: Whether it speaks TLS, with the certificate `renewed`.
    static func with<Result: Sendable>(
        secure: Bool = false, _ answer: @escaping Answer, _ body: @Sendable (WebServerUnderTest) async throws -> Result
    ) async throws -> Result {
        let security = secure ? try Certificates.context("renewed", key: "renewed-key") : nil
        let listening = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).bind(host: "127.0.0.1", port: 0) { channel in
            channel.eventLoop.makeCompletedFuture {
                if let security { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: security)) }
                return try Connection(wrappingChannelSynchronously: channel)
            }
        }
        let server = WebServerUnderTest(port: listening.channel.localAddress?.port ?? 0)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await listening.executeThenClose { connections in
                    try await withThrowingDiscardingTaskGroup { group in
                        for try await connection in connections { group.addTask { try? await server.answer(connection, answer) } }
                    }
                }
            }
            let result = try await body(server)
            group.cancelAll()
            return result
        }
    }

    private func answer(_ connection: Connection, _ answer: Answer) async throws {
        try await connection.executeThenClose { inbound, outbound in
            var head = ""
            for try await buffer in inbound {
                head += String(buffer: buffer)
                if head.contains("\r\n\r\n") { break }
            }
            guard !head.isEmpty else { return }
            heads.withLock { $0.append(head) }
            try await answer(head) { try await outbound.write(ByteBuffer(bytes: $0)) }
        }
    }
}

/// An HTTP response, whole.
func response(_ status: Int = 200, _ headers: [String] = [], _ body: [UInt8] = []) -> [UInt8] {
    let lines = ["HTTP/1.1 \(status) x", "content-length: \(body.count)", "connection: close"] + headers
    return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + body
}

/// The certificates in the fixtures.
enum Certificates {
    static func path(_ name: String) -> String { Fixtures.path("tls/\(name).pem") }

    static func context(_ name: String, key: String) throws -> NIOSSLContext {
        let chain = try NIOSSLCertificate.fromPEMFile(path(name))
        let key = try NIOSSLPrivateKey(file: path(key), format: .pem)
        return try NIOSSLContext(configuration: .makeServerConfiguration(certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key)))
    }
}
