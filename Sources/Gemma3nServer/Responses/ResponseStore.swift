package import Checkpoint
internal import Synchronization

/// Responses that later requests may refer to, in memory: the oldest make room.
package final class ResponseStore: Sendable {
    package struct Entry: Sendable {
        package let response: JSONValue
        let items: [JSONValue]
        /// Everything said up to its answer, in the shape of chat completions.
        let conversation: [JSONValue]
        let byteCount: Int
    }

    private struct State {
        var entries: [String: Entry] = [:]
        var order: [String] = []
        var byteCount = 0
    }
    private let state = Mutex(State())
    private let entryLimit: Int
    private let byteLimit: Int

    package init(entryLimit: Int = 1000, byteLimit: Int = 128 << 20) {
        self.entryLimit = entryLimit
        self.byteLimit = byteLimit
    }

    package subscript(id: String) -> Entry? { state.withLock { $0.entries[id] } }

    package func add(_ id: String, response: JSONValue, items: [JSONValue], conversation: [JSONValue]) {
        let bytes = response.approximateByteCount + JSONValue.array(items).approximateByteCount + JSONValue.array(conversation).approximateByteCount
        guard bytes <= byteLimit else { return }
        state.withLock { state in
            state.entries[id] = Entry(response: response, items: items, conversation: conversation, byteCount: bytes)
            state.order.append(id)
            state.byteCount += bytes
            while state.order.count > entryLimit || state.byteCount > byteLimit { Self.remove(state.order[0], &state) }
        }
    }

    /// Whether it was there.
    func remove(_ id: String) -> Bool {
        state.withLock { state in
            guard state.entries[id] != nil else { return false }
            Self.remove(id, &state)
            return true
        }
    }

    private static func remove(_ id: String, _ state: inout State) {
        state.order.removeAll { $0 == id }
        if let entry = state.entries.removeValue(forKey: id) { state.byteCount -= entry.byteCount }
    }
}

extension JSONValue {
    /// About what it takes in memory.
    var approximateByteCount: Int {
        switch self {
        case .null, .bool, .number: 32
        case .string(let text): 32 + text.utf8.count
        case .array(let elements): elements.reduce(32) { $0 + $1.approximateByteCount }
        case .object(let object): object.members.reduce(32) { $0 + 32 + $1.key.utf8.count + $1.value.approximateByteCount }
        }
    }
}
