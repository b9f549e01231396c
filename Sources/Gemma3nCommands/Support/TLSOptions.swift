#if SERVER
internal import ArgumentParser
internal import Gemma3nServer

/// With which certificate a server speaks TLS, if it does.
struct TLSOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Speak TLS with this certificate: a file in PEM, with those that lead to one that clients know.", valueName: "file"))
    var tlsCertificate: String?
    @Option(help: ArgumentHelp("The certificate's private key: a file in PEM, without a passphrase.", valueName: "file")) var tlsKey: String?

    func validate() throws {
        if (tlsCertificate == nil) != (tlsKey == nil) { throw ValidationError("--tls-certificate and --tls-key belong together; give both.") }
    }

    func certificate() throws(CommandError) -> ServerCertificate? {
        guard let tlsCertificate, let tlsKey else { return nil }
        do throws(ServerCertificateError) {
            return try ServerCertificate(certificate: tlsCertificate, key: tlsKey)
        } catch {
            throw CommandError(error.message)
        }
    }
}
#endif
