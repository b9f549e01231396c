import Checkpoint
import Gemma3nHost
import HTTPTypes
import NIOSSL
import Synchronization
import TestSupport
import Testing

import Gemma3nServer

/// Media named by URL, from servers on this machine that tests let it ask.
@Suite struct RemoteMediaTests {
    private static let picture = (try? readFile(Fixtures.path("media/rgb.png"))) ?? []
    private static let this = IPAddress([127, 0, 0, 1])

    /// A server that may ask `media.test` at the web server's port, and finds it on this machine.
    private func server(_ web: WebServerUnderTest, _ change: (inout RemoteMediaSettings) -> Void = { _ in }) throws -> ServerUnderTest {
        var media = RemoteMediaSettings()
        media.hosts = ["media.test:\(web.port)"]
        media.resolve = { name in name == "media.test" ? [Self.this] : [] }
        media.isAllowed = { $0.isPublic || $0 == Self.this }
        change(&media)
        return try ServerUnderTest { $0.remoteMedia = media }
    }

    private func ask(_ server: ServerUnderTest, _ url: String, connection: Connection = Connection()) async -> ServerUnderTest.Answer {
        let content: JSONValue = [["type": "image_url", "image_url": ["url": .string(url)]], ["type": "text", "text": "what is this?"]]
        let body = question([("messages", [["role": "user", "content": content]])])
        return await server.send(.post, "/v1/chat/completions", body: Array(body.serialized().utf8), connection: connection)
    }

    /// What the client is told, behind the name of the field.
    private func refusal(_ answer: ServerUnderTest.Answer) -> String? {
        let place = "messages[0].content[0].image_url.url"
        guard answer.status == 400, answer.json["error"]?["param"]?.string == place else { return nil }
        return answer.json["error"]?["message"]?.string.map { String($0.dropFirst(place.count + 1)) }
    }

    private func refusal(_ answer: @escaping WebServerUnderTest.Answer) async throws -> String? { try await refusal({ _ in }, answer: answer) }

    private func refusal(
        _ change: @Sendable (inout RemoteMediaSettings) -> Void, answer: @escaping WebServerUnderTest.Answer
    ) async throws -> String? {
        try await WebServerUnderTest.with(answer) { web in
            refusal(await ask(try server(web, change), "http://media.test:\(web.port)/x"))
        }
    }

    @Test func answersAsIfTheBytesHadComeAlong() async throws {
        try await WebServerUnderTest.with { _, send in try await send(response(200, ["content-type: image/png"], Self.picture)) } _: { web in
            let server = try server(web)
            let fetched = await ask(server, "http://media.test:\(web.port)/a b.png?x=%20#y")
            let given = await ask(server, "data:image/png;base64,\(base64(Self.picture))")
            #expect(fetched.status == 200 && fetched.json["choices"] == given.json["choices"] && fetched.json["usage"]?["prompt_tokens"] == given.json["usage"]?["prompt_tokens"])
            let lines = web.requests.joined().split(separator: "\r\n").map { $0.lowercased() }
            #expect(lines.first == "get /a%20b.png?x=%20 http/1.1")
            // The name, not the address; nothing that says who asks.
            #expect(Set(lines.dropFirst().map { $0.prefix { $0 != ":" } }) .isSubset(of: ["host", "user-agent", "accept", "accept-encoding", "connection"]))
            #expect(lines.contains("host: media.test:\(web.port)"))
        }
    }

    @Test func allProtocols() async throws {
        try await WebServerUnderTest.with { _, send in try await send(response(200, [], Self.picture)) } _: { web in
            let server = try server(web)
            let url = JSONValue.string("http://media.test:\(web.port)/x.png")
            let ban: (String, JSONValue) = ("logit_bias", ["1": -1000, "10": -1000])
            func post(_ path: String, _ members: [(String, JSONValue)]) async -> Int {
                await server.post(path, .object(JSONObject(([("model", "tiny"), ban] + members).map { .init(key: $0.0, value: $0.1) }))).status
            }
            let part: JSONValue = ["type": "image_url", "image_url": url]
            #expect(await post("/v1/chat/completions", [("max_tokens", 2), ("messages", [["role": "user", "content": [part, part]]])]) == 200)
            #expect(web.requests.count == 1)
            let input: JSONValue = [["role": "user", "content": [["type": "input_image", "image_url": url]]]]
            #expect(await post("/v1/responses", [("max_output_tokens", 2), ("input", input)]) == 200)
            #expect(await post("/v1/responses/input_tokens", [("input", input)]) == 200)
            let messages: JSONValue = [["role": "user", "content": [["type": "image", "source": ["type": "url", "url": url]]]]]
            #expect(await post("/v1/messages", [("max_tokens", 2), ("messages", messages)]) == 200)
            #expect(await post("/v1/messages/count_tokens", [("messages", messages)]) == 200)
            #expect(web.requests.count == 5)
            let picture: JSONValue = ["type": "image", "source": ["type": "url", "url": url]]
            let document: JSONValue = ["type": "document", "source": ["type": "content", "content": [picture]]]
            let call: JSONValue = ["role": "assistant", "content": [["type": "tool_use", "id": "a", "name": "look", "input": ["url": url]]]]
            let output: JSONValue = ["role": "user", "content": [["type": "tool_result", "tool_use_id": "a", "content": [picture, document]]]]
            #expect(await post("/v1/messages", [("max_tokens", 2), ("messages", [["role": "user", "content": "look"], call, output])]) == 200)
            #expect(web.requests.count == 6)
            let kept = await server.post("/v1/conversations", ["items": input])
            #expect(kept.status == 200 && web.requests.count == 7)
            let items = await server.send(.get, "/v1/conversations/\(kept.json["id"]?.string ?? "")/items").json["data"]
            #expect(items?[0]?["content"]?[0]?["image_url"]?.string?.hasPrefix("data:") == true)
        }
    }

    @Test func soundAndVideo() async throws {
        let files = ["tone.mp3": try readFile(Fixtures.path("media/tone.mp3")), "clip.mp4": try readFile(Fixtures.path("media/silent.mp4"))]
        try await WebServerUnderTest.with { head, send in
            try await send(response(200, [], files.first { head.contains($0.key) }?.value ?? []))
        } _: { web in
            let server = try server(web)
            let (sound, video) = (JSONValue.string("http://media.test:\(web.port)/tone.mp3"), JSONValue.string("http://media.test:\(web.port)/clip.mp4"))
            let parts: [JSONValue] = [
                ["type": "input_audio", "input_audio": ["url": sound]], ["type": "audio_url", "audio_url": ["url": sound]],
                ["type": "video_url", "video_url": ["url": video]], ["type": "input_video", "input_video": ["url": video]],
            ]
            for part in parts {
                let answer = await server.post("/v1/chat/completions", question([("messages", [["role": "user", "content": [part]]])], tokens: 2))
                #expect(answer.status == 200, "\(part.serialized()): \(answer.text)")
            }
        }
    }

    @Test func onlyWithTheFlag() async throws {
        let server = try ServerUnderTest()
        let answer = await ask(server, "https://example.org/x.png")
        #expect(refusal(answer)?.contains("--allow-remote-media") == true, "\(answer.text)")
        let body: JSONValue = [
            "model": "tiny", "max_tokens": 2,
            "messages": [["role": "user", "content": [["type": "image", "source": ["type": "url", "url": "https://example.org/x.png"]]]]],
        ]
        let other = await server.post("/v1/messages", body)
        #expect(other.status == 400 && other.json["error"]?["message"]?.string?.hasPrefix("messages[0].content[0].source.url is ") == true)
    }

    // MARK: Where it does not go

    @Test(arguments: [
        ("http://127.0.0.1/x", "leads to an address that is not public"), ("http://[::1]/x", "leads to an address that is not public"),
        ("http://169.254.169.254/latest/meta-data", "leads to an address that is not public"), ("http://[::ffff:10.0.0.1]/", "leads to an address that is not public"),
        ("http://private.test/x", "leads to an address that is not public"), ("https://private.test/x", "leads to an address that is not public"),
        ("http://unknown.test/x", "leads to a host that is not known"), ("http://8.8.8.8:22/x", "leads to port 22"), ("http://user:pw@example.org/x", "names a user"),
        ("http://127.1/x", "has a host of numbers"),
    ])
    func refusedWithoutAsking(_ url: String, _ sentence: String) async throws {
        var media = RemoteMediaSettings()
        media.resolve = { name in name == "private.test" ? [IPAddress([10, 1, 2, 3]), IPAddress([192, 168, 0, 1])] : [] }
        let server = try ServerUnderTest { $0.remoteMedia = media }
        let found = refusal(await ask(server, url))
        #expect(found?.hasPrefix(sentence) == true, "\(found ?? "answered")")
        #expect(found?.contains("10.1.2.3") != true)
    }

    @Test func hostsThatAreNotNamed() async throws {
        try await WebServerUnderTest.with { _, send in try await send(response(200, [], Self.picture)) } _: { web in
            let server = try server(web) { $0.hosts = ["media.test", "other.test:\(web.port)"] }
            for url in ["http://media.test:\(web.port)/", "http://other.test/", "http://sub.media.test/"] {
                #expect(refusal(await ask(server, url))?.hasPrefix("leads to a host or port that is not among") == true, "\(url)")
            }
            #expect(web.requests.isEmpty)
        }
    }

    /// A name that means a public address when it is checked, and this network when it is asked.
    @Test func aNameIsLookedUpOnce() async throws {
        let asked = Mutex(0)
        try await WebServerUnderTest.with { _, send in try await send(response(200, [], Self.picture)) } _: { web in
            let server = try server(web) {
                $0.resolve = { _ in
                    let count = asked.withLock { $0 += 1; return $0 }
                    return [count == 1 ? Self.this : IPAddress([10, 0, 0, 1])]
                }
            }
            #expect(await ask(server, "http://media.test:\(web.port)/x.png").status == 200)
            #expect(asked.withLock { $0 } == 1 && web.requests.count == 1)
            #expect(refusal(await ask(server, "http://media.test:\(web.port)/x.png"))?.hasPrefix("leads to an address that is not public") == true)
        }
    }

    @Test func addressesThatMayBeAskedAreTriedInOrder() async throws {
        try await WebServerUnderTest.with { _, send in try await send(response(200, [], Self.picture)) } _: { web in
            // Nobody listens at the first.
            let server = try server(web) {
                $0.resolve = { _ in [IPAddress([127, 0, 0, 9]), IPAddress([10, 0, 0, 1]), Self.this] }
                $0.isAllowed = { $0.bytes[0] == 127 }
            }
            #expect(await ask(server, "http://media.test:\(web.port)/x.png").status == 200)
        }
    }

    // MARK: Redirects

    @Test func redirectsAreFollowed() async throws {
        try await WebServerUnderTest.with { head, send in
            switch head.prefix(7) {
            case "GET /0 ": try await send(response(301, ["location: /1"]))
            case "GET /1 ": try await send(response(302, ["location: a/../2"]))
            case "GET /2 ": try await send(response(307, ["location: http://media.test:\(head.split(separator: "media.test:")[1].prefix { $0.isNumber })/x.png"]))
            default: try await send(response(200, [], Self.picture))
            }
        } _: { web in
            let answer = await ask(try server(web), "http://media.test:\(web.port)/0")
            #expect(answer.status == 200 && web.requests.count == 4, "\(answer.text)")
        }
    }

    @Test(arguments: [
        ("/again", "redirects more than 3 times."), ("http://127.0.0.1/secret", "leads to a host or port that is not among those this server asks."),
        ("http://10.0.0.1/secret", "leads to a host or port that is not among those this server asks."), ("//user@media.test/", "names a user; URLs with user or password are not fetched."),
        ("file:///etc/passwd", "redirects to what is no http or https URL."), ("gopher://x", "redirects to what is no http or https URL."),
    ])
    func redirectsRefused(_ location: String, _ sentence: String) async throws {
        let found = try await refusal { _, send in try await send(response(302, ["location: \(location)"])) }
        #expect(found == sentence)
    }

    @Test(arguments: ["private.test", "10.0.0.1", "[::1]"]) func redirectsToPrivateAddresses(_ host: String) async throws {
        let found = try await refusal {
            $0.hosts.append(host)
            $0.resolve = { name in [name == "media.test" ? Self.this : IPAddress([172, 16, 0, 1])] }
        } answer: { _, send in
            try await send(response(302, ["location: http://\(host)/y"]))
        }
        #expect(found == "leads to an address that is not public; only public ones are asked.")
    }

    // MARK: What comes

    @Test(arguments: [404, 500, 204, 302]) func statuses(_ status: Int) async throws {
        #expect(try await refusal { _, send in try await send(response(status)) } == "was answered with status \(status).")
    }

    @Test func wrongContent() async throws {
        let page = try await refusal { _, send in try await send(response(200, ["content-type: text/html; charset=utf-8"], Array("<html>".utf8))) }
        #expect(page == "is text/html, expected a picture, a sound or a video.")
        #expect(try await refusal { _, send in try await send(response(200, ["content-type: image/png"])) } == "is empty.")
        // What only claims to be a picture is found out when it is read.
        try await WebServerUnderTest.with { _, send in try await send(response(200, ["content-type: image/png"], Array("no picture".utf8))) } _: { web in
            let answer = await ask(try server(web), "http://media.test:\(web.port)/x.png")
            #expect(answer.status == 400, "\(answer.text)")
        }
    }

    @Test func tooLarge() async throws {
        let limit = "is too large: a request's media may have 1000 bytes together (--remote-media-limit)."
        // Announced: nothing of it is waited for.
        let announced = try await refusal { $0.byteLimit = 1000 } answer: { _, send in
            try await send(Array("HTTP/1.1 200 x\r\ncontent-length: 1001\r\n\r\n".utf8))
            try await Task.sleep(for: .seconds(3600))
        }
        #expect(announced == limit)
        // Without end, and unannounced.
        let endless = try await refusal { $0.byteLimit = 1000 } answer: { _, send in
            try await send(Array("HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n".utf8))
            while true { try await send(Array("64\r\n".utf8) + [UInt8](repeating: 0, count: 100) + Array("\r\n".utf8)) }
        }
        #expect(endless == limit)
        // Together: either one would do.
        try await WebServerUnderTest.with { _, send in try await send(response(200, [], [UInt8](repeating: 0, count: 600))) } _: { web in
            let parts: [JSONValue] = (0..<2).map { ["type": "image_url", "image_url": .string("http://media.test:\(web.port)/\($0)")] }
            let answer = await (try server(web) { $0.byteLimit = 1000 }).post("/v1/chat/completions", question([("messages", [["role": "user", "content": .array(parts)]])]))
            #expect(answer.status == 400 && answer.json["error"]?["message"]?.string?.hasSuffix(limit) == true)
        }
    }

    /// A few bytes that would become gigabytes are not unpacked.
    @Test func compressed() async throws {
        for encoding in ["gzip", "deflate", "br", "x-gzip, identity"] {
            let found = try await refusal { _, send in try await send(response(200, ["content-encoding: \(encoding)"], [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3])) }
            #expect(found == "comes compressed by its server, though it was asked for as it is.")
        }
    }

    @Test func trickles() async throws {
        let found = try await refusal { $0.seconds = 1 } answer: { _, send in
            try await send(Array("HTTP/1.1 200 x\r\ncontent-length: 1000000\r\n\r\n".utf8))
            while true {
                try await send([0])
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        #expect(found == "did not come within 1 s.")
        // Without a word of an answer.
        #expect(try await refusal { $0.seconds = 1 } answer: { _, _ in try await Task.sleep(for: .seconds(3600)) } == "did not come within 1 s.")
        // Without so much as an address.
        #expect(try await refusal {
            $0.seconds = 1
            $0.resolve = { _ in
                try await Task.sleep(for: .seconds(3600))
                return []
            }
        } answer: { _, _ in } == "did not come within 1 s.")
    }

    @Test func brokenOff() async throws {
        #expect(try await refusal { _, send in try await send(Array("HTTP/1.1 200 x\r\ncontent-length: 100\r\n\r\nabc".utf8)) } == "broke off before its end.")
        #expect(try await refusal { _, send in try await send(Array("nonsense".utf8)) } == "leads to a host that cannot be reached or gives no answer.")
        #expect(try await refusal { _, _ in } == "leads to a host that cannot be reached or gives no answer.")
    }

    // MARK: Who waits

    @Test func aFewAtOnce() async throws {
        let inside = Mutex((now: 0, most: 0))
        try await WebServerUnderTest.with { _, send in
            inside.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
            try await Task.sleep(for: .milliseconds(10))
            inside.withLock { $0.now -= 1 }
            try await send(response(200, [], Self.picture))
        } _: { web in
            let server = try server(web) { $0.atOnce = 2 }
            let statuses = await withTaskGroup(of: Int.self) { group in
                for index in 0..<8 { group.addTask { await ask(server, "http://media.test:\(web.port)/\(index)").status } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses == [Int](repeating: 200, count: 8) && inside.withLock { $0.most } <= 2)
        }
    }

    @Test func whoNeverGetsAPlaceIsToldToComeAgain() async throws {
        try await WebServerUnderTest.with { _, _ in } _: { web in
            let server = try server(web) { $0.atOnce = 0; $0.seconds = 1 }
            let answer = await ask(server, "http://media.test:\(web.port)/x")
            #expect(answer.status == 503 && answer.reply.headers[.retryAfter] == "5" && web.requests.isEmpty)
            // Nor does who waits for one keep on when the client goes.
            let patient = try self.server(web) { $0.atOnce = 0; $0.seconds = 600 }
            let connection = Connection()
            async let gone = ask(patient, "http://media.test:\(web.port)/x", connection: connection)
            connection.close()
            #expect(await gone.status == 499)
        }
    }

    @Test func endsWhenTheClientGoes() async throws {
        let (events, event) = AsyncStream<String>.makeStream()
        try await WebServerUnderTest.with { _, send in
            event.yield("asked")
            try await send(Array("HTTP/1.1 200 x\r\ncontent-length: 1000000000\r\n\r\n".utf8))
            do {
                while true {
                    try await send([0])
                    try await Task.sleep(for: .milliseconds(5))
                }
            } catch { event.yield("left") }
        } _: { web in
            let server = try server(web) { $0.seconds = 600 }
            let connection = Connection()
            async let answer = ask(server, "http://media.test:\(web.port)/x", connection: connection)
            var iterator = events.makeAsyncIterator()
            #expect(await iterator.next() == "asked")
            connection.close()
            #expect(await answer.status == 499)
            #expect(await iterator.next() == "left")
            // Or the server has no more time.
            let other = Connection()
            async let late = ask(server, "http://media.test:\(web.port)/x", connection: other)
            #expect(await iterator.next() == "asked")
            other.cutOff()
            #expect(await late.status == 503)
            #expect(await iterator.next() == "left")
        }
    }

    // MARK: https

    @Test func certificatesAreCheckedAgainstTheName() async throws {
        try await WebServerUnderTest.with(secure: true) { _, send in try await send(response(200, [], Self.picture)) } _: { web in
            let trusted = try NIOSSLCertificate.fromPEMFile(Certificates.path("renewed"))
            let server = try server(web) {
                $0.hosts.append("other.test:\(web.port)")
                $0.resolve = { _ in [Self.this] }
                $0.trustedCertificates = trusted
            }
            let answer = await ask(server, "https://media.test:\(web.port)/x.png")
            #expect(answer.status == 200, "\(answer.text)")
            // A name that is not in it, and one that nobody vouches for: nothing is asked.
            let other = await ask(server, "https://other.test:\(web.port)/x.png")
            let unknown = await ask(try self.server(web), "https://media.test:\(web.port)/x.png")
            for refused in [other, unknown] {
                #expect(refusal(refused) == "leads to a host whose certificate is not trusted.", "\(refused.text)")
            }
            #expect(web.requests.count == 1)
        }
    }

    @Test func noWayFromHttpsToHttp() async throws {
        try await WebServerUnderTest.with(secure: true) { head, send in
            try await send(response(302, ["location: http://media.test/x.png"]))
        } _: { web in
            let trusted = try NIOSSLCertificate.fromPEMFile(Certificates.path("renewed"))
            let found = refusal(await ask(try server(web) { $0.trustedCertificates = trusted }, "https://media.test:\(web.port)/x.png"))
            #expect(found == "redirects from https to http.")
        }
    }
}
