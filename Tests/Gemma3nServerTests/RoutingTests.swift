import HTTPTypes
import Logging
import Testing

import Gemma3nServer

@Suite struct RoutingTests {
    private let router = Router(routes: [
        Route(.get, "/v1/models") { _ in .text("") }, Route(.get, "/v1/models/{id...}") { _ in .text("") },
        Route(.get, "/v1/responses/{id}") { _ in .text("") }, Route(.delete, "/v1/responses/{id}") { _ in .text("") },
        Route(.post, "/v1/chat/completions") { _ in .text("") },
    ])

    @Test func findsRoutesAndNames() throws {
        #expect(try router.route(.get, "/v1/models").route.name == "/v1/models")
        #expect(try router.route(.get, "/v1/models/google/gemma:E2B").parameters["id"] == "google/gemma:E2B")
        #expect(try router.route(.head, "/v1/models").route.method == .get)
        #expect(try router.route(.delete, "/v1/responses/resp_1").parameters["id"] == "resp_1")
        #expect(try router.route(.post, "/v1//chat/completions/").route.method == .post)
    }

    @Test func saysWhatIsNotThere() throws {
        #expect { try router.route(.get, "/v1/nothing") } throws: { ($0 as? Refusal)?.status == 404 }
        #expect { try router.route(.get, "/v1/responses") } throws: { ($0 as? Refusal)?.status == 404 }
        #expect { try router.route(.put, "/v1/responses/x") } throws: {
            ($0 as? Refusal)?.status == 405 && ($0 as? Refusal)?.allowed == ["GET", "HEAD", "DELETE", "OPTIONS"]
        }
        #expect(try router.route(.options, "/v1/chat/completions").route.name == "options")
    }

    @Test func decodesPercents() {
        #expect(percentDecoded("/a%20b%2Fc") == "/a b/c")
        #expect(percentDecoded("/100%") == "/100%" && percentDecoded("/%zz") == "/%zz" && percentDecoded("/%ff") == "/%ff")
    }

    @Test func readsQueries() throws {
        let query = Query("limit=5&order=asc&after=a%20b+c&limit=7&empty=&flag")
        #expect(try query.int("limit", 1...100) == 7)
        #expect(query["after"] == "a b c" && query["empty"] == nil && query["flag"] == nil && query["none"] == nil)
        #expect(try query.word("order", of: ["asc", "desc"]) == "asc")
        #expect(throws: Refusal(400, "limit is \"7\", expected a whole number from 1 to 3.", field: "limit", code: "invalid_value")) { try query.int("limit", 1...3) }
        #expect { try query.bool("order") } throws: { ($0 as? Refusal)?.field == "order" }
    }

    @Test func requestIDsAreShortPlainWords() {
        #expect(RequestID.chosen("abc-1.2_3:4") == "abc-1.2_3:4")
        for bad in ["", "a b", "a\nb", "é", String(repeating: "a", count: 129)] { #expect(RequestID.chosen(bad).hasPrefix("req_")) }
        #expect(RequestID.chosen(nil).count == 28)
    }
}

@Suite struct GateTests {
    private func exchange(_ headers: [(String, String)], _ method: HTTPRequest.Method = .post) -> Exchange {
        var fields = HTTPFields()
        for (name, value) in headers { if let name = HTTPField.Name(name) { fields[name] = value } }
        return Exchange(method, "/v1/models", headers: fields, log: Logger(label: "") { _ in SwiftLogNoOpLogHandler() })
    }

    private func status(_ settings: ServerSettings, _ headers: [(String, String)], isOpen: Bool = false) -> Int? {
        do throws(Refusal) {
            try Gate(settings).check(exchange(headers), isOpen: isOpen)
            return nil
        } catch {
            return error.status
        }
    }

    @Test func keys() {
        var settings = ServerSettings()
        settings.keys = ["first-key", "second"]
        #expect(status(settings, [("authorization", "Bearer first-key")]) == nil)
        #expect(status(settings, [("authorization", "bearer second")]) == nil)
        #expect(status(settings, [("x-api-key", "second")]) == nil)
        for wrong in ["", "Bearer", "Bearer ", "Bearer first-ke", "Bearer first-key2", "Basic first-key", "first-key"] {
            #expect(status(settings, [("authorization", wrong)]) == 401, "\(wrong)")
        }
        #expect(status(settings, []) == 401)
        #expect(status(settings, [], isOpen: true) == nil)
    }

    @Test func pagesOfOtherOrigins() {
        var settings = ServerSettings()
        let host = ("host", "127.0.0.1:8080")
        #expect(status(settings, [host, ("origin", "http://127.0.0.1:8080")]) == nil)
        #expect(status(settings, [host, ("origin", "https://example.org")]) == 403)
        #expect(status(settings, [host, ("origin", "null")]) == 403)
        settings.origins = ["https://example.org"]
        #expect(status(settings, [host, ("origin", "https://example.org")]) == nil)
        #expect(status(settings, [host, ("origin", "https://example.org.evil.net")]) == 403)
        settings.origins = ["*"]
        #expect(status(settings, [host, ("origin", "https://anything")]) == nil)
    }

    /// A page whose name was made to mean this machine would otherwise be of the same origin.
    @Test func namesOfThisMachine() {
        var settings = ServerSettings()
        for good in ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080", "app.localhost"] { #expect(status(settings, [("host", good)]) == nil, "\(good)") }
        for bad in ["evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example"] { #expect(status(settings, [("host", bad)]) == 403, "\(bad)") }
        settings.host = "0.0.0.0"
        #expect(status(settings, [("host", "evil.example")]) == nil)
    }
}
