internal import HummingbirdCore
internal import NIOCore
internal import NIOHTTPTypes
internal import Synchronization

/// Whether the client is still there.
package final class Connection: Sendable {
    private struct State {
        var isClosed = false
        var action: (@Sendable () -> Void)?
    }
    private let state = Mutex(State())

    package init() {}

    var isClosed: Bool { state.withLock { $0.isClosed } }

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
}

/// Watches a connection: tells when the client goes away, and closes it when the client is too slow.
final class ConnectionWatch: ChannelDuplexHandler, RemovableChannelHandler, @unchecked Sendable {
    typealias InboundIn = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart

    let connection = Connection()
    private let bodyTime: TimeAmount
    private let writeTime: TimeAmount
    // Touched on the event loop only.
    private var reading: Scheduled<Void>?
    private var writing: Scheduled<Void>?

    init(bodySeconds: Int, writeSeconds: Int) {
        bodyTime = .seconds(Int64(bodySeconds))
        writeTime = .seconds(Int64(writeSeconds))
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head: reading = closing(context, after: bodyTime)
        case .body: break
        case .end:
            reading?.cancel()
            reading = nil
        }
        context.fireChannelRead(data)
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
