internal import Checkpoint
internal import Gemma3nHost
internal import Synchronization

/// What came of a batch's lines: a line in one of two files for each, which stays however the server ends.
final class BatchRecords: Sendable {
    private struct Out: ~Copyable {
        var file: GrowingFile
        var byteCount: Int

        init(path: String, from byteCount: Int) throws(FileError) {
            file = try GrowingFile(path: path, from: byteCount)
            self.byteCount = byteCount
        }

        mutating func append(_ bytes: [UInt8]) throws(FileError) {
            do throws(FileError) {
                let written: Result<Void, FileError> = bytes.withUnsafeBytes { bytes in Result { () throws(FileError) in try file.write(bytes) } }
                try written.get()
                try file.synchronize()
                byteCount += bytes.count
            } catch {
                // Half a line must not stand before the next.
                try? file.cut(to: byteCount)
                throw error
            }
        }
    }

    private struct State: ~Copyable {
        var output: Out
        var errors: Out
        var answered: Set<String>
        var progress: Progress
    }

    struct Progress: Sendable {
        var completed = 0
        var failed = 0
        var usage = BatchUsage()

        func show(in batch: inout Batch) {
            (batch.counts.completed, batch.counts.failed, batch.usage) = (completed, failed, usage)
        }
    }

    private let state: Mutex<State>

    /// Goes on with files, where there are some: of torn lines at their ends nothing stays.
    ///
    /// - Throws: `FileError`.
    init(outputPath: String, errorPath: String) throws(FileError) {
        var progress = Progress()
        let completed = try Self.records(outputPath) { record in
            if let body = record["response"]?["body"] { progress.usage.add(reply: body) }
        }
        let failed = try Self.records(errorPath) { _ in }
        (progress.completed, progress.failed) = (completed.ids.count, failed.ids.count)
        state = Mutex(State(
            output: try Out(path: outputPath, from: completed.byteCount), errors: try Out(path: errorPath, from: failed.byteCount),
            answered: completed.ids.union(failed.ids), progress: progress))
    }

    /// The whole records of a file, as far as they are ours.
    private static func records(_ path: String, _ take: (JSONValue) -> Void) throws(FileError) -> (ids: Set<String>, byteCount: Int) {
        let file: OpenFile
        do throws(FileError) {
            file = try OpenFile(path)
        } catch {
            if error.code == .notFound { return ([], 0) }
            throw error
        }
        let lines = LineSource(descriptor: file.descriptor, name: path)
        var ids: Set<String> = []
        var byteCount = 0
        while let line = try lines.next(), line.isEnded {
            guard let record = try? JSONValue.parse(line.bytes, file: path), let id = record["custom_id"]?.string else { break }
            ids.insert(id)
            byteCount += line.byteCount + 1
            take(record)
        }
        return (ids, byteCount)
    }

    var progress: Progress { state.withLock { $0.progress } }

    func isAnswered(_ id: String) -> Bool { state.withLock { $0.answered.contains(id) } }

    /// Makes records durable.
    ///
    /// - Precondition: All of them are failures, or none is.
    /// - Throws: `FileError`; nothing of them stays.
    func append(_ records: [BatchRecord]) throws {
        let bytes = records.flatMap { Array($0.text.utf8) }
        try state.withLock { state in
            if records.contains(where: \.isFailure) {
                try state.errors.append(bytes)
                state.progress.failed += records.count
            } else {
                try state.output.append(bytes)
                state.progress.completed += records.count
            }
            for record in records {
                state.answered.insert(record.id)
                state.progress.usage.add(reply: record.reply)
            }
        }
    }
}

/// What came of a line.
struct BatchRecord: Sendable {
    /// The line's.
    let id: String
    /// With its end.
    let text: String
    let isFailure: Bool
    /// A good one's body.
    let reply: JSONValue

    /// A reply, good or bad.
    ///
    /// - Parameter body: JSON text.
    init(_ id: String, status: Int, requestID: String, body: [UInt8]) {
        let response = #"{"status_code":\#(status),"request_id":\#(JSONValue.string(requestID).serialized()),"body":\#(String(decoding: body, as: UTF8.self))}"#
        self.id = id
        text = Self.line(id, response: response, error: "null")
        isFailure = status >= 400
        reply = isFailure ? .null : (try? JSONValue.parse(body, file: "")) ?? .null
    }

    /// A line that was not answered.
    init(_ id: String, code: String, message: String) {
        let error: JSONValue = ["code": .string(code), "message": .string(message)]
        self.id = id
        text = Self.line(id, response: "null", error: error.serialized())
        isFailure = true
        reply = .null
    }

    private static func line(_ id: String, response: String, error: String) -> String {
        #"{"id":"\#(RequestID.random("batch_req_"))","custom_id":\#(JSONValue.string(id).serialized()),"response":\#(response),"error":\#(error)}"# + "\n"
    }
}
