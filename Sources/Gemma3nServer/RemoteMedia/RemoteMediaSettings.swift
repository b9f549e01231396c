package import NIOSSL

/// Which media the server fetches for requests that name them by URL.
public struct RemoteMediaSettings: Sendable {
    /// `name` or `name:port`; empty is any host with a public address, at its usual ports.
    public var hosts: [String] = []
    /// Bytes of all media of one request.
    public var byteLimit = 32 << 20
    /// Seconds for all media of one request, from looking up the first name to the last byte.
    public var seconds = 20
    /// Media fetched at once, for all requests together; others wait.
    package var atOnce = 8

    // What tests put in the place of the internet.
    package var resolve: @Sendable (String) async throws -> [IPAddress] = { try await SystemResolver.addresses(of: $0) }
    package var isAllowed: @Sendable (IPAddress) -> Bool = { $0.isPublic }
    package var trustedCertificates: [NIOSSLCertificate]?

    public static let maximumURLs = 64
    static let maximumRedirects = 3

    public init() {}

    /// - Throws: When the host or its port is not among those that may be asked.
    func check(_ url: RemoteURL) throws(RemoteMediaError) {
        if hosts.isEmpty {
            guard url.port == 80 || url.port == 443 else { throw RemoteMediaError("leads to port \(url.port); only 80 and 443 are asked.") }
            return
        }
        let names = hosts.map { $0.lowercased() }
        if names.contains("\(url.hostText):\(url.port)") { return }
        if names.contains(url.hostText), url.port == 80 || url.port == 443 { return }
        throw RemoteMediaError("leads to a host or port that is not among those this server asks.")
    }

    /// The addresses of a URL's host that may be connected to.
    ///
    /// - Throws: When it has none.
    func addresses(of url: RemoteURL) async throws -> [IPAddress] {
        let found: [IPAddress]
        switch url.host {
        case .address(let address): found = [address]
        case .name(let name): found = try await resolve(name)
        }
        guard !found.isEmpty else { throw RemoteMediaError("leads to a host that is not known.") }
        let allowed = found.filter(isAllowed)
        guard !allowed.isEmpty else { throw RemoteMediaError("leads to an address that is not public; only public ones are asked.") }
        return allowed
    }
}
