internal import Checkpoint
internal import Gemma3nHost
internal import HTTPTypes
internal import Logging

/// The way of one batch from its file to its answers. It may begin anywhere on that way: what lies on the disk says where.
struct BatchRun: Sendable {
    let id: String
    let desk: Desk
    let opened: Storage.Opened
    /// Where lines are answered.
    let router: Router
    let log: Logger
    /// Told of lines as they are done.
    let didLine: @Sendable (_ isFailure: Bool) -> Void

    private var files: FileStore { opened.files }
    private var batches: BatchStore { opened.batches }

    /// Tries of a line that the server cannot answer for now, such as one that needs more memory than is left.
    private static let tryLimit = 50

    /// - Parameter answerLines: Answers lines in a task that a client who cancels the batch may cancel.
    /// - Throws: `CancellationError` when the server stops, with the batch where it is; `FileError`.
    func run(answerLines: (@escaping @Sendable () async throws -> Void) async throws -> Void) async throws {
        guard let batch = batches[id] else { return }
        if batch.status == .validating { try await validate(batch) }
        guard let begun = batches[id], !begun.status.isEnd else { return }
        let records = try await onDisk { [files] in
            try BatchRecords(outputPath: files.path(of: begun.outputFile), errorPath: files.path(of: begun.errorFile))
        }
        try await show(records)
        if begun.status == .inProgress {
            try await answerLines { try await answer(begun, records) }
            guard let now = batches[id] else { return }
            if now.status == .inProgress {
                try Task.checkCancellation()
                if !isInTime(now) { return try await expire(now, records) }
                // It may have been cancelled at the last moment.
                try await change { if $0.status == .inProgress { $0.come(to: .finalizing, at: files.clock()) } }
            }
        }
        try await finish(records)
    }

    private func show(_ records: BatchRecords) async throws { try await change { records.progress.show(in: &$0) } }

    private func isInTime(_ batch: Batch) -> Bool { files.clock() < batch.expires }

    /// Changes the batch, however long the disk has no room for that.
    private func change(_ body: @escaping @Sendable (inout Batch) -> Void) async throws {
        _ = try await untilThereIsRoom { [batches, id] in try batches.change(id, body) }
    }

    private func untilThereIsRoom<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
        while true {
            do {
                return try await onDisk(body)
            } catch let error as FileError where error.code == .diskFull {
                log.warning("a batch waits for room on the disk", metadata: ["batch": "\(id)"])
                try await Task.sleep(for: .seconds(1))
            }
        }
    }

    // MARK: Before

    private func validate(_ batch: Batch) async throws {
        var found: (count: Int, errors: [BatchLineError])
        do {
            found = try await onDisk { try self.input(batch).check() }
        } catch is FileError {
            found = (0, [BatchLineError(code: "file_not_found", message: "The input file cannot be read.")])
        }
        let (count, errors) = found
        try await change { batch in
            // It may have been cancelled meanwhile.
            guard batch.status == .validating else { return }
            batch.errors = errors
            if errors.isEmpty { batch.counts.total = count }
            batch.come(to: errors.isEmpty ? .inProgress : .failed, at: files.clock())
        }
    }

    private func input(_ batch: Batch) throws(FileError) -> BatchInput {
        try BatchInput(path: files.path(of: batch.inputFile), endpoint: batch.endpoint, byteLimit: desk.settings.bodyLimit)
    }

    // MARK: Lines

    /// Answers the lines that have no answer yet, a few at a time.
    private func answer(_ batch: Batch, _ records: BatchRecords) async throws {
        let input = try await onDisk { try self.input(batch) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            var underWay = 0
            while isInTime(batch) {
                try Task.checkCancellation()
                guard let line = try await onDisk({ try Self.next(input, records) }) else { break }
                if underWay == desk.places.limit {
                    try await group.next()
                    underWay -= 1
                }
                group.addTask { try await answer(line, of: batch, records) }
                underWay += 1
            }
            try await group.waitForAll()
        }
    }

    /// The next line without an answer. What is wrong with lines was told before.
    private static func next(_ input: BatchInput, _ records: BatchRecords) throws -> BatchLine? {
        while let line = try input.next() {
            if case .success(let line) = line, !records.isAnswered(line.id) { return line }
        }
        return nil
    }

    private func answer(_ line: BatchLine, of batch: Batch, _ records: BatchRecords) async throws {
        var tries = 0
        while true {
            let connection = Connection()
            guard await desk.places.enter(connection, while: { !Task.isCancelled && isInTime(batch) }) else { return }
            let requestID = RequestID.random("req_")
            let reply = await reply(to: line, batch.endpoint, requestID, connection)
            desk.places.leave(connection)
            try Task.checkCancellation()
            // Users took its place, or all were taken.
            let isLater = reply.status == 429 || reply.status == 499 || reply.status == 503 && tries < Self.tryLimit
            guard isLater else {
                guard case .bytes(let body) = reply.body else { preconditionFailure("no line of a batch is answered by a stream") }
                let record = BatchRecord(line.id, status: reply.status, requestID: requestID, body: body)
                try await untilThereIsRoom { try records.append([record]) }
                didLine(record.isFailure)
                return try await show(records)
            }
            if reply.status == 503 { tries += 1 }
            try await Task.sleep(for: .milliseconds(min(2000, 20 << min(tries, 7))))
        }
    }

    private func reply(to line: BatchLine, _ path: String, _ requestID: String, _ connection: Connection) async -> Reply {
        var exchange = Exchange(.post, path, body: line.body, id: requestID, connection: connection, log: log)
        exchange.isBackground = true
        let work = Task { [exchange] in
            do {
                return try await router.route(.post, path).route.handler(exchange)
            } catch {
                let refusal = connection.isClosed ? Refusal(CancellationError()) : Refusal(error)
                if refusal.status == 500 { log.error("a line failed", metadata: ["batch": "\(id)", "error": "\(error)"]) }
                return .refusal(refusal, .openAI, requestID: requestID)
            }
        }
        return await withTaskCancellationHandler {
            await work.value
        } onCancel: {
            connection.close()
            work.cancel()
        }
    }

    // MARK: After

    /// Says of every line without an answer that its time is over.
    private func expire(_ batch: Batch, _ records: BatchRecords) async throws {
        let input = try await onDisk { try self.input(batch) }
        while true {
            let lines = try await onDisk { () throws -> [BatchRecord] in
                var lines: [BatchRecord] = []
                while lines.count < 1000, let line = try Self.next(input, records) {
                    lines.append(BatchRecord(line.id, code: "batch_expired", message: "The line was not answered within the completion window."))
                }
                return lines
            }
            if lines.isEmpty { break }
            try await untilThereIsRoom { try records.append(lines) }
        }
        try await end(.expired, records)
    }

    private func finish(_ records: BatchRecords) async throws {
        switch batches[id]?.status {
        case .finalizing: try await end(.completed, records)
        case .cancelling: try await end(.cancelled, records)
        default: break
        }
    }

    /// Shows the files, and then the end.
    private func end(_ status: Batch.Status, _ records: BatchRecords) async throws {
        guard let batch = batches[id] else { return }
        let (hasOutput, hasErrors) = try await untilThereIsRoom { () throws -> (Bool, Bool) in
            (try publish(batch.outputFile, "output", batch), try publish(batch.errorFile, "error", batch))
        }
        try await change { batch in
            records.progress.show(in: &batch)
            (batch.hasOutput, batch.hasErrors) = (hasOutput, hasErrors)
            batch.come(to: status, at: files.clock())
        }
    }

    /// Whether there is anything in it.
    private func publish(_ file: String, _ kind: String, _ batch: Batch) throws -> Bool {
        guard files.folder.byteCount(of: "\(file).data") ?? 0 > 0 else {
            files.folder.remove("\(file).data")
            return false
        }
        _ = try files.add(file, name: "\(batch.id)_\(kind).jsonl", purpose: "batch_output", seconds: batch.outputSeconds)
        return true
    }
}
