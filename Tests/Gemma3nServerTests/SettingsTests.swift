import Gemma3nServer
import Testing

@Suite struct SettingsTests {
    @Test func listensOnThisMachineOnly() {
        #expect(ServerSettings().host == "127.0.0.1")
    }
}
