import HTTPTypes
import Testing

import Gemma3nServer

@Suite struct PageTests {
    /// The list in CServerPage is written by hand: every name in the page's files that ends like one of them must be there.
    @Test func answersOllamasClientsAtTheRoot() async throws {
        let server = try ServerUnderTest()
        for headers: HTTPFields in [[:], [.accept: "*/*"], [.accept: "application/json"]] {
            let answer = await server.send(.get, "/", headers: headers)
            #expect(answer.text == "Ollama is running" && answer.reply.headers[.vary] == "Accept")
        }
    }

    @Test func sendsNothingThatTheBrowserHas() async throws {
        let server = try ServerUnderTest()
        let first = await server.send(.get, "/app.js")
        let tag = try #require(first.reply.headers[.eTag])
        let other = await server.send(.get, "/style.css").reply.headers[.eTag]
        #expect(tag.hasPrefix("\"") && tag.hasSuffix("\"") && tag != other)
        for given in [tag, "W/\(tag)", "*", "\"other\", \(tag)"] {
            let again = await server.send(.get, "/app.js", headers: [.ifNoneMatch: given])
            #expect(again.status == 304 && again.text.isEmpty && again.reply.headers[.eTag] == tag)
        }
        for given in ["\"other\"", String(tag.dropLast()), ""] {
            #expect(await server.send(.get, "/app.js", headers: [.ifNoneMatch: given]).text == first.text)
        }
    }

    @Test func holdsWhatThePageAsksFor() async throws {
        let server = try ServerUnderTest()
        #expect(await server.send(.get, "/", headers: [.accept: "text/html,*/*"]).reply.headers[.contentType] == "text/html; charset=utf-8")
        for (name, bytes) in PageRoutes.files {
            let text = String(decoding: bytes, as: UTF8.self)
            for match in text.matches(of: /(?:from|import|src=|href=)\s*["']\.?\/?([a-z-]+\.(?:js|css|svg))["']/) {
                let wanted = String(match.output.1)
                #expect(await server.send(.get, "/\(wanted)").status == 200, "\(name) asks for \(wanted)")
            }
        }
    }
}
