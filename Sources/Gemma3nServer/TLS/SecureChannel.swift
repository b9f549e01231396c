internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import NIOSSL
internal import NIOTLS

/// A connection that begins with TLS; above it, all is as without.
struct SecureChannel: ServerChildChannel {
    let base: HTTP1Channel
    let certificate: ServerCertificate
    let handshakeSeconds: Int

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<HTTP1Channel.Value> {
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandlers(
                NIOSSLServerHandler(context: certificate.context), HandshakeLimit(.seconds(Int64(handshakeSeconds))))
        }.flatMap { base.setup(channel: channel, logger: logger) }
    }

    func handle(value: HTTP1Channel.Value, logger: Logger) async {
        // Who is cut off is closed: half of a TLS connection cannot be.
        await withTaskCancellationHandler { await base.handle(value: value, logger: logger) } onCancel: { value.channel.close(promise: nil) }
    }
}

/// Closes a connection whose handshake takes too long.
private final class HandshakeLimit: ChannelInboundHandler {
    typealias InboundIn = NIOAny

    private let time: TimeAmount
    private var ending: Scheduled<Void>?

    init(_ time: TimeAmount) { self.time = time }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        ending = context.eventLoop.scheduleTask(in: time) { channel.close(promise: nil) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { ending?.cancel() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent { ending?.cancel() }
        context.fireUserInboundEventTriggered(event)
    }
}
