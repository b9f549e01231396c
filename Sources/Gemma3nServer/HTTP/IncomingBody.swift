internal import HummingbirdCore
internal import NIOCore
internal import NIOPosix

/// A body that is read as it comes. Used by one request's task only.
package final class IncomingBody: @unchecked Sendable {
    package private(set) var byteCount = 0
    private let next: () async throws -> [UInt8]?

    /// - Parameter tooLarge: What a body of more than `limit` bytes is told.
    init(_ body: RequestBody, limit: Int, tooLarge: Refusal) {
        var iterator = body.makeAsyncIterator()
        var count = 0
        next = {
            guard let buffer = try await iterator.next() else { return nil }
            count += buffer.readableBytes
            if count > limit { throw tooLarge }
            return Array(buffer.readableBytesView)
        }
    }

    /// One that is there already, in pieces of an odd size.
    init(_ bytes: [UInt8]) {
        var rest = bytes[...]
        next = {
            guard !rest.isEmpty else { return nil }
            defer { rest = rest.dropFirst(64 * 1024 - 1) }
            return Array(rest.prefix(64 * 1024 - 1))
        }
    }

    static var cutOff: Refusal { Refusal(400, "The body is cut off or malformed.", code: "invalid_body") }

    /// The next bytes; nil at the end.
    ///
    /// - Throws: 413 if they are too many, 400 if the client ends too early.
    func read() async throws -> [UInt8]? {
        do {
            let bytes = try await next()
            byteCount += bytes?.count ?? 0
            return bytes
        } catch let error where !(error is Refusal) {
            throw Self.cutOff
        }
    }
}

/// Does something that waits for a disk, on a thread that may.
func onDisk<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
    try await NIOThreadPool.singleton.runIfActive(body)
}
