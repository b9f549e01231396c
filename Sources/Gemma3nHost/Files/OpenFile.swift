#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// A file opened for reading: it can be read to its end even when its name is gone meanwhile.
package final class OpenFile: Sendable {
    package let byteCount: Int
    /// Where it is read from the beginning by `LineSource`.
    package let descriptor: Int32
    private let path: String

    /// - Throws: `notFound`, `permissionDenied`, `inputOutput`.
    package init(_ path: String) throws(FileError) {
        let opened = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard opened >= 0 else { throw FileError(errno: errno, "open", path) }
        var status = stat()
        guard fstat(opened, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(opened)
            throw FileError(.notARegularFile, path: path, "'\(path)' is no regular file.")
        }
        descriptor = opened
        byteCount = Int(status.st_size)
        self.path = path
    }

    deinit { close(descriptor) }

    /// Up to `count` bytes from `offset` on; none at the end.
    package func read(at offset: Int, count: Int) throws(FileError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        while true {
            let got = pread(descriptor, &bytes, count, off_t(offset))
            if got >= 0 {
                bytes.removeLast(count - got)
                return bytes
            }
            if errno != EINTR { throw FileError(errno: errno, "read", path) }
        }
    }
}
