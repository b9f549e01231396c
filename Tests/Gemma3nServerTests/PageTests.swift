import HTTPTypes
import Testing

import Gemma3nServer

@Suite struct PageTests {
    /// The list in CServerPage is written by hand: every name in the page's files that ends like one of them must be there.
    @Test func holdsWhatThePageAsksFor() async throws {
        let server = try ServerUnderTest()
        #expect(await server.send(.get, "/").reply.headers[.contentType] == "text/html; charset=utf-8")
        for (name, bytes) in PageRoutes.files {
            let text = String(decoding: bytes, as: UTF8.self)
            for match in text.matches(of: /(?:from|import|src=|href=)\s*["']\.?\/?([a-z-]+\.(?:js|css|svg))["']/) {
                let wanted = String(match.output.1)
                #expect(await server.send(.get, "/\(wanted)").status == 200, "\(name) asks for \(wanted)")
            }
        }
    }
}
