import Checkpoint
import Foundation
import HTTPTypes
import Testing

import Gemma3nServer

@Suite struct BatchTests {
    private let folder = TemporaryFolder()

    private func server(_ change: (inout ServerSettings) -> Void = { _ in }) throws -> ServerUnderTest {
        try ServerUnderTest { settings in
            settings.files = folder.path
            change(&settings)
        }
    }

    private func ids(_ records: [JSONValue]) -> [String] { records.compactMap { $0["custom_id"]?.string } }

    // MARK: Answers

    @Test func answersLines() async throws {
        let server = try server()
        let bad: JSONValue = ["messages": [["role": "king", "content": "x"]]]
        let lines = [line("a", question()), line("b", question([("n", 3), ("seed", 1), ("temperature", 1)])), "", line("c", bad), line("d", question([("model", "other")]))]
        let batch = await server.batch(lines, more: [("metadata", ["for": "tests"])])
        #expect(batch.status == 200 && batch.json["object"] == "batch" && batch.json["metadata"] == ["for": "tests"] && batch.json["model"] == "tiny")
        #expect(batch.json["status"] == "validating" && batch.json["output_file_id"] == .null)
        let end = try await server.end(of: batch)
        #expect(end["status"] == "completed" && end["request_counts"] == ["total": 4, "completed": 2, "failed": 2])
        #expect(["in_progress_at", "finalizing_at", "completed_at"].allSatisfy { end[$0]?.int != nil } && end["failed_at"] == .null && end["errors"] == .null)

        let records = await server.content(end["output_file_id"])
        #expect(Set(ids(records)) == ["a", "b"])
        var tokens = 0
        for record in records {
            #expect(record["id"]?.string?.hasPrefix("batch_req_") == true && record["error"] == .null && record["response"]?["status_code"] == 200)
            #expect(record["response"]?["request_id"]?.string?.hasPrefix("req_") == true)
            let body = record["custom_id"] == "a" ? question() : question([("n", 3), ("seed", 1), ("temperature", 1)])
            let alone = await server.post("/v1/chat/completions", body)
            #expect(record["response"]?["body"]?["choices"] == alone.json["choices"])
            tokens += record["response"]?["body"]?["usage"]?["completion_tokens"]?.int ?? 0
        }
        #expect(end["usage"]?["output_tokens"]?.int == tokens && tokens == 24)

        let failures = await server.content(end["error_file_id"])
        #expect(Set(ids(failures)) == ["c", "d"])
        for failure in failures {
            #expect(failure["response"]?["status_code"]?.int == (failure["custom_id"] == "c" ? 400 : 404))
            #expect(failure["response"]?["body"]?["error"]?["message"]?.string != nil && failure["error"] == .null)
        }
        let file = await server.send(.get, "/v1/files/\(end["output_file_id"]?.string ?? "")").json
        #expect(file["purpose"] == "batch_output" && file["expires_at"] == .null)
        for (name, count) in [("batch_lines_completed_total", 2), ("batch_lines_failed_total", 2), ("batches{status=\"completed\"}", 1), ("files", 3)] {
            #expect(await server.figure(name) == count)
        }
    }

    @Test(arguments: [
        ("/v1/completions", ["prompt": ["a", "b"], "max_tokens": 2, "temperature": 0]), ("/v1/responses", ["input": "a", "max_output_tokens": 2, "store": false]),
        ("/v1/embeddings", ["input": ["a", "b"]]),
    ] as [(String, JSONValue)]) func otherEndpoints(path: String, body: JSONValue) async throws {
        let server = try server()
        let batch = await server.batch([line("x", body, url: path)], endpoint: path, more: [("output_expires_after", ["anchor": "created_at", "seconds": 3600])])
        let end = try await server.end(of: batch)
        #expect(end["request_counts"] == ["total": 1, "completed": 1, "failed": 0] && end["error_file_id"] == .null)
        let reply = await server.content(end["output_file_id"]).first?["response"]?["body"]
        let alone = await server.post(path, body).json
        for key in ["choices", "data", "usage"] where alone[key] != nil && key != "usage" { #expect(reply?[key] == alone[key]) }
        #expect(reply?["object"] == alone["object"])
        let file = await server.send(.get, "/v1/files/\(end["output_file_id"]?.string ?? "")").json
        #expect(file["expires_at"]?.int == (file["created_at"]?.int ?? 0) + 3600)
    }

    @Test func longLines() async throws {
        let server = try server { $0.bodyLimit = 12 << 20 }
        let text = String(repeating: "word ", count: 2 << 20)
        let long: JSONValue = ["messages": [["role": "user", "content": .string(text)]]]
        let batch = await server.batch([line("long", long), line("short", question())])
        let end = try await server.end(of: batch)
        #expect(end["request_counts"] == ["total": 2, "completed": 1, "failed": 1])
        #expect(await server.content(end["error_file_id"]).first?["response"]?["body"]?["error"]?["code"] == "context_length_exceeded")
        let second = try await server.end(of: await server.batch([line("longer", ["messages": .string(text + text)])]))
        #expect(second["status"] == "failed" && second["errors"]?["data"]?[0]?["code"] == "line_too_long")
    }

    // MARK: What is refused

    @Test func namesWhatIsWrongInLines() async throws {
        let server = try server()
        let good = line("good", question())
        let cases: [(String, String, String?)] = [
            ("{", "invalid_json_line", nil), ("[1]", "invalid_json_line", nil), (#"{"method": "POST"}"#, "missing_required_parameter", "custom_id"),
            (good, "duplicate_custom_id", "custom_id"), (line("", [:]), "invalid_value", "custom_id"), (#"{"custom_id": 7}"#, "invalid_type", "custom_id"),
            (line("x", [:], url: "/v1/embeddings"), "mismatched_url", "url"), (#"{"custom_id":"y","method":"GET"}"#, "invalid_method", "method"),
            (#"{"custom_id":"z","method":"POST","url":"/v1/chat/completions"}"#, "missing_required_parameter", "body"),
            (line("s", ["stream": true]), "unsupported_parameter", "body.stream"), (line("t", ["stream": "yes"]), "invalid_type", "body.stream"),
            (line("b", ["background": true]), "unsupported_parameter", "body.background"),
        ]
        let end = try await server.end(of: await server.batch([good] + cases.map(\.0)))
        #expect(end["status"] == "failed" && end["failed_at"]?.int != nil && end["in_progress_at"] == .null && end["output_file_id"] == .null)
        let errors = end["errors"]?["data"]?.array ?? []
        #expect(end["errors"]?["object"] == "list" && errors.count == cases.count)
        for (index, (error, (_, code, field))) in zip(errors, cases).enumerated() {
            #expect(error["line"]?.int == index + 2 && error["code"]?.string == code && error["param"]?.string == field, "\(error.serialized())")
            #expect(error["message"]?.string?.isEmpty == false)
        }
    }

    @Test func sizes() async throws {
        let server = try server()
        for empty in [[], ["", "  "]] {
            let end = try await server.end(of: await server.batch(empty))
            #expect(end["status"] == "failed" && end["errors"]?["data"]?[0]?["code"] == "empty_file" && end["errors"]?["data"]?[0]?["line"] == .null)
        }
        let many = (0...50_000).map { #"{"custom_id":"\#($0)","method":"POST","url":"/v1/chat/completions","body":{}}"# }
        let end = try await server.end(of: await server.batch(many))
        #expect(end["status"] == "failed" && end["errors"]?["data"]?[0]?["code"] == "too_many_requests")
        let wrong = try await server.end(of: await server.batch([String](repeating: "x", count: 1000)))
        #expect(wrong["errors"]?["data"]?.array?.count == 100)
    }

    @Test func namesWhatIsWrongInRequests() async throws {
        let server = try server()
        let file = await server.upload(line("a", question()).utf8).json["id"] ?? .null
        let other = await server.upload("x".utf8, purpose: "user_data").json["id"] ?? .null
        let good: [(String, JSONValue)] = [("input_file_id", file), ("endpoint", "/v1/chat/completions"), ("completion_window", "24h")]
        let cases: [(String, JSONValue, Int, String)] = [
            ("input_file_id", nil, 400, "input_file_id"), ("input_file_id", "file-0", 404, "input_file_id"), ("input_file_id", other, 400, "input_file_id"),
            ("input_file_id", "../lock", 404, "input_file_id"), ("endpoint", "/v1/models", 400, "endpoint"), ("endpoint", 1, 400, "endpoint"),
            ("completion_window", "1h", 400, "completion_window"), ("metadata", ["a": 1], 400, "metadata.a"), ("metadata", "x", 400, "metadata"),
            ("metadata", .object(JSONObject((0..<17).map { .init(key: "\($0)", value: "") })), 400, "metadata"),
            ("output_expires_after", ["anchor": "created_at", "seconds": 1], 400, "output_expires_after.seconds"),
            ("output_expires_after", ["seconds": 3600], 400, "output_expires_after.anchor"),
        ]
        for (key, value, status, field) in cases {
            let answer = await server.post("/v1/batches", .object(JSONObject((good + [(key, value)]).map { .init(key: $0.0, value: $0.1) })))
            #expect(answer.status == status && answer.json["error"]?["param"]?.string == field, "\(key): \(answer.text)")
        }
        #expect(await server.send(.get, "/v1/batches").json["data"]?.array?.isEmpty == true)
        #expect(await server.send(.post, "/v1/batches/batch_0/cancel").status == 404)
    }

    // MARK: Ends

    private let endless = line("endless", question([("n", 16)], tokens: 100_000))

    @Test func lists() async throws {
        let server = try server()
        var ids: [String] = []
        for _ in 0..<3 { ids.append(await server.batch(["x"]).json["id"]?.string ?? "") }
        func listed(_ query: String) async -> [String] { await server.send(.get, "/v1/batches\(query)").json["data"]?.array?.compactMap { $0["id"]?.string } ?? [] }
        #expect(await listed("") == ids.reversed())
        #expect(await listed("?limit=1&after=\(ids[2])") == [ids[1]])
    }

    @Test func isCancelled() async throws {
        let server = try server()
        let batch = await server.batch([line("first", question()), endless])
        _ = try await server.wait(for: batch) { $0["request_counts"]?["completed"] == 1 }
        let file = await server.send(.delete, "/v1/files/\(batch.json["input_file_id"]?.string ?? "")")
        #expect(file.status == 400 && file.json["error"]?["code"] == "file_in_use")
        let path = "/v1/batches/\(batch.json["id"]?.string ?? "")/cancel"
        let cancelling = await server.send(.post, path)
        #expect(["cancelling", "cancelled"].contains(cancelling.json["status"]?.string))
        let end = try await server.end(of: batch)
        #expect(end["status"] == "cancelled" && end["cancelling_at"]?.int != nil && end["cancelled_at"]?.int != nil)
        #expect(ids(await server.content(end["output_file_id"])) == ["first"])
        #expect(end["error_file_id"] == .null)
        #expect(await server.send(.post, path).json["status"] == "cancelled")
        let done = try await server.end(of: await server.batch([line("a", question())]))
        let late = await server.send(.post, "/v1/batches/\(done["id"]?.string ?? "")/cancel")
        #expect(late.status == 400 && late.json["error"]?["code"] == "invalid_batch_status")
        #expect(await server.send(.delete, "/v1/files/\(batch.json["input_file_id"]?.string ?? "")").status == 200)
    }

    /// With one place, which a batch's lines have: users' requests get it, and what they interrupt begins again. A line may end just before a
    /// request comes, and then nothing is interrupted.
    @Test func usersComeFirst() async throws {
        let server = try server { $0.parallel = 1 }
        let batch = await server.batch((0..<20).map { line("\($0)", question([("n", 16)], tokens: 100_000)) })
        _ = try await server.wait(for: batch) { $0["status"] == "in_progress" }
        for _ in 0..<50 where await server.figure("requests_cancelled_total") == 0 {
            while await server.figure("requests_running") == 0 { try await Task.sleep(for: .milliseconds(1)) }
            #expect(await server.post("/v1/chat/completions", question()).status == 200)
        }
        #expect((await server.figure("requests_cancelled_total") ?? 0) > 0)
        while await server.figure("requests_running") == 0 { try await Task.sleep(for: .milliseconds(1)) }
        _ = await server.send(.post, "/v1/batches/\(batch.json["id"]?.string ?? "")/cancel")
        #expect(try await server.end(of: batch)["status"] == "cancelled")
    }

    /// Lines wait while users have all places, and their time may be over before they get one.
    @Test func expires() async throws {
        let clock = Moved()
        let server = try server { settings in
            settings.parallel = 1
            settings.clock = { clock.now }
        }
        let connection = Connection()
        let user = Task { await server.send(.post, "/v1/chat/completions", body: Array(question([("n", 16)], tokens: 100_000).serialized().utf8), connection: connection) }
        while await server.figure("requests_running") == 0 { try await Task.sleep(for: .milliseconds(1)) }
        let batch = await server.batch((0..<5).map { line("\($0)", question()) })
        _ = try await server.wait(for: batch) { $0["status"] == "in_progress" }
        #expect(batch.json["expires_at"]?.int == clock.now + 24 * 3600)
        clock.now += 24 * 3600
        let end = try await server.end(of: batch)
        #expect(end["status"] == "expired" && end["expired_at"]?.int == clock.now && end["output_file_id"] == .null)
        #expect(end["request_counts"] == ["total": 5, "completed": 0, "failed": 5])
        let failures = await server.content(end["error_file_id"])
        #expect(ids(failures) == (0..<5).map { "\($0)" })
        #expect(failures.allSatisfy { $0["response"] == .null && $0["error"]?["code"] == "batch_expired" })
        connection.close()
        _ = await user.value
    }

    // MARK: Restarts

    /// The server ends again and again, and leaves half a record behind: every line is answered once.
    @Test func goesOnAfterARestart() async throws {
        let lines = (0..<60).map { line("line \($0)", $0 % 10 == 9 ? ["messages": 1] : question([("seed", .number(JSONNumber($0)))], tokens: 20)) }
        var server = try server()
        let batch = await server.batch(lines)
        for restart in 1...3 {
            let now = try await server.wait(for: batch) { now in
                let counts = now["request_counts"]
                return (counts?["completed"]?.int ?? 0) + (counts?["failed"]?.int ?? 0) >= restart * 5 || now["status"] == "completed"
            }
            await server.server.stopBatches()
            if now["status"] != "completed" {
                let written = folder.names.filter { $0.hasSuffix(".data") && !folder.names.contains("\($0.dropLast(5)).json") }
                for name in written { try folder.append(#"{"id":"batch_req_torn","custom_id":"line 5"#, to: name) }
            }
            server = try self.server()
            _ = await server.send(.get, "/v1/files")
        }
        let end = try await server.end(of: batch)
        #expect(end["status"] == "completed" && end["request_counts"] == ["total": 60, "completed": 54, "failed": 6])
        let answered = ids(await server.content(end["output_file_id"])), failed = ids(await server.content(end["error_file_id"]))
        #expect((answered + failed).sorted() == (0..<60).map { "line \($0)" }.sorted())
        #expect(end["usage"]?["output_tokens"] == .number(JSONNumber(54 * 20)))
        #expect(end["created_at"] == batch.json["created_at"] && end["in_progress_at"]?.int != nil)
    }

    /// Killed between the last line and the end.
    @Test func endsAfterARestart() async throws {
        var server = try server()
        let batch = await server.batch([line("a", question())])
        let end = try await server.end(of: batch)
        await server.server.stopBatches()
        let id = batch.json["id"]?.string ?? "", output = end["output_file_id"]?.string ?? ""
        let record = try String(contentsOfFile: "\(folder.path)/\(id).json", encoding: .utf8)
        try folder.write("\(id).json", record.replacing("\"status\":\"completed\"", with: "\"status\":\"finalizing\"").replacing("\"output_file_id\":\"\(output)\"", with: "\"output_file_id\":null"))
        try FileManager.default.removeItem(atPath: "\(folder.path)/\(output).json")
        server = try self.server()
        _ = await server.send(.get, "/v1/files")
        let again = try await server.end(of: batch)
        #expect(again["status"] == "completed" && again["output_file_id"]?.string == output)
        #expect(ids(await server.content(again["output_file_id"])) == ["a"])
    }
}
