import CAllocations
import Gemma3n
import Gemma3nHost
import TestSupport
import Testing

/// What a decoded token takes from the heap. Counted in a process of its own: other tests allocate, too.
@Suite(.enabled(if: ca_counts() != 0)) struct AllocationTests {
    /// Calls of the allocator, and bytes, during `body`.
    private static func count(_ body: () throws -> Void) rethrows -> (calls: Int, bytes: Int) {
        var bytes = 0
        ca_begin()
        try body()
        let calls = ca_end(&bytes)
        return (calls, bytes)
    }

    /// The model's step itself: nothing on one thread.
    @Test(arguments: ["tiny", "tiny-bf16"]) func decodingAllocatesNothing(_ checkpoint: String) async {
        await #expect(processExitsWith: .success) { [checkpoint] in
            let model = try Gemma3nModel(open: fixtureOpener(checkpoint))
            let decoder = TextDecoder(model.text, contextLength: 256)
            try decoder.prefill([2, 10, 11, 12]) { _, _ in }
            func decode(_ count: Int) throws -> Float {
                var sum: Float = 0
                for token in 0..<count { sum += try decoder.decode(Int32(token % 100 + 10)) { $0[7] } }
                return sum
            }
            _ = try decode(70)
            var sum: Float = 0
            let used = try Self.count { sum = try decode(100) }
            #expect(used.calls == 0 && sum.isFinite)
        }
    }

    /// Several threads: one box for every region, in which the closure is lent to the workers.
    @Test func regionsTakeABox() async {
        await #expect(processExitsWith: .success) {
            let model = try Gemma3nModel(open: fixtureOpener("tiny"))
            let pool = ThreadPool(threadCount: 2)
            let decoder = TextDecoder(model.text, contextLength: 256, parallelism: pool.parallelism)
            try decoder.prefill([2, 10, 11, 12]) { _, _ in }
            for token in 0..<70 { try decoder.decode(Int32(token % 100 + 10)) { _ in } }
            let used = try Self.count { for token in 0..<100 { try decoder.decode(Int32(token % 100 + 10)) { _ in } } }
            #expect(used.bytes == 32 * used.calls)
        }
    }

    /// A whole answer, tokens chosen and their text put together: what grows (text, tokens, caches) grows now and then.
    @Test func answersAllocateNowAndThen() async {
        await #expect(processExitsWith: .success) {
            let model = try Gemma3nModel(open: fixtureOpener("tiny"))
            let conversation = Conversation(model, contextLength: 600)
            try conversation.feed(EncodedPrompt(tokens: [2, 10, 11, 12]))
            var options = GenerationOptions(sampling: SamplingOptions(), maxTokens: 400, stopTokens: [])
            options.sampling.temperature = 1
            options.sampling.seed = 7
            options.sampling.topK = 8
            var (count, bytes, calls) = (0, 0, 0)
            _ = try conversation.generate(options) { _ in
                count += 1
                if count == 200 { ca_begin() }
                if count == 300 { calls = ca_end(&bytes) }
                return true
            }
            #expect(count == 400 && calls <= 20)
        }
    }
}
