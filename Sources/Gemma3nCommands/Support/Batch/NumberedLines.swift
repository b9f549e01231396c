internal import Gemma3nHost

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// The lines of standard input with their numbers, from 1.
final class NumberedLines {
    private let source: LineSource
    private var count = 0

    init(limit: Int) { source = LineSource(descriptor: STDIN_FILENO, limit: limit) }

    func next() throws -> (line: LineSource.Line, number: Int)? {
        guard let line = try source.next() else { return nil }
        count += 1
        return (line, count)
    }

    /// Reads past lines that were answered before.
    ///
    /// - Throws: `CommandError` if there are fewer.
    func skip(_ answered: Int) throws {
        while count < answered {
            if try next() == nil {
                throw CommandError("the output holds records of \(answered) lines, but the input has \(count). Give the same input, or another --output.")
            }
        }
    }
}
