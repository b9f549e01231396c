internal import Checkpoint
internal import Gemma3nHost

/// A line of a batch's input.
struct BatchLine: Sendable {
    let id: String
    /// The request's, as JSON text.
    let body: [UInt8]

    /// - Throws: `BatchLineError` that says what is wrong.
    init(_ line: LineSource.Line, number: Int, endpoint: String, limit: Int) throws(BatchLineError) {
        func wrong(_ code: String, _ message: String, _ field: String? = nil) -> BatchLineError {
            BatchLineError(code: code, message: message, line: number, field: field)
        }
        guard line.byteCount <= limit else {
            throw wrong("line_too_long", "The line has \(line.byteCount) bytes, and a request may have \(limit) (--max-body).")
        }
        let json: JSONValue
        do throws(CheckpointError) { json = try JSONValue.parse(line.bytes, file: "The line") } catch { throw wrong("invalid_json_line", error.description) }
        guard let object = json.object else {
            throw wrong("invalid_json_line", "The line is \(json.kind), expected an object with custom_id, method, url and body.")
        }
        do throws(Refusal) {
            let fields = Fields(object)
            id = try fields.required("custom_id")
            guard (1...512).contains(id.utf8.count) else { throw fields.refusal("custom_id", "has \(id.utf8.count) bytes, expected 1 to 512.") }
            let method = try fields.required("method")
            guard method == "POST" else { throw fields.refusal("method", "is \"\(method.prefix(20))\", expected \"POST\".", code: "invalid_method") }
            let url = try fields.required("url")
            guard url == endpoint else {
                throw fields.refusal("url", "is \"\(url.prefix(60))\", but the batch's endpoint is \"\(endpoint)\".", code: "mismatched_url")
            }
            guard let body = try fields.object("body") else {
                throw fields.refusal("body", "must be an object, but is missing.", code: "missing_required_parameter")
            }
            for (field, reason) in [("stream", "nobody reads the answers of a batch as they come"), ("background", "a batch is in the background already")]
            where try body.bool(field) == true {
                throw body.refusal(field, "is true, and \(reason). Leave it out.", code: "unsupported_parameter")
            }
            self.body = Array(JSONValue.object(body.object).serialized().utf8)
        } catch {
            let isMissing = error.field.map { !$0.contains(".") && object[$0] == nil } ?? false
            throw wrong(isMissing ? "missing_required_parameter" : error.code ?? "invalid_request", error.message, error.field)
        }
    }
}

/// The lines of a batch's input file, one after the other. Blank ones count, but ask for nothing. Used by one task.
final class BatchInput: @unchecked Sendable {
    static let lineLimit = 50_000
    /// Errors that are told at most.
    private static let errorLimit = 100

    private let source: LineSource
    /// Holds it open.
    private let file: OpenFile
    private let endpoint: String
    private let byteLimit: Int
    private(set) var number = 0

    /// - Parameter byteLimit: Bytes of a line at most.
    /// - Throws: `FileError`.
    init(path: String, endpoint: String, byteLimit: Int) throws(FileError) {
        file = try OpenFile(path)
        source = LineSource(descriptor: file.descriptor, limit: byteLimit, name: "the batch's input")
        self.endpoint = endpoint
        self.byteLimit = byteLimit
    }

    /// The next line that asks for something; nil at the end.
    func next() throws -> Result<BatchLine, BatchLineError>? {
        while let line = try source.next() {
            number += 1
            if line.byteCount <= byteLimit, line.bytes.allSatisfy({ [0x20, 0x09, 0x0D].contains($0) }) { continue }
            return Result { () throws(BatchLineError) in try BatchLine(line, number: number, endpoint: endpoint, limit: byteLimit) }
        }
        return nil
    }

    /// Reads all of it.
    ///
    /// - Returns: How many requests it holds, and what is wrong with it.
    func check() throws -> (count: Int, errors: [BatchLineError]) {
        var ids: [String: Int] = [:]
        var count = 0
        var errors: [BatchLineError] = []
        while let line = try next(), errors.count < Self.errorLimit {
            count += 1
            guard count <= Self.lineLimit else {
                return (count, [BatchLineError(code: "too_many_requests", message: "The file holds more than \(Self.lineLimit) requests, the most of a batch. Make several.")])
            }
            switch line {
            case .failure(let error): errors.append(error)
            case .success(let line):
                if let first = ids.updateValue(number, forKey: line.id) {
                    let message = "custom_id is \"\(line.id.prefix(80))\", as in line \(first), expected another one for every line."
                    errors.append(BatchLineError(code: "duplicate_custom_id", message: message, line: number, field: "custom_id"))
                }
            }
        }
        if count == 0 { errors.append(BatchLineError(code: "empty_file", message: "The file holds no request.")) }
        return (count, errors)
    }
}
