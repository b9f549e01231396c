/// What a form says beside the file's bytes.
struct UploadForm {
    private var fields: [String: [UInt8]] = [:]
    private var byteCount = 0
    /// Nil until the file begins.
    private(set) var fileName: String?
    private var current = ""

    private static let fieldLimit = 64 << 10
    private static let purposes = ["assistants", "batch", "evals", "fine-tune", "user_data", "vision"]

    /// Whether the bytes that follow are the file's.
    var isFile: Bool { current == "file" }

    mutating func begin(_ name: String, fileName: String?) throws(Refusal) {
        current = name
        guard name == "file" else { return }
        guard self.fileName == nil else { throw Refusal(400, "The form holds two parts named file, expected one.", field: "file", code: "invalid_value") }
        let last = fileName?.split(whereSeparator: { $0 == "/" || $0 == "\\" }).last.map(String.init) ?? ""
        self.fileName = last.isEmpty ? "file" : String(last.prefix(255))
    }

    mutating func add(_ bytes: [UInt8]) throws(Refusal) {
        byteCount += bytes.count
        guard byteCount <= Self.fieldLimit else {
            throw Refusal(400, "The form's fields beside file have more than \(Self.fieldLimit) bytes.", code: "invalid_value")
        }
        fields[current, default: []] += bytes
    }

    private func text(_ name: String) throws(Refusal) -> String? {
        guard let bytes = fields[name] else { return nil }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw Refusal(400, "\(name) must be UTF-8 text.", field: name, code: "invalid_type") }
        return text
    }

    /// - Throws: 400 naming the field.
    func purpose() throws(Refusal) -> String {
        let purpose = try text("purpose") ?? ""
        guard Self.purposes.contains(purpose) else {
            let expected = Self.purposes.map { "\"\($0)\"" }.joined(separator: ", ")
            throw Refusal(
                400, "purpose is \(purpose.isEmpty ? "missing" : "\"\(purpose.prefix(40))\""), expected one of \(expected).", field: "purpose", code: "invalid_value")
        }
        return purpose
    }

    /// Seconds until the file expires; nil if it does not.
    ///
    /// - Throws: 400 naming the field.
    func seconds() throws(Refusal) -> Int? {
        let (anchor, seconds) = (try text("expires_after[anchor]"), try text("expires_after[seconds]"))
        if anchor == nil, seconds == nil { return nil }
        return try Expiry.seconds(anchor: anchor, seconds.flatMap { Int($0) }, field: "expires_after")
    }
}

/// `{"anchor": "created_at", "seconds": …}`
enum Expiry {
    /// - Throws: 400 naming the field.
    static func seconds(anchor: String?, _ seconds: Int?, field: String) throws(Refusal) -> Int {
        guard anchor == "created_at" else {
            throw Refusal(400, "\(field).anchor must be \"created_at\".", field: "\(field).anchor", code: "invalid_value")
        }
        guard let seconds, (3600...2_592_000).contains(seconds) else {
            throw Refusal(400, "\(field).seconds must be a whole number from 3600 to 2592000.", field: "\(field).seconds", code: "invalid_value")
        }
        return seconds
    }
}
