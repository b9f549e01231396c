internal import Logging
internal import ServiceLifecycle

/// Looks now and then whether the certificate's files are others.
struct CertificateRenewal: Service {
    static let secondsBetweenLooks = 10

    let certificate: ServerCertificate
    let logger: Logger

    func run() async throws {
        warn()
        try? await cancelWhenGracefulShutdown {
            while true {
                try await Task.sleep(for: .seconds(Self.secondsBetweenLooks))
                switch certificate.refresh() {
                case .none: break
                case .renewed:
                    logger.info("the certificate was renewed")
                    warn()
                case .refused(let why): logger.warning("the certificate changed and cannot be used, the earlier one stays", metadata: ["error": "\(why)"])
                }
            }
        }
    }

    private func warn() {
        if let warning = certificate.warning(at: TimeStamp.now.seconds) { logger.warning("\(warning)") }
    }
}
