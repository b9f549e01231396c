internal import HTTPTypes

/// Who may ask: keys, the pages of other origins, and the name this machine is called by.
package struct Gate: Sendable {
    private let keys: [[UInt8]]
    private let origins: Set<String>
    /// Whether the server listens to this machine alone and has no key: a web page must then not reach it by a name of its own.
    private let checksHost: Bool

    package init(_ settings: ServerSettings) {
        keys = settings.keys.map { Array($0.utf8) }
        origins = Set(settings.origins)
        checksHost = settings.keys.isEmpty && Self.isLoopback(settings.host)
    }

    /// - Throws: 401 without a key, 403 for pages that may not call.
    package func check(_ exchange: Exchange, isOpen: Bool) throws(Refusal) {
        let host = exchange.header("host") ?? ""
        if checksHost, !host.isEmpty, !Self.isLoopback(Self.name(ofHost: host)) {
            throw Refusal(403, "This server answers as localhost, not as \(host). To be reached by other names, start it with --api-key.", code: "forbidden_host")
        }
        if let origin = exchange.header("origin"), !allows(origin), !Self.isSame(origin, host) {
            throw Refusal(403, "Pages of \(origin) may not call this server. Start it with --cors \(origin) to let them.", code: "forbidden_origin")
        }
        if !isOpen, !keys.isEmpty, !hasKey(exchange) {
            throw Refusal(401, "The API key is missing or wrong. Send it as Authorization: Bearer KEY.", code: "invalid_api_key")
        }
    }

    func allows(_ origin: String) -> Bool { origins.contains("*") || origins.contains(origin) }

    /// Headers that let a page of the request's origin read the reply.
    func addHeaders(for origin: String?, to headers: inout HTTPFields) {
        guard let origin, allows(origin) else { return }
        headers[.accessControlAllowOrigin] = origin
        headers[.accessControlExposeHeaders] = "x-request-id, retry-after, etag"
        headers[.vary] = headers[.vary].map { "\($0), Origin" } ?? "Origin"
    }

    /// The answer to a browser that asks whether it may ask.
    func preflight(_ exchange: Exchange) -> Reply {
        var reply = Reply(status: 204, .bytes([]))
        reply.headers[.accessControlAllowMethods] = "GET, POST, DELETE, OPTIONS"
        reply.headers[.accessControlAllowHeaders] = exchange.header("access-control-request-headers") ?? "authorization, content-type"
        reply.headers[.accessControlMaxAge] = "600"
        return reply
    }

    /// Whose caches a request may use: with several keys, those of its own.
    func cacheScope(of exchange: Exchange) -> String? { keys.count > 1 ? key(of: exchange).map { "key \($0)" } : nil }

    private func hasKey(_ exchange: Exchange) -> Bool { key(of: exchange) != nil }

    /// The number of the key that a request brings.
    private func key(of exchange: Exchange) -> Int? {
        var given = Array((exchange.header("x-api-key") ?? "").utf8)
        if let authorization = exchange.header("authorization") {
            let parts = authorization.split(separator: " ", maxSplits: 1)
            if parts.count == 2, parts[0].lowercased() == "bearer" { given = Array(parts[1].utf8) }
        }
        // Every key is compared to its end, so that the time tells nothing about where they differ.
        var found: Int?
        for (number, key) in keys.enumerated() where Self.areEqual(key, given) { found = number }
        return found
    }

    private static func areEqual(_ key: [UInt8], _ given: [UInt8]) -> Bool {
        var difference: UInt8 = key.count == given.count ? 0 : 1
        for index in key.indices { difference |= key[index] ^ (index < given.count ? given[index] : 0) }
        return difference == 0
    }

    /// Without port and brackets.
    private static func name(ofHost host: String) -> String {
        if host.hasPrefix("[") { return String(host.dropFirst().prefix { $0 != "]" }) }
        return String(host.prefix { $0 != ":" })
    }

    private static func isLoopback(_ name: String) -> Bool {
        let name = name.lowercased()
        return name == "localhost" || name.hasSuffix(".localhost") || name == "::1" || (name.hasPrefix("127.") && name.allSatisfy { $0.isNumber || $0 == "." })
    }

    /// Whether a page comes from this server itself.
    private static func isSame(_ origin: String, _ host: String) -> Bool {
        guard let start = origin.firstRange(of: "://") else { return false }
        return origin[start.upperBound...].lowercased() == host.lowercased()
    }
}
