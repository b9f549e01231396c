#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// A file that grows at its end, from a place where it is known to be whole.
package struct GrowingFile: ~Copyable {
    package let path: String
    private let descriptor: Int32

    /// Opens or creates the file and cuts off what lies behind `offset`.
    ///
    /// - Precondition: The file is that long; a shorter one would get zeros.
    package init(path: String, from offset: Int) throws(FileError) {
        self.path = path
        let opened = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o666)
        guard opened >= 0 else { throw FileError(errno: errno, "create", path) }
        guard ftruncate(opened, off_t(offset)) == 0, lseek(opened, off_t(offset), SEEK_SET) == off_t(offset) else {
            let error = FileError(errno: errno, "write", path)
            close(opened)
            throw error
        }
        descriptor = opened
    }

    deinit { close(descriptor) }

    package func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) { try writeAll(bytes, to: descriptor, path: path) }

    /// Makes what was written durable.
    package func synchronize() throws(FileError) {
        guard fsync(descriptor) == 0 else { throw FileError(errno: errno, "write", path) }
    }

    /// Cuts off what lies behind `offset`, such as half of something the disk had no room for.
    package func cut(to offset: Int) throws(FileError) {
        guard ftruncate(descriptor, off_t(offset)) == 0, lseek(descriptor, off_t(offset), SEEK_SET) == off_t(offset) else {
            throw FileError(errno: errno, "write", path)
        }
    }
}
