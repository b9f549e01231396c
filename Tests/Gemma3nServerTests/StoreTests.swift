import Checkpoint
import Foundation
import GRDB
import HTTPTypes
import Testing

import Gemma3nServer

@Suite struct StoreTests {
    private func response(_ status: String, _ text: String = "") -> JSONValue {
        ["status": .string(status), "output": [["id": .string("msg_\(text)"), "type": "message", "role": "assistant", "content": .string(text)]]]
    }

    /// Begins a response and ends it.
    private func add(_ id: String, _ text: String = "", to store: Store, after previous: String? = nil, in conversation: String? = nil) async throws {
        var context = ResponseContext(previous: previous, conversation: conversation)
        if let conversation { context.lastItem = try await store.history(ofConversation: conversation).lastItem }
        try await store.begin(.init(id: id, response: response("in_progress"), items: [["id": .string("in_\(id)"), "content": "ask"]], context: context))
        #expect(try await store.end(id, response("completed", text)))
    }

    private func ids(_ items: [JSONValue]?) -> [String]? { items?.compactMap { $0["id"]?.string } }

    @Test func oldOnesMakeRoomInMemory() async throws {
        let store = try Store(limits: .init(entries: 2))
        for id in ["a", "b", "c"] { try await add(id, to: store) }
        #expect(try await store.response("a") == nil)
        #expect(try await store.response("b") != nil)
        #expect(try await store.response("c") != nil)
        let first = try await store.createConversation(metadata: [:], items: [])
        for _ in 0..<2 { _ = try await store.createConversation(metadata: [:], items: []) }
        await #expect(throws: Refusal.self) { try await store.conversation(first.id) }
        #expect(try await store.figures().conversations == 2)
        #expect(try await store.figures().responses == 2)
    }

    @Test func bytesAreLimitedInMemory() async throws {
        let store = try Store(limits: .init(bytes: 400_000))
        for id in ["a", "b", "c", "d"] { try await add(id, String(repeating: id, count: 120_000), to: store) }
        #expect(try await store.response("a") == nil)
        #expect(try await store.response("d") != nil)
        #expect(try await store.figures().bytes <= 400_000)
    }

    /// What later responses refer to is no longer told, but part of what they follow.
    @Test func deletedResponsesStayInChains() async throws {
        let store = try Store()
        try await add("a", "1", to: store)
        try await add("b", "2", to: store, after: "a")
        try await add("c", "3", to: store, after: "b")
        #expect(try await store.delete(response: "a"))
        #expect(try await store.delete(response: "b"))
        #expect(try await !store.delete(response: "a"))
        #expect(try await store.response("a") == nil)
        #expect(try await store.history(upTo: "b") == nil)
        #expect(ids(try await store.history(upTo: "c")) == ["in_a", "msg_1", "in_b", "msg_2", "in_c", "msg_3"])
        #expect(try await store.delete(response: "c"))
        // Nothing is left of them: their ids are free.
        for id in ["a", "b", "c"] { try await add(id, to: store) }
    }

    @Test func conversationsTakeInResponses() async throws {
        let store = try Store()
        let id = try await store.createConversation(metadata: ["k": "v"], items: [["id": "1"], ["id": "2"]]).id
        try await add("a", "3", to: store, in: id)
        #expect(ids(try await store.history(ofConversation: id).items) == ["1", "2", "in_a", "msg_3"])
        try await add("b", "4", to: store, after: "a")
        #expect(ids(try await store.history(upTo: "b")) == ["1", "2", "in_a", "msg_3", "in_b", "msg_4"])
        // An id that is there already is replaced.
        let added = try await store.add([["id": "1"]], toConversation: id)
        #expect(added.count == 1 && added[0]["id"] != "1")
        try await store.delete(item: "1", ofConversation: id)
        #expect(ids(try await store.history(ofConversation: id).items)?.count == 4)
        try await store.delete(conversation: id)
        await #expect(throws: Refusal.self) { try await store.history(upTo: "b") }
    }

    @Test func oneResponseAtATimeInAConversation() async throws {
        let store = try Store()
        let id = try await store.createConversation(metadata: [:], items: []).id
        let context = ResponseContext(conversation: id)
        try await store.begin(.init(id: "a", response: response("in_progress"), context: context))
        func isLocked(_ work: () async throws -> Void) async -> Bool {
            do { try await work() } catch { return (error as? Refusal)?.status == 409 && (error as? Refusal)?.code == "conversation_locked" }
            return false
        }
        #expect(await isLocked { try await store.begin(.init(id: "b", response: response("in_progress"), context: context)) })
        #expect(await isLocked { _ = try await store.history(ofConversation: id) })
        #expect(await isLocked { _ = try await store.add([["id": "1"]], toConversation: id) })
        #expect(await isLocked { try await store.delete(conversation: id) })
        #expect(try await store.cancel("a"))
        #expect(try await !store.end("a", response("completed", "late")))
        #expect(try await store.history(ofConversation: id).items.isEmpty)
        // What was read before another response came is no longer the whole conversation.
        try await add("c", "1", to: store, in: id)
        #expect(await isLocked { try await store.begin(.init(id: "d", response: response("in_progress"), context: context)) })
    }

    @Test func hiddenResponsesLeaveOnlyItems() async throws {
        let store = try Store()
        let id = try await store.createConversation(metadata: [:], items: []).id
        try await store.begin(.init(id: "a", response: response("in_progress"), items: [["id": "1"]], context: ResponseContext(conversation: id), isVisible: false))
        #expect(try await store.response("a") == nil)
        try await store.end("a", response("completed", "2"))
        #expect(ids(try await store.history(ofConversation: id).items) == ["1", "msg_2"])
        #expect(try await store.response("a") == nil)
    }

    // MARK: The file

    @Test func everythingIsThereAgain() async throws {
        let file = try TemporaryStore()
        do {
            let store = try Store(path: file.path)
            let id = try await store.createConversation(metadata: ["k": "v"], items: [["id": "1", "content": "\u{0}\u{1F600}é"]]).id
            #expect(id.hasPrefix("conv_"))
            try await add("a", "2", to: store, in: id)
        }
        let store = try Store(path: file.path)
        #expect(try await store.figures().responses == 1)
        #expect(try await store.response("a")?.response["output"]?[0]?["content"] == "2")
        #expect(try await store.history(upTo: "a")?.first?["content"] == "\u{0}\u{1F600}é")
        let rights = try FileManager.default.attributesOfItem(atPath: file.path)[.posixPermissions] as? Int
        #expect(rights == 0o600)
    }

    /// A server that is killed at any moment leaves what it has told, and says what became of the rest.
    @Test func killedServersLoseNothing() async throws {
        let file = try TemporaryStore()
        let store = try Store(path: file.path)
        let id = try await store.createConversation(metadata: [:], items: []).id
        try await add("told", "1", to: store, in: id)
        let context = ResponseContext(conversation: id, lastItem: try await store.history(ofConversation: id).lastItem)
        try await store.begin(.init(id: "cut", response: response("in_progress"), context: context))
        try await store.begin(.init(id: "later", response: response("queued"), request: ["input": "x"]))
        try await store.begin(.init(id: "hidden", response: response("in_progress"), isVisible: false))

        let image = try file.crashImage()
        do {
            let after = try Store(path: image.path)
            #expect(after.interrupted == ["later"])
            #expect(try await after.response("told")?.response == response("completed", "1"))
            let cut = try await after.response("cut")?.response
            #expect(cut?["status"] == "failed")
            #expect(cut?["error"]?["message"] == "The server ended before the response was complete. Ask again.")
            #expect(ids(try await after.history(ofConversation: id).items) == ["in_told", "msg_1"])
            #expect(try await after.figures().responses == 3)
        }
        #expect(try image.edit { try String.fetchOne($0, sql: "PRAGMA integrity_check") } == "ok")
        #expect(try image.edit { try Int.fetchOne($0, sql: "SELECT count(*) FROM response WHERE id = 'hidden'") } == 0)
    }

    private func sentence(opening path: String) -> StoreError? {
        do throws(StoreError) {
            _ = try Store(path: path)
            return nil
        } catch {
            return error
        }
    }

    @Test func filesThatAreNone() throws {
        let file = try TemporaryStore()
        try Data(repeating: 65, count: 5000).write(to: URL(fileURLWithPath: file.path))
        let error = sentence(opening: file.path)
        #expect(error?.code == .notADatabase)
        #expect(error?.message.contains("'\(file.path)' is no database") == true)
        #expect(try Data(contentsOf: URL(fileURLWithPath: file.path)).count == 5000)

        let other = try TemporaryStore()
        try other.edit { try $0.execute(sql: "CREATE TABLE mine (id INTEGER)") }
        #expect(sentence(opening: other.path)?.message == "'\(other.path)' is a database, but not one of gemma3n's. Give another --store; a new file is made where there is none.")
        #expect(sentence(opening: file.folder + "/nowhere/store")?.code == .notWritable)
        #expect(sentence(opening: file.folder)?.code == .notWritable)
    }

    @Test func newerVersionsAndOtherServers() throws {
        let file = try TemporaryStore()
        var store: Store? = try Store(path: file.path)
        #expect(sentence(opening: file.path)?.message == "'\(file.path)' is in use by another server. Stop that one, or give this one another --store.")
        #expect(store != nil)
        store = nil
        try file.edit { try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('99')") }
        #expect(sentence(opening: file.path)?.message == "'\(file.path)' was written by a newer version of gemma3n. Use that one, or give another --store.")
    }

    @Test func damagedFilesAreRefused() throws {
        let file = try TemporaryStore()
        do { _ = try Store(path: file.path) }
        var bytes = try Data(contentsOf: URL(fileURLWithPath: file.path))
        for place in 100..<bytes.count { bytes[place] = 0xA5 }
        try bytes.write(to: URL(fileURLWithPath: file.path))
        #expect(sentence(opening: file.path) != nil)
    }

    /// A full disk fails what would have to be kept, with a sentence, and nothing else.
    @Test func fullDisks() async throws {
        let file = try TemporaryStore()
        let server = try ServerUnderTest(store: try Store(path: file.path, pages: 40))
        let input = JSONValue.string(String(repeating: "what is this? ", count: 100))
        var kept: [String] = []
        var refused: ServerUnderTest.Answer?
        while refused == nil, kept.count < 200 {
            let answer = await server.post("/v1/responses", ["input": input, "max_output_tokens": 1])
            if answer.status == 200 { kept.append(answer.json["id"]?.string ?? "") } else { refused = answer }
        }
        #expect(refused?.status == 507)
        #expect(refused?.json["error"]?["message"] == "The server's store is full: nothing more can be kept. Ask again with store false, or delete responses and conversations.")
        #expect(await server.post("/v1/responses", ["input": input, "max_output_tokens": 1, "store": false]).status == 200)
        let events = await server.post("/v1/responses", ["input": input, "max_output_tokens": 1, "stream": true])
        #expect(events.status == 507 || events.events.last?["type"] == "response.failed")
        for id in kept { #expect(await server.send(.get, "/v1/responses/\(id)").json["status"]?.string?.isEmpty == false) }
        for id in kept { #expect(await server.send(.delete, "/v1/responses/\(id)").status == 200) }
        #expect(await server.post("/v1/responses", ["input": input, "max_output_tokens": 1]).status == 200)
    }
}
