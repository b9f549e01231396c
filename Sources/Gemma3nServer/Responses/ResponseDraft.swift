internal import Checkpoint
internal import Synchronization

/// A response that is being made while its client waits: the request is written ahead, and its end before the client hears of it.
///
/// One that is dropped without an end was cancelled.
final class ResponseDraft: Sendable {
    private let id: String
    /// Nil where nothing is to be kept.
    private let store: Store?
    private let isOpen = Atomic<Bool>(true)

    /// - Throws: `Refusal` as `Store.begin`, `StoreError`.
    init(_ writer: ResponsesWriter, _ store: Store) async throws {
        let request = writer.request
        id = writer.id
        // A conversation takes in what was said even if the response itself is not to be kept.
        self.store = request.stores || request.context.conversation != nil ? store : nil
        do {
            try await self.store?.begin(
                .init(id: id, response: writer.frame("in_progress"), items: request.items, context: request.context, isVisible: request.stores))
        } catch {
            isOpen.store(false, ordering: .relaxed)
            throw error
        }
    }

    /// The first end counts.
    func end(_ response: JSONValue) async throws {
        guard isOpen.exchange(false, ordering: .relaxed) else { return }
        _ = try await store?.end(id, response)
    }

    /// Nobody was told of it.
    func withdraw() async {
        guard isOpen.exchange(false, ordering: .relaxed) else { return }
        try? await store?.withdraw(id)
    }

    deinit {
        if isOpen.load(ordering: .relaxed), let store { Task { [id] in try? await store.cancel(id) } }
    }
}
