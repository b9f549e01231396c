internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import ServiceLifecycle
internal import UnixSignals

/// The socket, and its end: told to stop, it takes no more connections, lets what is under way finish, and cuts off what takes too long.
struct Listener: Sendable {
    let service: HTTPService

    /// Seconds in which answers that are cut off can say so.
    private static let secondsForFarewells = 5

    /// Runs until SIGTERM or SIGINT, and then as long as answers are under way: until a second signal, or `drainSeconds`, at most.
    ///
    /// - Parameters:
    ///   - onStart: Told the port once requests are taken.
    ///   - onStop: Called when no more connections are taken.
    ///   - onDrained: Called when all that were there have ended; the end waits for it.
    func run(
        onStart: @escaping @Sendable (Int) async -> Void, onStop: @escaping @Sendable () async -> Void, onDrained: @escaping @Sendable () async -> Void
    ) async throws {
        let settings = service.settings
        let service = service
        var configuration = HTTP1Channel.Configuration(
            additionalChannelHandlers: [ConnectionWatch(bodySeconds: settings.bodySeconds, writeSeconds: settings.writeSeconds)],
            idleTimeout: .seconds(Int64(settings.idleSeconds)))
        configuration.httpDecoder.maxHeaderFieldSize = settings.headerLimit
        configuration.httpDecoder.maxHeaderListSize = settings.headerLimit
        configuration.httpDecoder.maxHeaderFieldCount = settings.headerCountLimit
        let channel = HTTP1Channel(
            responder: { request, writer, channel in
                let watch = try await channel.pipeline.handler(type: ConnectionWatch.self).get()
                try await service.respond(to: request, writer, watch.connection)
            },
            configuration: configuration)
        let certificate = settings.certificate
        let child: any ServerChildChannel =
            if let certificate { SecureChannel(base: channel, certificate: certificate, handshakeSeconds: settings.handshakeSeconds) } else { channel }
        let server = child.server(
            configuration: ServerConfiguration(
                address: .hostname(settings.host, port: settings.port),
                availableConnectionsDelegate: MaximumAvailableConnections(settings.connectionLimit, logger: service.logger)),
            onServerRunning: { await onStart($0.localAddress?.port ?? settings.port) },
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: Self.quiet)
        // Told to stop from the last to the first, each when the one behind it has ended.
        var services: [any Service] = [Farewell(action: onDrained), server, Farewell(action: onStop)]
        if let certificate { services.append(CertificateRenewal(certificate: certificate, logger: service.logger)) }
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: services.map { .init(service: $0) }, logger: Self.quiet))
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            tasks.addTask { await end(group, signals) }
            try await tasks.next()
            tasks.cancelAll()
        }
    }

    /// Ends the server in good order at the first signal, and whatever is left of it when the time is over. Returns then.
    private func end(_ group: ServiceGroup, _ signals: UnixSignalsSequence) async {
        let (moments, continuation) = AsyncStream<Void>.makeStream()
        var moment = moments.makeAsyncIterator()
        async let _: Void = { for await _ in signals { continuation.yield() } }()
        guard await moment.next() != nil else { return }
        await group.triggerGracefulShutdown()
        async let _: Void = { [seconds = service.settings.drainSeconds] in
            try? await Task.sleep(for: .seconds(seconds))
            continuation.yield()
        }()
        guard await moment.next() != nil, !Task.isCancelled else { return }
        let count = service.underWay.cutOff()
        service.logger.warning("answers were cut off", metadata: ["answers": "\(count)"])
        try? await Task.sleep(for: .seconds(Self.secondsForFarewells))
    }

    /// The frameworks' own lines say nothing that ours do not.
    private static var quiet: Logger { Logger(label: "http") { _ in SwiftLogNoOpLogHandler() } }
}

/// Does something when the server begins to stop.
private struct Farewell: Service {
    let action: @Sendable () async -> Void

    func run() async throws {
        try? await gracefulShutdown()
        await action()
    }
}
