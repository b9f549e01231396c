import Checkpoint
import Foundation
import HTTPTypes
import Synchronization
import TestSupport
import Testing

import Gemma3nServer

@Suite struct FileTests {
    private let folder = TemporaryFolder()

    private func server(_ change: (inout ServerSettings) -> Void = { _ in }) throws -> ServerUnderTest {
        try ServerUnderTest { settings in
            settings.files = folder.path
            change(&settings)
        }
    }

    @Test func comeAndGo() async throws {
        let server = try server()
        #expect(await server.send(.get, "/v1/files").json == ["object": "list", "data": [], "first_id": nil, "last_id": nil, "has_more": false])
        // Nothing is made before it is needed.
        #expect(folder.names.isEmpty)
        let file = await server.upload("a\r\n--Xy\0b".utf8, name: "../../a;b\\\".txt", purpose: "user_data")
        #expect(file.status == 200 && file.json["object"] == "file" && file.json["filename"] == "a;b\".txt" && file.json["bytes"] == 9)
        #expect(file.json["purpose"] == "user_data" && file.json["expires_at"] == .null && file.json["created_at"]?.int != nil)
        let id = try #require(file.json["id"]?.string)
        #expect(folder.names == ["\(id).data", "\(id).json", "lock"])
        #expect(await server.send(.get, "/v1/files/\(id)").json == file.json)
        let content = await server.send(.get, "/v1/files/\(id)/content")
        #expect(content.text == "a\r\n--Xy\0b" && content.reply.headers[.contentType] == "application/octet-stream")
        #expect(await server.send(.delete, "/v1/files/\(id)").json == ["id": .string(id), "object": "file", "deleted": true])
        for path in ["/v1/files/\(id)", "/v1/files/\(id)/content"] {
            let gone = await server.send(.get, path)
            #expect(gone.status == 404 && gone.json["error"]?["code"] == "file_not_found")
        }
        #expect(await server.send(.delete, "/v1/files/\(id)").status == 404)
        #expect(folder.names == ["lock"])
    }

    @Test func listsByPages() async throws {
        let server = try server()
        var ids: [String] = []
        for index in 0..<5 { ids.append(await server.upload("x".utf8, name: "\(index)", purpose: index == 2 ? "vision" : "batch").json["id"]?.string ?? "") }
        func listed(_ query: String) async -> [String] { await server.send(.get, "/v1/files\(query)").json["data"]?.array?.compactMap { $0["id"]?.string } ?? [] }
        #expect(await listed("") == ids.reversed())
        #expect(await listed("?order=asc") == ids)
        #expect(await listed("?order=asc&limit=2&after=\(ids[1])") == Array(ids[2...3]))
        #expect(await listed("?purpose=vision") == [ids[2]])
        #expect(await server.send(.get, "/v1/files?limit=3").json["has_more"] == true)
        for wrong in ["limit=0", "limit=10001", "order=up", "after=file-0"] { #expect(await server.send(.get, "/v1/files?\(wrong)").status == 400) }
    }

    @Test func stayWhenTheServerEnds() async throws {
        let first = try server()
        let file = await first.upload("kept".utf8)
        let second = try server()
        let refused = await second.send(.get, "/v1/files")
        #expect(refused.status == 503 && refused.json["error"]?["code"] == "files_unavailable")
        #expect(await second.upload("x".utf8).status == 503)
        await first.server.stopBatches()
        let id = file.json["id"]?.string ?? ""
        #expect(await second.send(.get, "/v1/files/\(id)").json == file.json)
        #expect(await second.send(.get, "/v1/files/\(id)/content").text == "kept")
        let next = await second.upload("later".utf8)
        #expect(await second.send(.get, "/v1/files?limit=1").json["data"]?[0] == next.json)
    }

    @Test func expire() async throws {
        let moved = Moved()
        let server = try server { settings in settings.clock = { moved.now } }
        let fields = [("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "3600")]
        let file = await server.upload("x".utf8, fields: fields)
        #expect(file.json["expires_at"] == 1_003_600)
        let id = file.json["id"]?.string ?? ""
        moved.now += 3599
        #expect(await server.send(.get, "/v1/files/\(id)").status == 200)
        moved.now += 1
        #expect(await server.send(.get, "/v1/files/\(id)").status == 404)
        #expect(folder.names == ["lock"])
        for seconds in ["3599", "2592001", "x", ""] {
            let wrong = await server.upload("x".utf8, fields: [("expires_after[anchor]", "created_at"), ("expires_after[seconds]", seconds)])
            #expect(wrong.status == 400 && wrong.json["error"]?["param"] == "expires_after.seconds")
        }
        #expect(await server.upload("x".utf8, fields: [("expires_after[seconds]", "3600")]).json["error"]?["param"] == "expires_after.anchor")
    }

    /// What an interrupted upload or removal may have left.
    @Test func leftoversAreSwept() async throws {
        let first = try server()
        let file = await first.upload("kept".utf8)
        await first.server.stopBatches()
        let id = file.json["id"]?.string ?? ""
        try folder.write(".file-1.data.77-1.tmp", "half")
        try folder.write("file-000000000000000000000000.data", "nobody's")
        try folder.write("file-111111111111111111111111.json", "{")
        try folder.write("file-222222222222222222222222.json", file.text)
        let second = try server()
        #expect(await second.send(.get, "/v1/files").json["data"]?.array?.compactMap { $0["id"]?.string } == [id])
        #expect(!folder.names.contains(".file-1.data.77-1.tmp") && !folder.names.contains("file-000000000000000000000000.data"))
        #expect(await second.send(.get, "/v1/files/\(id)/content").text == "kept")
    }

    @Test func nothingStaysOfWhatIsRefused() async throws {
        let server = try server { $0.fileLimit = 300_000 }
        #expect(await server.upload([UInt8](repeating: 7, count: 300_000)).status == 200)
        let kept = folder.names
        let large = await server.upload([UInt8](repeating: 7, count: 300_001))
        #expect(large.status == 413 && large.json["error"]?["code"] == "file_too_large")
        #expect(await server.upload([UInt8](repeating: 7, count: 1_400_000)).status == 413)
        for purpose in ["", "x", "batch_output"] { #expect(await server.upload("x".utf8, purpose: purpose).json["error"]?["param"] == "purpose") }
        #expect(await server.upload("x".utf8, fields: [("note", String(repeating: "x", count: 70_000))]).status == 400)
        #expect(folder.names == kept)
        // An empty file is one.
        #expect(await server.upload([]).json["bytes"] == 0)
    }

    @Test func namesThatAreNoIDs() async throws {
        let server = try server()
        _ = await server.upload("x".utf8)
        let outside = folder.path + ".secret"
        try Data("secret".utf8).write(to: URL(fileURLWithPath: outside))
        defer { try? FileManager.default.removeItem(atPath: outside) }
        let last = folder.path.split(separator: "/").last.map(String.init) ?? ""
        for id in ["..", ".", "lock", "../\(last).secret", "..\\x", "file-", "\0", "file-\0", String(repeating: "a", count: 5000), "*", "%2e%2e", "~"] {
            for path in ["/v1/files/\(id)", "/v1/files/\(id)/content", "/v1/batches/\(id)"] {
                #expect(await server.send(.get, path).status == 404, "\(path)")
            }
            #expect(await server.send(.delete, "/v1/files/\(id)").status == 404)
        }
        #expect(folder.names.contains("lock"))
    }

    /// A picture that was uploaded is the one that a message carries.
    @Test func mediaByID() async throws {
        let server = try server()
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: Fixtures.path("media/rgb.png"))))
        let picture = await server.upload(bytes, name: "picture.png", purpose: "vision").json["id"] ?? .null
        let text = await server.upload("words".utf8, purpose: "user_data").json["id"] ?? .null
        let encoded = Data(bytes).base64EncodedString()
        func ask(_ part: JSONValue) async -> ServerUnderTest.Answer {
            await server.post("/v1/chat/completions", question([("messages", [["role": "user", "content": [part, ["type": "text", "text": "what is this?"]]]])]))
        }
        let whole = await ask(["type": "image_url", "image_url": ["url": .string("data:image/png;base64,\(encoded)")]])
        #expect(whole.status == 200)
        for file: JSONValue in [["file_id": picture], ["file_data": .string("data:image/png;base64,\(encoded)"), "filename": "x.png"], ["file_data": .string(encoded)]] {
            let answer = await ask(["type": "file", "file": file])
            #expect(answer.json["choices"] == whole.json["choices"] && answer.json["usage"]?["prompt_tokens"] == whole.json["usage"]?["prompt_tokens"])
        }
        func respond(_ part: JSONValue) async -> ServerUnderTest.Answer {
            let input: JSONValue = [["role": "user", "content": [part, ["type": "input_text", "text": "what is this?"]]]]
            return await server.post("/v1/responses", ["input": input, "max_output_tokens": 4, "temperature": 0, "store": false])
        }
        let response = await respond(["type": "input_image", "image_url": .string("data:image/png;base64,\(encoded)")])
        for part: JSONValue in [["type": "input_image", "file_id": picture], ["type": "input_file", "file_id": picture]] {
            let answer = await respond(part)
            #expect(answer.status == 200 && answer.json["output"]?[0]?["content"] == response.json["output"]?[0]?["content"])
        }
        for (file, code) in [(["file_id": text], "unreadable_media"), (["file_id": "file-0"], "file_not_found"), (["file_id": 1], "invalid_type"), ([:], "invalid_type")] as [(JSONValue, String)] {
            let answer = await ask(["type": "file", "file": file])
            #expect(answer.status == 400 && answer.json["error"]?["code"]?.string == code && answer.json["error"]?["param"] == "messages[0].content[0].file.file_id")
        }
        #expect(await respond(["type": "input_image", "file_id": "file-0"]).json["error"]?["code"] == "file_not_found")
    }

    @Test func hostileForms() async throws {
        let server = try server()
        func part(_ header: String, _ content: String = "x") -> String { "--XyZ\r\n\(header)\r\n\r\n\(content)\r\n" }
        let good = part("Content-Disposition: form-data; name=\"purpose\"", "batch") + part("Content-Disposition: form-data; name=\"file\"; filename=\"a\"")
        let end = "--XyZ--\r\n"
        var noise = SystemRandomNumberGenerator()
        let bodies: [(String, [UInt8])] = [
            ("empty", []), ("no boundary", Array("purpose=batch".utf8)), ("no end", Array(good.utf8)),
            ("no file", Array((part("Content-Disposition: form-data; name=\"purpose\"", "batch") + end).utf8)),
            ("two files", Array((good + part("Content-Disposition: form-data; name=\"file\"; filename=\"b\"") + end).utf8)),
            ("no name", Array((part("Content-Disposition: form-data; filename=\"a\"") + end).utf8)), ("no header", Array(("--XyZ\r\n\r\nx\r\n" + end).utf8)),
            ("header of 1 MB", Array("--XyZ\r\nX: \(String(repeating: "x", count: 1 << 20))\r\n\r\nx\r\n\(end)".utf8)),
            ("header without end", Array("--XyZ\r\nX: \(String(repeating: "x", count: 1 << 20))".utf8)),
            ("boundary without end", Array("--XyZ".utf8)), ("boundary that goes on", Array("--XyZabc\r\n".utf8)),
            ("10 MB of noise", (0..<(10 << 20) / 8).flatMap { _ in withUnsafeBytes(of: noise.next()) { Array($0) } }),
            ("10 MB of line ends", [UInt8](repeating: 0x0D, count: 10 << 20)),
            ("1001 parts", Array(((0...1000).map { part("Content-Disposition: form-data; name=\"x\($0)\"") }.joined() + end).utf8)),
        ]
        for (name, body) in bodies {
            let answer = await server.send(.post, "/v1/files", body: body, headers: [.contentType: "multipart/form-data; boundary=XyZ"])
            #expect(answer.status == 400 && answer.json["error"]?["message"]?.string?.isEmpty == false, "\(name)")
        }
        for type in ["", "application/json", "multipart/form-data", "multipart/form-data; boundary=\"\"", "multipart/mixed; boundary=XyZ"] {
            #expect(await server.send(.post, "/v1/files", body: Array((good + end).utf8), headers: [.contentType: type]).status == 400)
        }
        #expect(folder.names == ["lock"])
        #expect(await server.send(.post, "/v1/files", body: Array((good + end).utf8), headers: [.contentType: "multipart/form-data; boundary=XyZ"]).status == 200)
    }
}

/// A clock that a test moves.
final class Moved: Sendable {
    private let time: Mutex<Int>

    init(_ start: Int = 1_000_000) { time = Mutex(start) }

    var now: Int {
        get { time.withLock { $0 } }
        set { time.withLock { $0 = newValue } }
    }
}
