internal import HTTPTypes
internal import HummingbirdCore
internal import NIOCore
internal import NIOHTTPTypes
internal import Synchronization

/// Whether the client is still there, and whether the server still has time for it.
package final class Connection: Sendable {
    private struct State {
        var isClosed = false
        var action: (@Sendable () -> Void)?
        var isCutOff = false
        var cutOffAction: (@Sendable () -> Void)?
    }
    private let state = Mutex(State())

    package init() {}

    var isClosed: Bool { state.withLock { $0.isClosed } }
    var isCutOff: Bool { state.withLock { $0.isCutOff } }

    /// What to do when the client goes away; at once if it has. The last one asked for counts.
    func whenClosed(_ action: (@Sendable () -> Void)?) {
        let now = state.withLock { state in
            state.action = action
            return state.isClosed
        }
        if now { action?() }
    }

    package func close() {
        let action = state.withLock { state in
            defer { state.action = nil }
            state.isClosed = true
            return state.action
        }
        action?()
    }

    /// What to do when the server must end before the answer does; at once if it must. The last one asked for counts.
    func whenCutOff(_ action: (@Sendable () -> Void)?) {
        let now = state.withLock { state in
            state.cutOffAction = action
            return state.isCutOff
        }
        if now { action?() }
    }

    package func cutOff() {
        let action = state.withLock { state in
            defer { state.cutOffAction = nil }
            state.isCutOff = true
            return state.cutOffAction
        }
        action?()
    }
}

/// Watches a connection: tells when the client goes away, and closes it when the client is too slow.
final class ConnectionWatch: ChannelDuplexHandler, RemovableChannelHandler, @unchecked Sendable {
    typealias InboundIn = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    let connection = Connection()
    private let bodyTime: TimeAmount
    private let writeTime: TimeAmount
    // Touched on the event loop only.
    private var reading: Scheduled<Void>?
    private var writing: Scheduled<Void>?
    /// Requests that came and are not answered to their end.
    private var pending = 0
    /// Whether a request said that it is the last one, whether a reply did, and whether that reply is written.
    private var requestIsLast = false
    private var replyIsLast = false
    private var isClosing = false
    /// Whether reading the rest of a body that nobody wants is cheaper than another connection.
    private var bodyIsSmall = true

    /// For a client that is still sending when its reply is there: it is to read that before the connection is cut.
    private static let lingering = TimeAmount.seconds(2)

    init(bodySeconds: Int, writeSeconds: Int) {
        bodyTime = .seconds(Int64(bodySeconds))
        writeTime = .seconds(Int64(writeSeconds))
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            pending += 1
            if Self.closes(head.headerFields) { requestIsLast = true }
            bodyIsSmall = head.headerFields[.transferEncoding] == nil && head.headerFields[.contentLength].flatMap { Int($0) } ?? 0 <= 64 << 10
            reading = closing(context, after: bodyTime)
        case .body: break
        case .end:
            reading?.cancel()
            reading = nil
            if isClosing { context.channel.close(promise: nil) }
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        // Of what came behind a last reply nothing is answered, not even that it is malformed: it would be taken for another reply.
        if isClosing {
            promise?.succeed()
            return
        }
        switch unwrapOutboundIn(data) {
        case .head(var head):
            if reading != nil, !bodyIsSmall, pending == 1, head.status.kind != .informational { head.headerFields[.connection] = "close" }
            if Self.closes(head.headerFields) { replyIsLast = true }
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .body: context.write(data, promise: promise)
        case .end:
            pending -= 1
            guard replyIsLast || requestIsLast && pending == 0 else { return context.write(data, promise: promise) }
            isClosing = true
            let isReading = reading != nil
            if isReading {
                reading?.cancel()
                reading = closing(context, after: Self.lingering)
            }
            let written = promise ?? context.eventLoop.makePromise()
            let channel = context.channel
            written.futureResult.whenComplete { _ in channel.close(mode: isReading ? .output : .all, promise: nil) }
            context.write(data, promise: written)
        }
    }

    private static func closes(_ fields: HTTPFields) -> Bool {
        fields[values: .connection].contains { value in
            value.split(separator: ",").contains { $0.lowercased().filter { $0 != " " } == "close" }
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        writing?.cancel()
        writing = context.channel.isWritable ? nil : closing(context, after: writeTime)
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // A client that closes its connection looks like one that will send no more.
        if case .some(.inputClosed) = event as? ChannelEvent { connection.close() }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is IOError { connection.close() }
        context.fireErrorCaught(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        reading?.cancel()
        writing?.cancel()
        connection.close()
        context.fireChannelInactive()
    }

    private func closing(_ context: ChannelHandlerContext, after time: TimeAmount) -> Scheduled<Void> {
        let channel = context.channel
        return context.eventLoop.scheduleTask(in: time) { channel.close(promise: nil) }
    }
}
