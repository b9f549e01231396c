package import Checkpoint
package import Gemma3nHost
package import HTTPTypes

/// Sends the next piece of a reply, and waits until the client takes it.
package typealias ReplySink = @Sendable (String) async throws -> Void

/// What a route answers.
package struct Reply: Sendable {
    package var status: Int
    package var headers: HTTPFields
    package var body: Body

    package enum Body: Sendable {
        case bytes([UInt8])
        /// Written as it comes about. What it throws cuts the connection: errors that a client should read are written first.
        case stream(@Sendable (ReplySink) async throws -> Void)
        case file(OpenFile)
    }

    package init(status: Int = 200, type: String? = nil, headers: HTTPFields = [:], _ body: Body) {
        self.status = status
        self.headers = headers
        if let type { self.headers[.contentType] = type }
        self.body = body
    }

    package static func json(_ value: JSONValue, status: Int = 200) -> Reply {
        Reply(status: status, type: "application/json", .bytes(Array(value.serialized().utf8)))
    }

    package static func text(_ text: String, status: Int = 200, type: String = "text/plain; charset=utf-8") -> Reply {
        Reply(status: status, type: type, .bytes(Array(text.utf8)))
    }

    /// Server-sent events; proxies are asked not to hold them back.
    package static func events(_ write: @escaping @Sendable (ReplySink) async throws -> Void) -> Reply {
        var reply = Reply(type: "text/event-stream; charset=utf-8", .stream(write))
        reply.headers[.cacheControl] = "no-cache"
        if let buffering = HTTPField.Name("x-accel-buffering") { reply.headers[buffering] = "no" }
        return reply
    }

    /// One JSON value a line.
    package static func lines(_ write: @escaping @Sendable (ReplySink) async throws -> Void) -> Reply {
        Reply(type: "application/x-ndjson", .stream(write))
    }

    static func refusal(_ refusal: Refusal, _ dialect: Dialect, requestID: String) -> Reply {
        var reply = json(dialect.body(refusal, requestID: requestID), status: refusal.status)
        if let seconds = refusal.retryAfter { reply.headers[.retryAfter] = "\(seconds)" }
        if !refusal.allowed.isEmpty { reply.headers[.allow] = refusal.allowed.joined(separator: ", ") }
        if refusal.status == 401 { reply.headers[.wwwAuthenticate] = "Bearer" }
        return reply
    }
}
