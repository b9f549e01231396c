internal import CServerPage
internal import HTTPTypes

/// The page at `/`: its files are part of the program.
package struct PageRoutes {
    var routes: [Route] {
        var routes: [Route] = []
        for (name, bytes) in Self.files {
            let reply = Self.reply(name, bytes)
            let tag = EntityTag(bytes)
            routes.append(Route(.get, "/\(name)", isOpen: true) { tag.reply(reply, to: $0) })
            if name == "index.html" {
                routes.append(
                    Route(.get, "/", isOpen: true) { exchange in
                        var reply = exchange.header("accept")?.contains("text/html") == true ? tag.reply(reply, to: exchange) : Self.sign
                        reply.headers[.vary] = "Accept"
                        return reply
                    })
            }
        }
        return routes
    }

    package static var files: [(name: String, bytes: [UInt8])] {
        var files: [(String, [UInt8])] = []
        var index: Int32 = 0
        while true {
            let file = cserverpage_file_at(index)
            guard let name = file.name, let bytes = file.bytes else { return files }
            files.append((String(cString: name), Array(UnsafeBufferPointer(start: bytes, count: file.count))))
            index += 1
        }
    }

    /// What Ollama's clients, who ask for no page, look for at the root.
    private static let sign = Reply.text("Ollama is running")

    /// Nothing but what this server sends may run in the page or be asked by it.
    private static let policy = """
        default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; media-src 'self' blob: data:; \
        base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'
        """

    private static func reply(_ name: String, _ bytes: [UInt8]) -> Reply {
        let types = ["html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"]
        let ending = name.split(separator: ".").last.map(String.init) ?? ""
        var reply = Reply(type: types[ending] ?? "application/octet-stream", .bytes(bytes))
        reply.headers[.cacheControl] = "no-cache"
        reply.headers[.contentSecurityPolicy] = policy
        return reply
    }
}
