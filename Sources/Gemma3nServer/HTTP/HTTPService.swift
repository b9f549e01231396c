internal import Checkpoint
internal import Gemma3nHost
internal import HTTPTypes
internal import HummingbirdCore
internal import Logging
internal import NIOCore

/// Between the wire and the routes: reads requests, lets through who may ask, finds the route, writes the reply, logs and counts.
package struct HTTPService: Sendable {
    let settings: ServerSettings
    let router: Router
    let figures: HTTPFigures
    let logger: Logger
    let gate: Gate
    let underWay = ConnectionsUnderWay()

    init(_ settings: ServerSettings, _ router: Router, figures: HTTPFigures, logger: Logger) {
        self.settings = settings
        self.router = router
        self.figures = figures
        self.logger = logger
        gate = Gate(settings)
    }

    /// Answers one request of a connection.
    func respond(to request: Request, _ writer: consuming ResponseWriter, _ connection: Connection) async throws {
        let start = ContinuousClock.now
        figures.begin()
        underWay.add(connection)
        let id = RequestID.chosen(HTTPField.Name("x-request-id").flatMap { request.headers[$0] })
        var log = logger
        log[metadataKey: "request"] = .string(id)
        let path = percentDecoded(request.uri.path)
        let dialect = Dialect(path: path)
        var headers = request.headers
        // The codec keeps it apart.
        if let name = HTTPField.Name("host") { headers[name] = request.head.authority }
        var exchange = Exchange(
            request.method, path, query: Query(request.uri.query ?? ""), headers: headers, id: id, connection: connection, log: log)
        var routeName = "none"
        var reply: Reply
        do {
            // Who may not ask, or asks for what is not there, is told before the body is read.
            let route = try enter(&exchange)
            routeName = route.name
            if request.method != .options { try await readBody(of: request, route, into: &exchange, writer) }
            reply = try await route.handler(exchange)
        } catch {
            reply = .refusal(refusal(of: error, exchange), dialect, requestID: id)
        }
        if let name = HTTPField.Name("x-request-id") { reply.headers[name] = id }
        if let name = HTTPField.Name("x-content-type-options") { reply.headers[name] = "nosniff" }
        gate.addHeaders(for: exchange.header("origin"), to: &reply.headers)

        var failure: (any Error)?
        do {
            try await write(reply, writer, bodyIsWanted: request.method != .head)
        } catch {
            failure = error
        }
        let seconds = start.duration(to: .now) / .seconds(1)
        let bytesIn = exchange.upload?.byteCount ?? exchange.body.count
        figures.end(
            route: routeName, method: request.method.rawValue, status: reply.status, seconds: seconds, bytesIn: bytesIn,
            cancelled: connection.isClosed)
        log.info(
            "\(request.method.rawValue) \(shown(path))",
            metadata: [
                "status": "\(reply.status)", "ms": "\(Int(seconds * 1000))", "in": "\(bytesIn)",
                "gone": connection.isClosed ? "true" : "false",
            ])
        connection.whenClosed(nil)
        connection.whenCutOff(nil)
        underWay.remove(connection)
        if let failure { throw failure }
    }

    /// The same without a socket: for tests.
    package func reply(to exchange: Exchange) async -> Reply {
        var exchange = exchange
        do {
            let route = try enter(&exchange)
            if exchange.body.count > route.uploadLimit ?? settings.bodyLimit { throw tooLarge(route) }
            if route.uploadLimit != nil { exchange.upload = IncomingBody(exchange.body) }
            return try await route.handler(exchange)
        } catch {
            return .refusal(refusal(of: error, exchange), Dialect(path: exchange.path), requestID: exchange.id)
        }
    }

    private func enter(_ exchange: inout Exchange) throws(Refusal) -> Route {
        if exchange.method == .options, exchange.header("access-control-request-method") != nil {
            try gate.check(exchange, isOpen: true)
            let gate = gate
            return Route(.options, "preflight", isOpen: true) { gate.preflight($0) }
        }
        if exchange.method == .options, exchange.path == "*" {
            try gate.check(exchange, isOpen: true)
            return Route(.options, "options", isOpen: true) { _ in
                Reply(status: 204, headers: [.allow: "GET, HEAD, POST, DELETE, OPTIONS"], .bytes([]))
            }
        }
        let found: (route: Route, parameters: [String: String])
        do throws(Refusal) {
            found = try router.route(exchange.method, exchange.path)
        } catch {
            try gate.check(exchange, isOpen: false)
            throw error
        }
        try gate.check(exchange, isOpen: found.route.isOpen)
        exchange.parameters = found.parameters
        exchange.cacheScope = gate.cacheScope(of: exchange)
        return found.route
    }

    private func tooLarge(_ route: Route) -> Refusal {
        let (limit, option) = route.uploadLimit.map { ($0, "--max-file") } ?? (settings.bodyLimit, "--max-body")
        return Refusal(413, "The body is larger than \(limit) bytes, the most this server takes here (\(option)).", code: "request_too_large")
    }

    private func readBody(of request: Request, _ route: Route, into exchange: inout Exchange, _ writer: borrowing ResponseWriter) async throws {
        let announced = request.headers[.contentLength].flatMap { Int($0) }
        if let announced, announced > route.uploadLimit ?? settings.bodyLimit { throw tooLarge(route) }
        if request.headers[.expect]?.lowercased() == "100-continue" { try await writer.writeInformationalHead(HTTPResponse(status: .continue)) }
        if let limit = route.uploadLimit {
            exchange.upload = IncomingBody(request.body, limit: limit, tooLarge: tooLarge(route))
            return
        }
        var body: [UInt8] = []
        body.reserveCapacity(min(announced ?? 0, 1 << 20))
        do {
            for try await buffer in request.body {
                if body.count + buffer.readableBytes > settings.bodyLimit { throw tooLarge(route) }
                body += buffer.readableBytesView
            }
        } catch let error where !(error is Refusal) {
            throw IncomingBody.cutOff
        }
        exchange = exchange.with(body: body)
    }

    private func refusal(of error: any Error, _ exchange: Exchange) -> Refusal {
        let refusal = exchange.connection.isClosed ? Refusal(CancellationError()) : Refusal(error)
        if refusal.status == 500 || refusal.status == 507 { exchange.log.error("the request failed", metadata: ["error": "\(error)"]) }
        return refusal
    }

    private func write(_ reply: Reply, _ writer: consuming ResponseWriter, bodyIsWanted: Bool) async throws {
        var head = HTTPResponse(status: HTTPResponse.Status(code: reply.status), headerFields: reply.headers)
        switch reply.body {
        case .bytes(let bytes):
            if reply.status != 204, reply.status != 304 { head.headerFields[.contentLength] = "\(bytes.count)" }
            guard bodyIsWanted, !bytes.isEmpty else { return try await writer.writeResponse(head) }
            try await writer.write(response: head, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
        case .stream(let produce):
            guard bodyIsWanted else { return try await writer.writeResponse(head) }
            let out = StreamWriter(try await writer.writeHead(head))
            try await produce { try await out.write($0) }
            try await out.finish()
        case .file(let file):
            head.headerFields[.contentLength] = "\(file.byteCount)"
            guard bodyIsWanted else { return try await writer.writeResponse(head) }
            let out = StreamWriter(try await writer.writeHead(head))
            var sent = 0
            while sent < file.byteCount {
                let bytes = try await onDisk { [sent] in try file.read(at: sent, count: min(Self.filePiece, file.byteCount - sent)) }
                // Shortened by somebody else: the client is to see that bytes are missing.
                guard !bytes.isEmpty else { throw IncomingBody.cutOff }
                sent += bytes.count
                try await out.write(bytes)
            }
            try await out.finish()
        }
    }

    /// Bytes of a file that are in memory at once.
    private static let filePiece = 256 << 10

    /// A path for the log: no line breaks, not endless.
    private func shown(_ path: String) -> String {
        String(String.UnicodeScalarView(path.unicodeScalars.prefix(200).filter { $0.value >= 0x20 && $0.value != 0x7F }))
    }
}

extension Exchange {
    /// The same request for an answer that another connection ends.
    func with(connection: Connection) -> Exchange {
        var exchange = self
        exchange.body = []
        exchange.connection = connection
        return exchange
    }

    func with(body: [UInt8]) -> Exchange {
        var exchange = self
        exchange.body = body
        return exchange
    }
}

/// A body under way. Used by one request's task only.
private final class StreamWriter: @unchecked Sendable {
    private var writer: any ResponseBodyWriter

    init(_ writer: any ResponseBodyWriter) { self.writer = writer }

    func write(_ text: String) async throws { try await writer.write(ByteBuffer(string: text)) }
    func write(_ bytes: [UInt8]) async throws { try await writer.write(ByteBuffer(bytes: bytes)) }
    func finish() async throws { try await writer.finish(nil) }
}
