internal import Checkpoint

/// A file of requests that are answered when there is time, as OpenAI's protocol tells of it.
struct Batch: Sendable, Equatable {
    enum Status: String, Sendable, CaseIterable {
        case validating, failed, finalizing, completed, expired, cancelling, cancelled
        case inProgress = "in_progress"

        /// Whether nothing more happens to it.
        var isEnd: Bool {
            switch self {
            case .failed, .completed, .expired, .cancelled: true
            case .validating, .inProgress, .finalizing, .cancelling: false
            }
        }
    }

    struct Counts: Sendable, Equatable {
        var total = 0
        var completed = 0
        var failed = 0
    }

    static let windowSeconds = 24 * 3600

    let id: String
    /// Larger than that of any batch before it.
    let order: Int
    let endpoint: String
    let inputFile: String
    /// Files that are written as lines are answered; others see them at the end.
    let outputFile: String
    let errorFile: String
    let metadata: JSONValue
    let model: String
    /// Until its files expire; nil if they do not.
    let outputSeconds: Int?
    /// In seconds since 1970.
    let created: Int

    private(set) var status = Status.validating
    /// When it came to a status; in seconds since 1970.
    private(set) var times: [Status: Int] = [:]
    var errors: [BatchLineError] = []
    var counts = Counts()
    var usage = BatchUsage()
    /// Whether its files are there for others.
    var hasOutput = false
    var hasErrors = false

    var expires: Int { created + Self.windowSeconds }

    mutating func come(to status: Status, at time: Int) {
        self.status = status
        times[status] = time
    }

    static func newID() -> String { RequestID.random("batch_") }

    // MARK: JSON

    /// As clients see it.
    var json: JSONValue {
        func number(_ value: Int) -> JSONValue { .number(JSONNumber(value)) }
        let timed: [(String, JSONValue)] = [Status.inProgress, .finalizing, .completed, .failed, .expired, .cancelling, .cancelled].map { status in
            ("\(status.rawValue)_at", times[status].map(number) ?? .null)
        }
        let members: [(String, JSONValue)] =
            [
                ("id", .string(id)), ("object", "batch"), ("endpoint", .string(endpoint)), ("model", .string(model)),
                ("errors", errors.isEmpty ? .null : ["object": "list", "data": .array(errors.map(\.json))]), ("input_file_id", .string(inputFile)),
                ("completion_window", "24h"), ("status", .string(status.rawValue)), ("output_file_id", hasOutput ? .string(outputFile) : .null),
                ("error_file_id", hasErrors ? .string(errorFile) : .null), ("created_at", number(created)), ("expires_at", number(expires)),
            ] + timed + [
                ("request_counts", ["total": number(counts.total), "completed": number(counts.completed), "failed": number(counts.failed)]),
                ("usage", usage.json), ("metadata", metadata),
            ]
        return .object(JSONObject(members.map { .init(key: $0.0, value: $0.1) }))
    }

    /// As it lies on the disk.
    var record: JSONValue {
        json.adding(
            "store",
            [
                "order": .number(JSONNumber(order)), "output": .string(outputFile), "errors": .string(errorFile),
                "seconds": outputSeconds.map { .number(JSONNumber($0)) } ?? .null,
            ])
    }
}

extension Batch {
    /// Nil if the record is none of ours.
    init?(record: JSONValue) {
        guard let id = record["id"]?.string, let order = record["store"]?["order"]?.int, let endpoint = record["endpoint"]?.string,
            let input = record["input_file_id"]?.string, let output = record["store"]?["output"]?.string, let error = record["store"]?["errors"]?.string,
            let created = record["created_at"]?.int, let status = record["status"]?.string.flatMap({ Status(rawValue: $0) }),
            [id, output, error].allSatisfy({ $0.utf8.allSatisfy { $0 != UInt8(ascii: "/") } })
        else { return nil }
        self.init(
            id: id, order: order, endpoint: endpoint, inputFile: input, outputFile: output, errorFile: error, metadata: record["metadata"] ?? .null,
            model: record["model"]?.string ?? "", outputSeconds: record["store"]?["seconds"]?.int, created: created)
        self.status = status
        for status in Status.allCases { times[status] = record["\(status.rawValue)_at"]?.int }
        errors = (record["errors"]?["data"]?.array ?? []).compactMap { BatchLineError(json: $0) }
        let counts = record["request_counts"]
        self.counts = Counts(total: counts?["total"]?.int ?? 0, completed: counts?["completed"]?.int ?? 0, failed: counts?["failed"]?.int ?? 0)
        usage = BatchUsage(json: record["usage"] ?? .null)
        hasOutput = record["output_file_id"]?.string != nil
        hasErrors = record["error_file_id"]?.string != nil
    }

    private init(
        id: String, order: Int, endpoint: String, inputFile: String, outputFile: String, errorFile: String, metadata: JSONValue, model: String,
        outputSeconds: Int?, created: Int
    ) {
        self.id = id
        self.order = order
        self.endpoint = endpoint
        self.inputFile = inputFile
        self.outputFile = outputFile
        self.errorFile = errorFile
        self.metadata = metadata
        self.model = model
        self.outputSeconds = outputSeconds
        self.created = created
    }

    init(_ wish: BatchWish, order: Int, model: String, created: Int) {
        self.init(
            id: Self.newID(), order: order, endpoint: wish.endpoint, inputFile: wish.inputFile, outputFile: StoredFile.newID(),
            errorFile: StoredFile.newID(), metadata: wish.metadata, model: model, outputSeconds: wish.outputSeconds, created: created)
    }
}

/// Why a batch is not begun.
struct BatchLineError: Error, Sendable, Equatable {
    let code: String
    /// A whole sentence.
    let message: String
    /// From 1; nil where no line is at fault.
    var line: Int?
    var field: String?

    var json: JSONValue {
        [
            "code": .string(code), "line": line.map { .number(JSONNumber($0)) } ?? .null, "message": .string(message),
            "param": field.map { .string($0) } ?? .null,
        ]
    }
}

extension BatchLineError {
    init?(json: JSONValue) {
        guard let code = json["code"]?.string, let message = json["message"]?.string else { return nil }
        self.init(code: code, message: message, line: json["line"]?.int, field: json["param"]?.string)
    }
}

/// Tokens of a batch's answers.
struct BatchUsage: Sendable, Equatable {
    private var input = 0
    private var cached = 0
    private var output = 0

    init() {}

    init(json: JSONValue) {
        input = json["input_tokens"]?.int ?? 0
        cached = json["input_tokens_details"]?["cached_tokens"]?.int ?? 0
        output = json["output_tokens"]?.int ?? 0
    }

    /// Adds what the reply to a line says, in whichever protocol's words.
    mutating func add(reply: JSONValue) {
        guard let usage = reply["usage"] else { return }
        input += usage["prompt_tokens"]?.int ?? usage["input_tokens"]?.int ?? 0
        cached += usage["prompt_tokens_details"]?["cached_tokens"]?.int ?? usage["input_tokens_details"]?["cached_tokens"]?.int ?? 0
        output += usage["completion_tokens"]?.int ?? usage["output_tokens"]?.int ?? 0
    }

    var json: JSONValue {
        func number(_ value: Int) -> JSONValue { .number(JSONNumber(value)) }
        return [
            "input_tokens": number(input), "input_tokens_details": ["cached_tokens": number(cached)], "output_tokens": number(output),
            "output_tokens_details": ["reasoning_tokens": 0], "total_tokens": number(input + output),
        ]
    }
}
