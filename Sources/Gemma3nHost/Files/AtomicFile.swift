internal import Synchronization

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// A file that appears under its name complete or not at all.
///
///     var file = try AtomicFile(path: "session.g3n")
///     try file.write(header)
///     try file.write(cache)
///     try file.commit()
///
/// Bytes go to a temporary file beside the target; `commit` makes them durable and renames. If the value goes away without
/// `commit` (an error, a cancellation) the temporary file is removed and whatever stood under the name stays as it was.
/// A symbolic link at `path` is replaced, not followed. Devices, pipes and links to them are refused: a new file must not take
/// the place of `/dev/null`.
public struct AtomicFile: ~Copyable {
    public let path: String
    private let temporaryPath: String
    private let descriptor: Int32

    /// Numbers the temporary files of this process.
    private static let counter = Atomic<Int>(0)

    /// Creates the temporary file beside `path`.
    ///
    /// - Throws: `notFound` (no such directory), `permissionDenied`, `diskFull`, `inputOutput`, and what `check(path:)` throws.
    public init(path: String) throws(FileError) {
        try AtomicFile.check(path: path)
        let (directory, name) = splitPath(path)
        let number = AtomicFile.counter.wrappingAdd(1, ordering: .relaxed).newValue
        // Names have a limit of 255 bytes; the target's own may already use it.
        let temporary = "\(directory).\(name.prefix(50)).\(getpid())-\(number).tmp"
        let opened = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard opened >= 0 else { throw FileError(errno: errno, "create a file beside", path) }
        self.path = path
        temporaryPath = temporary
        descriptor = opened
    }

    /// Says before any work is done whether something stands at `path` that a file cannot replace.
    ///
    /// - Throws: `notFound` for a path that names no file, `isDirectory`, `notARegularFile`.
    public static func check(path: String) throws(FileError) {
        guard !path.isEmpty, !path.utf8.contains(0), path.utf8.last != UInt8(ascii: "/") else {
            throw FileError(.notFound, path: path, "'\(path)' names no file to write.")
        }
        var status = stat()
        guard stat(path, &status) == 0 else { return }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return
        case S_IFDIR: throw FileError(.isDirectory, path: path, "'\(path)' is a directory; a file is needed here.")
        default: throw FileError(.notARegularFile, path: path, "'\(path)' is a pipe, socket or device; a regular file is needed here.")
        }
    }

    deinit {
        close(descriptor)
        unlink(temporaryPath)
    }

    /// Appends `bytes`.
    /// - Throws: `diskFull`, `inputOutput`.
    public mutating func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
        try writeAll(bytes, to: descriptor, path: path)
    }

    /// Appends `bytes`.
    /// - Throws: `diskFull`, `inputOutput`.
    public mutating func write(_ bytes: [UInt8]) throws(FileError) {
        let (descriptor, path) = (descriptor, path)
        let outcome: Result<Void, FileError> = bytes.withUnsafeBytes { bytes in
            Result { () throws(FileError) in try writeAll(bytes, to: descriptor, path: path) }
        }
        try outcome.get()
    }

    /// Makes the bytes durable and gives them their name, in place of any file of that name.
    /// - Throws: `diskFull`, `permissionDenied`, `isDirectory`, `inputOutput`; the old file then stands unchanged.
    public consuming func commit() throws(FileError) {
        guard fsync(descriptor) == 0 else { throw FileError(errno: errno, "write", path) }
        guard rename(temporaryPath, path) == 0 else { throw FileError(errno: errno, "put in place", path) }
        // The rename itself is durable once the directory is. Some file systems refuse this; the file is whole anyway.
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        let directory = open(slash.map { String(path[...$0]) } ?? ".", O_RDONLY | O_CLOEXEC)
        if directory >= 0 {
            _ = fsync(directory)
            close(directory)
        }
    }

    /// Writes `bytes` as the whole contents of `path`.
    public static func write(_ bytes: [UInt8], to path: String) throws(FileError) {
        var file = try AtomicFile(path: path)
        try file.write(bytes)
        try file.commit()
    }
}

/// Writes all of `bytes` to `descriptor`, however many calls that takes. `path` is for the error sentence.
package func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, path: String) throws(FileError) {
    var rest = bytes
    while !rest.isEmpty {
        let count = write(descriptor, rest.baseAddress, min(rest.count, 1 << 30))
        if count < 0 {
            if errno == EINTR { continue }
            throw FileError(errno: errno, "write", path)
        }
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
}
