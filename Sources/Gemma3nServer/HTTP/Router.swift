package import HTTPTypes

/// A path, what answers there, and who may ask.
package struct Route: Sendable {
    package typealias Handler = @Sendable (Exchange) async throws -> Reply

    package let method: HTTPRequest.Method
    /// Parts between slashes; `{name}` stands for any one part, `{name...}` for all that follow.
    package let pattern: [Substring]
    /// What it is called in logs and figures.
    package let name: String
    /// Whether it answers without a key.
    package let isOpen: Bool
    /// Bytes of a body that the handler reads as it comes; nil if it gets the body whole, within the limit of all.
    package let uploadLimit: Int?
    package let handler: Handler

    package init(_ method: HTTPRequest.Method, _ pattern: String, isOpen: Bool = false, uploadLimit: Int? = nil, _ handler: @escaping Handler) {
        self.method = method
        self.pattern = pattern.split(separator: "/")
        name = pattern
        self.isOpen = isOpen
        self.uploadLimit = uploadLimit
        self.handler = handler
    }

    /// What stands in the places of the names; nil if the path is another.
    package func match(_ parts: [Substring]) -> [String: String]? {
        var parameters: [String: String] = [:]
        for (index, wanted) in pattern.enumerated() {
            if wanted.hasSuffix("...}") {
                guard index < parts.count else { return nil }
                parameters[String(wanted.dropFirst().dropLast(4))] = parts[index...].joined(separator: "/")
                return parameters
            }
            guard index < parts.count else { return nil }
            if wanted.hasPrefix("{") {
                parameters[String(wanted.dropFirst().dropLast())] = String(parts[index])
            } else if wanted != parts[index] {
                return nil
            }
        }
        return parts.count == pattern.count ? parameters : nil
    }
}

/// Finds the route of a request.
package struct Router: Sendable {
    package let routes: [Route]

    package init(routes: [Route]) { self.routes = routes }

    /// What answers OPTIONS tells the methods of a path.
    ///
    /// - Throws: 404 if nothing is there, 405 if something is for another method.
    package func route(_ method: HTTPRequest.Method, _ path: String) throws(Refusal) -> (route: Route, parameters: [String: String]) {
        let parts = path.split(separator: "/")
        // What answers GET answers HEAD, without the body.
        let wanted = method == .head ? HTTPRequest.Method.get : method
        var allowed: [String] = []
        for route in routes {
            guard let parameters = route.match(parts) else { continue }
            if route.method == wanted { return (route, parameters) }
            allowed.append(route.method.rawValue)
            if route.method == .get { allowed.append(HTTPRequest.Method.head.rawValue) }
        }
        let shown = String(path.prefix(200))
        if allowed.isEmpty { throw Refusal(404, "There is nothing at \(shown).", code: "unknown_url") }
        allowed.append(HTTPRequest.Method.options.rawValue)
        if method == .options {
            let reply = Reply(status: 204, headers: [.allow: allowed.joined(separator: ", ")], .bytes([]))
            return (Route(.options, "options", isOpen: true) { _ in reply }, [:])
        }
        var refusal = Refusal(
            405, "\(shown) takes \(allowed.joined(separator: ", ")), not \(method.rawValue.prefix(40)).", code: "method_not_allowed")
        refusal.allowed = allowed
        throw refusal
    }
}
