internal import Gemma3nHost
internal import HTTPTypes

/// A name for the bytes of a reply: a client that has them is not sent them again (RFC 9110, 8.8.3 and 13.1.2).
struct EntityTag: Sendable {
    private let text: String

    init(_ bytes: [UInt8]) { text = "\"\(SHA256.hex(bytes).prefix(32))\"" }

    /// The reply with the tag; 304 without the bytes if `If-None-Match` names them.
    func reply(_ reply: Reply, to exchange: Exchange) -> Reply {
        var reply = reply
        reply.headers[.eTag] = text
        guard let given = exchange.header("if-none-match"), matches(given) else { return reply }
        reply.status = 304
        reply.headers[.contentType] = nil
        reply.body = .bytes([])
        return reply
    }

    private func matches(_ given: String) -> Bool {
        given.split(separator: ",").contains { tag in
            let tag = tag.drop { $0 == " " || $0 == "\t" }.prefix { $0 != " " && $0 != "\t" }
            return tag == "*" || tag == text || tag == "W/\(text)"
        }
    }
}
