import Foundation
import Gemma3nCommands
import Gemma3nHost
import Synchronization
import Testing

@Suite struct BatchPartsTests {
    private final class Counter: Sendable {
        private let count = Mutex(0)
        var value: Int { count.withLock { $0 } }
        func next() -> Int { add(1) }
        func add(_ more: Int) -> Int { count.withLock { $0 += more; return $0 } }
        func raise(to value: Int) { count.withLock { $0 = max($0, value) } }
    }

    /// Results come in order, whichever is done first, and no more than the window is read ahead.
    @Test(arguments: [1, 2, 7, 64]) func orderAndReadAhead(window: Int) async throws {
        let read = Counter()
        var mostAhead = 0
        var written: [Int] = []
        try await OrderedPipeline.run(
            window: window,
            next: {
                let next = read.next()
                return next <= 300 ? next : nil
            },
            start: { item in
                return {
                    for _ in 0..<(item * 7919 % 50) { await Task.yield() }
                    return item
                }
            },
            write: { item in
                mostAhead = max(mostAhead, read.value - written.count)
                written.append(item)
            })
        #expect(written == Array(1...300))
        // The end is read, too.
        #expect(mostAhead <= window)
    }

    /// Large items leave less room for others, and one that is larger than the window has it to itself.
    @Test(arguments: [1, 5, 16]) func largeItems(window: Int) async throws {
        let inHand = Counter()
        let most = Counter()
        @Sendable func places(_ item: Int) -> Int { item % 9 == 0 ? 40 : item % 4 }
        @Sendable func taken(_ item: Int) -> Int { min(max(places(item), 1), window) }
        let read = Counter()
        var written: [Int] = []
        try await OrderedPipeline.run(
            window: window,
            next: {
                let next = read.next()
                return next <= 200 ? next : nil
            },
            size: places,
            start: { item in
                most.raise(to: inHand.add(taken(item)))
                return {
                    for _ in 0..<(item * 7919 % 50) { await Task.yield() }
                    return item
                }
            },
            write: { item in
                written.append(item)
                _ = inHand.add(-taken(item))
            })
        #expect(written == Array(1...200))
        #expect(inHand.value == 0 && most.value <= window)
    }

    @Test func whatReadingThrowsComesLast() async {
        struct Broken: Error {}
        let read = Counter()
        var written: [Int] = []
        await #expect(throws: Broken.self) {
            try await OrderedPipeline.run(
                window: 4,
                next: { () throws -> Int? in
                    let next = read.next()
                    if next > 5 { throw Broken() }
                    return next
                },
                start: { item in { item } }, write: { written.append($0) })
        }
        #expect(written == [1, 2, 3, 4, 5])
    }

    @Test func lines() throws {
        let long = String(repeating: "x", count: 200_000)
        let text = "a\n\nb\r\n\(long)\nc\u{0}d\nlast"
        let lines = try Self.lines(of: text, limit: 1000)
        #expect(lines.map { String(decoding: $0.bytes, as: UTF8.self) } == ["a", "", "b\r", "", "c\u{0}d", "last"])
        #expect(lines.map(\.byteCount) == [1, 0, 2, 200_000, 3, 4])
        #expect(lines.map(\.isEnded) == [true, true, true, true, true, false])
        let whole = try Self.lines(of: text, limit: .max)
        #expect(whole[3].bytes.count == 200_000)
        #expect(try Self.lines(of: "", limit: 9).isEmpty)
        #expect(try Self.lines(of: "a\n", limit: 9).count == 1)
        #expect(try Self.lines(of: "\n", limit: 9).count == 1)
    }

    private static func lines(of text: String, limit: Int) throws -> [LineSource.Line] {
        try withTemporaryDirectory { folder in
            try Data(text.utf8).write(to: URL(fileURLWithPath: folder + "/lines"))
            let file = try #require(FileHandle(forReadingAtPath: folder + "/lines"))
            let source = LineSource(descriptor: file.fileDescriptor, limit: limit)
            var lines: [LineSource.Line] = []
            while let line = try source.next() { lines.append(line) }
            return lines
        }
    }
}
