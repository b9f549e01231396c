internal import Checkpoint
internal import Gemma3nHost
internal import Synchronization

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// Where records go: standard output, or a file that holds those of an earlier run.
final class BatchOutput: Sendable {
    private let descriptor: Int32
    private let path: String?
    /// Lines whose records are there already, and how many of them are failures.
    let (answered, failed): (Int, Int)
    private let writing = Mutex(())

    /// Standard output.
    init() {
        descriptor = STDOUT_FILENO
        path = nil
        (answered, failed) = (0, 0)
    }

    /// A file, made if there is none. Of one that is there the whole records are kept, and what an interrupted run left behind them is
    /// cut off.
    ///
    /// - Throws: `CommandError` if it holds anything else, if another process writes to it, or if the system refuses.
    init(path: String) throws {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0o644)
        guard descriptor >= 0 else { throw Self.failure("open", path) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw CommandError("\(path) is no regular file. Leave out --output to write to standard output.")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw CommandError("\(path) is being written by another process. Wait for it, or give another --output.")
        }
        let found = try Self.records(descriptor, path)
        guard ftruncate(descriptor, off_t(found.byteCount)) == 0, lseek(descriptor, 0, SEEK_END) >= 0 else { throw Self.failure("cut", path) }
        self.descriptor = descriptor
        self.path = path
        (answered, failed) = (found.count, found.failed)
    }

    private static func failure(_ action: String, _ path: String) -> CommandError {
        CommandError("cannot \(action) '\(path)': \(String(cString: strerror(errno)).lowercased()).")
    }

    /// The whole records of a file.
    private static func records(_ descriptor: Int32, _ path: String) throws -> (count: Int, failed: Int, byteCount: Int) {
        let lines = LineSource(descriptor: descriptor)
        var (count, failed, byteCount) = (0, 0, 0)
        while let line = try lines.next() {
            let json = line.isEnded ? try? JSONValue.parse(line.bytes, file: path) : nil
            let beginning = Array(#"{"line":\#(count + 1),"#.utf8)
            let isOurs = line.isEnded ? json?["line"]?.int == count + 1 : zip(line.bytes, beginning).allSatisfy { $0 == $1 }
            guard isOurs else {
                throw CommandError("\(path): line \(count + 1) is not the record of input line \(count + 1), so this file is of no such run. Give another --output.")
            }
            guard line.isEnded else { break }
            count += 1
            byteCount += line.byteCount + 1
            if json?["error"] != nil { failed += 1 }
        }
        return (count, failed, byteCount)
    }

    /// Writes a record and its end of line.
    ///
    /// - Throws: `CommandError` for a file that cannot be written. What cannot be written to standard output ends the program.
    func write(_ record: BatchRecord) throws {
        let text = record.json.serialized() + "\n"
        try writing.withLock { _ in
            guard let path else { return Output.write(text) }
            let failure = Output.write(text, to: descriptor)
            if failure != 0 { throw CommandError("cannot write '\(path)': \(String(cString: strerror(failure)).lowercased()).") }
        }
    }

    /// Ends the program between two records.
    func interrupt() -> Never {
        writing.withLock { _ in Output.exit(130) }
    }
}
