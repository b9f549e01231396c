internal import Gemma3nHost
internal import NIOCore
internal import NIOSSL
internal import Synchronization

/// The certificate that a server shows, and its key, in files. They may be renewed while it runs.
public final class ServerCertificate: Sendable {
    private struct Loaded {
        let certificateBytes: [UInt8]
        let keyBytes: [UInt8]
        let certificate: NIOSSLCertificate
        let context: NIOSSLContext
    }

    /// What looking at the files again found.
    package enum Change: Equatable, Sendable {
        case none
        case renewed
        /// They changed into what cannot be used; the earlier ones stay.
        case refused(String)
    }

    private let certificatePath: String
    private let keyPath: String
    private let loaded: Mutex<Loaded>
    /// The last refusal, which is told once.
    private let refusal = Mutex("")

    /// - Parameters:
    ///   - certificate: A file in PEM: the certificate, then those that lead from it to one that clients know.
    ///   - key: Its private key in PEM, without a passphrase.
    /// - Throws: When a file cannot be read or holds something else, or when the key is another certificate's.
    public init(certificate: String, key: String) throws(ServerCertificateError) {
        certificatePath = certificate
        keyPath = key
        loaded = Mutex(try Self.load(certificate, key))
    }

    /// What new connections begin with.
    var context: NIOSSLContext { loaded.withLock { $0.context } }

    /// Reads the files again, and takes up what they hold if it is new and whole.
    package func refresh() -> Change {
        do throws(ServerCertificateError) {
            let found = try Self.load(certificatePath, keyPath)
            refusal.withLock { $0 = "" }
            return loaded.withLock { loaded in
                if loaded.certificateBytes == found.certificateBytes, loaded.keyBytes == found.keyBytes { return .none }
                loaded = found
                return .renewed
            }
        } catch {
            return refusal.withLock { last in
                if last == error.message { return .none }
                last = error.message
                return .refused(error.message)
            }
        }
    }

    /// A sentence if clients will not accept the certificate at that time, in seconds since 1970.
    package func warning(at now: Int) -> String? {
        let certificate = loaded.withLock { $0.certificate }
        if certificate.notValidAfter < now { return "\(certificatePath): the certificate was valid until \(Self.date(certificate.notValidAfter)); clients will refuse it." }
        if certificate.notValidBefore > now { return "\(certificatePath): the certificate is valid from \(Self.date(certificate.notValidBefore)) on; clients will refuse it." }
        return nil
    }

    private static func date(_ seconds: Int) -> Substring { TimeStamp(seconds: seconds, nanoseconds: 0).text.prefix(10) }

    private static func load(_ certificatePath: String, _ keyPath: String) throws(ServerCertificateError) -> Loaded {
        let certificateBytes = try read(certificatePath)
        let keyBytes = try read(keyPath)
        guard let chain = try? NIOSSLCertificate.fromPEMBytes(certificateBytes), let certificate = chain.first else {
            throw ServerCertificateError("\(certificatePath) holds no certificate in PEM; expected -----BEGIN CERTIFICATE-----.")
        }
        let keyText = String(decoding: keyBytes, as: UTF8.self)
        if keyText.contains("ENCRYPTED") {
            throw ServerCertificateError(
                "\(keyPath): the key has a passphrase, and a server has nobody to ask. Write it without one: openssl pkey -in \(keyPath) -out plain-key.pem")
        }
        guard let key = try? NIOSSLPrivateKey(bytes: keyBytes, format: .pem) else {
            throw ServerCertificateError("\(keyPath) holds no private key in PEM; expected -----BEGIN PRIVATE KEY-----.")
        }
        var configuration = TLSConfiguration.makeServerConfiguration(certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        configuration.shutdownTimeout = .seconds(2)
        do {
            return Loaded(
                certificateBytes: certificateBytes, keyBytes: keyBytes, certificate: certificate, context: try NIOSSLContext(configuration: configuration))
        } catch {
            throw ServerCertificateError("\(keyPath) is not the key of the certificate in \(certificatePath).")
        }
    }

    private static func read(_ path: String) throws(ServerCertificateError) -> [UInt8] {
        do throws(FileError) {
            return try readFile(path, limit: 1 << 20)
        } catch {
            throw ServerCertificateError(error.message)
        }
    }
}

/// Why a certificate cannot be used, in a whole sentence that names the file.
public struct ServerCertificateError: Error, Sendable, Equatable {
    public let message: String

    init(_ message: String) { self.message = message }
}
