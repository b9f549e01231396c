import Checkpoint
import Gemma3nHost
import HTTPTypes
import Logging
import Synchronization
import TestSupport

import Gemma3nServer

/// Routes without a socket, over the tiny checkpoint.
struct ServerUnderTest {
    let server: ModelServer
    static let log = Logger(label: "") { _ in SwiftLogNoOpLogHandler() }

    init(store: Store? = nil, _ change: (inout ServerSettings) -> Void = { _ in }) throws {
        var settings = ServerSettings()
        settings.modelName = "tiny"
        settings.logLevel = .critical
        change(&settings)
        let model = try Gemma3nLanguageModel(files: ModelFiles(directory: Fixtures.path("checkpoints/tiny")), threads: 1)
        server = try store.map { ModelServer(model, settings, $0) } ?? ModelServer(model, settings)
    }

    func send(_ method: HTTPRequest.Method, _ path: String, body: [UInt8] = [], headers: HTTPFields = [:], connection: Connection = Connection()) async -> Answer {
        let parts = path.split(separator: "?", maxSplits: 1).map(String.init)
        let reply = await server.service.reply(
            to: Exchange(
                method, parts[0], query: Query(parts.count > 1 ? parts[1] : ""), headers: headers, body: body, id: "req_test", connection: connection,
                log: Self.log))
        switch reply.body {
        case .bytes(let bytes): return Answer(reply: reply, text: String(decoding: bytes, as: UTF8.self))
        case .stream(let produce):
            let text = Mutex("")
            try? await produce { more in text.withLock { $0 += more } }
            return Answer(reply: reply, text: text.withLock { $0 })
        case .file(let file): return Answer(reply: reply, text: String(decoding: (try? file.read(at: 0, count: file.byteCount)) ?? [], as: UTF8.self))
        }
    }

    func post(_ path: String, _ json: JSONValue) async -> Answer { await send(.post, path, body: Array(json.serialized().utf8)) }

    struct Answer {
        let reply: Reply
        let text: String

        var status: Int { reply.status }
        var json: JSONValue { (try? JSONValue.parse(text, file: "")) ?? .null }
        /// The data of server-sent events, but for the end mark.
        var events: [JSONValue] {
            text.split(separator: "\n").filter { $0.hasPrefix("data: ") && $0 != "data: [DONE]" }
                .compactMap { try? JSONValue.parse(String($0.dropFirst(6)), file: "") }
        }
        var lines: [JSONValue] { text.split(separator: "\n").compactMap { try? JSONValue.parse(String($0), file: "") } }
    }
}

/// A question whose answer is exactly so long.
func question(_ more: [(String, JSONValue)] = [], tokens: Int = 6) -> JSONValue {
    let members: [(String, JSONValue)] = [
        ("model", "tiny"), ("messages", [["role": "user", "content": "what is this?"]]), ("max_tokens", .number(JSONNumber(tokens))),
        ("temperature", 0), ("logit_bias", ["1": -1000, "10": -1000]),
    ]
    return .object(JSONObject((members + more).map { .init(key: $0.0, value: $0.1) }))
}
