internal import Gemma3n
internal import Gemma3nHost

/// The answers to one request, under way. Read by one task.
final class Answering: @unchecked Sendable {
    struct Piece: Sendable {
        /// Which of the answers it belongs to.
        let choice: Int
        let piece: AnswerPiece
    }

    private static let secondsBetweenSigns = 15

    private var iterator: AsyncThrowingStream<Piece, any Error>.Iterator
    private var first: Piece?

    /// Begins answers: they end when the reader or the client goes away. Those of a line of a batch are begun one after the other.
    ///
    /// - Throws: `rateLimited`, `shuttingDown`.
    init(_ works: [ChatWork], _ room: EngineRoom, _ exchange: Exchange) throws(SessionError) {
        var requests: [(work: ChatWork, request: AnswerRequest)] = []
        for work in works {
            for choice in 0..<work.count {
                var options = work.options
                if let seed = options.seed { options.seed = seed &+ UInt64(choice) }
                requests.append((work, AnswerRequest(work.input, options: options, id: exchange.id, cacheScope: exchange.cacheScope)))
            }
        }
        guard !exchange.isBackground else {
            let (pieces, continuation) = AsyncThrowingStream<Piece, any Error>.makeStream(bufferingPolicy: .unbounded)
            let reading = Task { [requests] in
                do {
                    for (choice, (work, request)) in requests.enumerated() {
                        try await Self.read(try room.answer(request), work) { continuation.yield(Piece(choice: choice, piece: $0)) }
                    }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            exchange.connection.whenClosed { reading.cancel() }
            iterator = pieces.makeAsyncIterator()
            return
        }
        var streams: [(work: ChatWork, stream: AnswerStream)] = []
        for (work, request) in requests { streams.append((work, try room.answer(request))) }
        exchange.connection.whenClosed { [streams] in for (_, stream) in streams { stream.stop() } }
        let (pieces, continuation) = AsyncThrowingStream<Piece, any Error>.makeStream(bufferingPolicy: .unbounded)
        let reading = Task { [streams] in
            do {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for (choice, (work, stream)) in streams.enumerated() {
                        group.addTask { try await Self.read(stream, work) { continuation.yield(Piece(choice: choice, piece: $0)) } }
                    }
                    group.addTask {
                        while true {
                            try await Task.sleep(for: .seconds(Self.secondsBetweenSigns))
                            continuation.yield(Piece(choice: 0, piece: .wait))
                        }
                    }
                    for _ in streams { try await group.next() }
                    group.cancelAll()
                }
                continuation.finish()
            } catch {
                continuation.finish(throwing: error)
            }
        }
        continuation.onTermination = { reason in
            if case .cancelled = reason { reading.cancel() }
        }
        exchange.connection.whenCutOff { [streams] in
            continuation.finish(throwing: SessionError(.shuttingDown, "The server is stopping, and its time for this answer is over. Ask again."))
            for (_, stream) in streams { stream.stop() }
        }
        iterator = pieces.makeAsyncIterator()
    }

    /// Waits until work on the first answer begins, but not for long: what is wrong with a request comes out here, before anything was sent.
    func begun() async throws -> Answering {
        first = try await iterator.next()
        return self
    }

    func next() async throws -> Piece? {
        if let first {
            self.first = nil
            return first
        }
        guard let piece = try await iterator.next() else {
            // The server was told to end at once.
            if Task.isCancelled { throw CancellationError() }
            return nil
        }
        return piece
    }

    /// Waits for all answers, in order.
    ///
    /// - Throws: `CancellationError` if the client went away.
    func collect() async throws -> [FinishedAnswer] {
        var finished: [Int: FinishedAnswer] = [:]
        while let piece = try await next() {
            if case .end(let answer) = piece.piece { finished[piece.choice] = answer }
        }
        return finished.sorted { $0.key < $1.key }.map(\.value)
    }

    private static func read(_ stream: AnswerStream, _ work: ChatWork, _ emit: (AnswerPiece) -> Void) async throws {
        var parser = work.options.tools.map { ToolCallParser($0, hasShape: work.options.shape != nil) }
        var probabilities: [TokenProbabilities] = []
        var text = ""

        func take(_ events: [ToolCallParser.Event]) {
            for event in events {
                switch event {
                case .text(let more):
                    text += more
                    emit(.text(more, probabilities))
                    probabilities = []
                case .callBegan(let index, let id, let name): emit(.callBegan(index: index, id: id, name: name))
                case .arguments(let index, let more): emit(.arguments(index: index, more))
                case .callEnded(let index): emit(.callEnded(index: index))
                }
            }
        }

        for try await event in stream {
            if let beginning = event.beginning { emit(.begun(beginning)) }
            probabilities += event.logProbabilities
            if parser == nil {
                text += event.text
                if !event.text.isEmpty || !probabilities.isEmpty { emit(.text(event.text, probabilities)) }
                probabilities = []
            } else {
                take(parser?.push(event.text) ?? [])
            }
            if let response = event.response {
                if response.finishReason == .cancelled { throw CancellationError() }
                take(parser?.finish() ?? [])
                emit(.end(FinishedAnswer(text: text, calls: parser?.wholeCalls ?? [], response: response)))
                return
            }
        }
        throw CancellationError()
    }
}
