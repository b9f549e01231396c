import Checkpoint
import Foundation
import HTTPTypes
import Testing

import Gemma3nServer

/// A folder of a test's own, removed with it.
final class TemporaryFolder: Sendable {
    let path = NSTemporaryDirectory() + "gemma3n-\(UUID().uuidString)"

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var names: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }

    func write(_ name: String, _ text: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: "\(path)/\(name)")) }

    func append(_ text: String, to name: String) throws {
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: "\(path)/\(name)"))
        try file.seekToEnd()
        try file.write(contentsOf: Data(text.utf8))
        try file.close()
    }
}

extension ServerUnderTest {
    /// A form as clients send it.
    func upload(
        _ content: some Collection<UInt8>, name: String = "lines.jsonl", purpose: String = "batch", fields: [(String, String)] = []
    ) async -> Answer {
        var body: [UInt8] = []
        for (key, value) in [("purpose", purpose)] + fields {
            body += Array("--XyZ\r\nContent-Disposition: form-data; name=\"\(key)\"\r\n\r\n\(value)\r\n".utf8)
        }
        body += Array("--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\(name)\"\r\nContent-Type: text/plain\r\n\r\n".utf8)
        body += content
        body += Array("\r\n--XyZ--\r\n".utf8)
        return await send(.post, "/v1/files", body: body, headers: [.contentType: "multipart/form-data; boundary=XyZ"])
    }

    /// A batch of lines that are JSON text.
    func batch(_ lines: [String], endpoint: String = "/v1/chat/completions", more: [(String, JSONValue)] = []) async -> Answer {
        let file = await upload(lines.map { $0 + "\n" }.joined().utf8)
        let members: [(String, JSONValue)] = [
            ("input_file_id", file.json["id"] ?? .null), ("endpoint", .string(endpoint)), ("completion_window", "24h"),
        ]
        return await post("/v1/batches", .object(JSONObject((members + more).map { .init(key: $0.0, value: $0.1) })))
    }

    func status(_ batch: Answer) async -> Answer { await send(.get, "/v1/batches/\(batch.json["id"]?.string ?? "")") }

    /// Waits until a batch is as wanted.
    func wait(for batch: Answer, until isWanted: (JSONValue) -> Bool) async throws -> JSONValue {
        for _ in 0..<60_000 {
            let now = await status(batch).json
            if isWanted(now) { return now }
            try await Task.sleep(for: .milliseconds(2))
        }
        Issue.record("the batch did not come to what was wanted: \(await status(batch).text)")
        return .null
    }

    func end(of batch: Answer) async throws -> JSONValue {
        try await wait(for: batch) { ["completed", "failed", "expired", "cancelled"].contains($0["status"]?.string) }
    }

    func content(_ id: JSONValue?) async -> [JSONValue] { await send(.get, "/v1/files/\(id?.string ?? "")/content").lines }

    func figure(_ name: String) async -> Int? {
        await send(.get, "/metrics").text.split(separator: "\n").first { $0.hasPrefix("gemma3n_\(name) ") }.flatMap { Int($0.split(separator: " ")[1]) }
    }
}

/// A line of a batch.
func line(_ id: String, _ body: JSONValue, url: String = "/v1/chat/completions") -> String {
    JSONValue.object(JSONObject([
        .init(key: "custom_id", value: .string(id)), .init(key: "method", value: "POST"), .init(key: "url", value: .string(url)),
        .init(key: "body", value: body),
    ])).serialized()
}
