public import Gemma3nHost
internal import HTTPTypes
internal import Logging

/// A model that answers over HTTP, in the protocols clients know.
public struct ModelServer: Sendable {
    let desk: Desk
    let batches: BatchRunner
    package let service: HTTPService
    private let background: BackgroundAnswers

    /// - Throws: When the store cannot be opened.
    public init(_ model: Gemma3nLanguageModel, _ settings: ServerSettings) throws(StoreError) {
        let store = if let path = settings.storePath { try Store(path: path) } else { try Store() }
        self.init(model, settings, store)
    }

    package init(_ model: Gemma3nLanguageModel, _ settings: ServerSettings, _ store: Store) {
        let figures = HTTPFigures()
        let logger = Logger(label: "gemma3n") { _ in LineLogHandler(format: settings.logFormat, logLevel: settings.logLevel.level) }
        let desk = Desk(model, settings)
        self.desk = desk
        background = BackgroundAnswers(desk, store)
        var routes = ChatRoutes(desk: desk).routes + CompletionRoutes(desk: desk).routes + EmbeddingRoutes(desk: desk).routes
        routes += ResponsesRoutes(desk: desk, store: store, background: background).routes
        // What lines of batches may ask.
        let batches = BatchRunner(desk, Router(routes: routes), logger)
        self.batches = batches
        desk.storage.whenOpened { batches.wake($0) }
        routes += OperationRoutes(desk: desk, figures: figures, store: store, batches: batches).routes + ModelRoutes(desk: desk).routes
        routes += AnthropicRoutes(desk: desk).routes + OllamaRoutes(desk: desk).routes + TranscriptionRoutes(desk: desk).routes
        routes += ConversationRoutes(desk: desk, store: store).routes
        routes += FileRoutes(desk: desk).routes + BatchRoutes(desk: desk, runner: batches).routes
        routes += PageRoutes().routes
        service = HTTPService(settings, Router(routes: routes), figures: figures, logger: logger)
    }

    /// Listens until SIGTERM or SIGINT.
    ///
    /// - Parameter onStart: Told the port when requests are taken.
    /// - Throws: When it cannot listen there.
    public func run(onStart: @escaping @Sendable (Int) async -> Void) async throws {
        try desk.storage.start(service.logger)
        do {
            try await listen(onStart)
        } catch let error where !desk.hasBegun || !desk.isStopping {
            throw error
        } catch {
            service.logger.warning("the server did not end in order", metadata: ["error": "\(error)"])
        }
        service.logger.info("stopped")
    }

    /// Takes requests from now on, and up what a server before this one left.
    package func begin() {
        desk.begin()
        background.resume(Exchange(.post, "/v1/responses", id: RequestID.random("req_"), log: service.logger))
    }

    /// Leaves batches where they are, and gives their folder back.
    package func stopBatches() async {
        await batches.stop()
        desk.storage.close()
    }

    private func listen(_ onStart: @escaping @Sendable (Int) async -> Void) async throws {
        try await Listener(service: service).run(
            onStart: { port in
                begin()
                service.logger.info("listening", metadata: ["host": "\(desk.settings.host)", "port": "\(port)"])
                await onStart(port)
            },
            onStop: { [desk, batches] in
                desk.stop()
                await batches.stop()
                service.logger.info("stopping")
            },
            onDrained: { [background] in try? await background.finish() })
    }
}
