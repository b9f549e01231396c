public import Tensors

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// A file's bytes in memory, read by the system page by page as they are touched.
///
/// Mapping a checkpoint costs nothing until a weight is used, processes that open the same file share its pages, and the
/// system may drop pages it can read again. The mapping lives as long as `region` is referenced.
///
/// - Warning: A mapped file must not be shortened while it is in use: the system answers a read past the new end by
///   ending the process (SIGBUS). Replace files by renaming over them, as `AtomicFile` does; the mapping then keeps the old bytes.
public struct MappedFile: Sendable {
    public let path: String
    public let region: ByteRegion

    /// Maps the regular file at `path` read-only. Symbolic links are followed; an empty file gives an empty region.
    ///
    /// - Throws: `notFound`, `permissionDenied`, `isDirectory`, `notARegularFile`, `inputOutput`.
    public init(path: String) throws(FileError) {
        let (descriptor, size) = try openRegularFile(path)
        defer { close(descriptor) }
        self.path = path
        if size == 0 {
            region = ByteRegion(copying: [])
            return
        }
        guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
            throw FileError(errno: errno, "map", path)
        }
        let bytes = UnsafeRawBufferPointer(start: address, count: size)
        region = ByteRegion(bytes, takeAdvice: { giveAdvice($0, $1, bytes) }) { bytes in
            munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
        }
    }
}

/// Hands advice on mapped bytes to the system, for whole pages: it must not reach the neighbouring tensors.
///
/// `random` stops reads of one row from pulling in its neighbours; for a table of which each token reads one row that would
/// fill memory with rows nobody asked for. `unused` gives the pages up: the next read brings them back from the file.
private func giveAdvice(_ advice: MemoryAdvice, _ range: Range<Int>, _ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    let page = UInt(max(1, sysconf(Int32(_SC_PAGESIZE))))
    let first = (UInt(bitPattern: base) + UInt(range.lowerBound) + page - 1) / page * page
    // The last page of the file is the file's alone.
    let upper = UInt(bitPattern: base) + UInt(range.upperBound)
    let end = range.upperBound == bytes.count ? (upper + page - 1) / page * page : upper / page * page
    guard first < end, let start = UnsafeMutableRawPointer(bitPattern: first) else { return }
    // Advice may be refused; nothing depends on it.
    switch advice {
    case .random: _ = madvise(start, Int(end - first), MADV_RANDOM)
    case .unused: _ = madvise(start, Int(end - first), MADV_DONTNEED)
    }
}

/// Reads the whole regular file at `path` into memory.
///
/// - Parameter limit: The most bytes accepted.
/// - Throws: What opening throws, and `tooLarge` for a file of more than `limit` bytes.
public func readFile(_ path: String, limit: Int = 1 << 31) throws(FileError) -> [UInt8] {
    let (descriptor, size) = try openRegularFile(path)
    defer { close(descriptor) }
    guard size <= limit else {
        throw FileError(.tooLarge, path: path, "'\(path)' has \(size) bytes; at most \(limit) are accepted here.")
    }
    var contents = [UInt8](repeating: 0, count: size)
    let filled = contents.withUnsafeMutableBytes { memory in
        Result { () throws(FileError) in try fill(memory, from: descriptor, path) }
    }
    contents.removeLast(size - (try filled.get()))
    return contents
}

/// The same into memory of a region's own; nothing is copied twice.
public func readRegion(_ path: String, limit: Int = 1 << 31) throws(FileError) -> ByteRegion {
    let (descriptor, size) = try openRegularFile(path)
    defer { close(descriptor) }
    guard size <= limit else {
        throw FileError(.tooLarge, path: path, "'\(path)' has \(size) bytes; at most \(limit) are accepted here.")
    }
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(size, 1), alignment: 64)
    do throws(FileError) {
        let filled = try fill(UnsafeMutableRawBufferPointer(rebasing: memory[0..<size]), from: descriptor, path)
        return ByteRegion(UnsafeRawBufferPointer(rebasing: memory[0..<filled])) { _ in memory.deallocate() }
    } catch {
        memory.deallocate()
        throw error
    }
}

/// Reads until `memory` is full or the file ends: it may have shrunk since its size was asked for.
private func fill(_ memory: UnsafeMutableRawBufferPointer, from descriptor: Int32, _ path: String) throws(FileError) -> Int {
    var filled = 0
    while filled < memory.count {
        let got = read(descriptor, memory.baseAddress.unsafelyUnwrapped + filled, memory.count - filled)
        if got < 0 {
            if errno == EINTR { continue }
            throw FileError(errno: errno, "read", path)
        }
        if got == 0 { break }
        filled += got
    }
    return filled
}

/// The descriptor of a regular file opened for reading, and its size in bytes.
private func openRegularFile(_ path: String) throws(FileError) -> (descriptor: Int32, size: Int) {
    guard !path.utf8.contains(0) else {
        throw FileError(.notFound, path: path, "a path cannot contain a zero byte.")
    }
    // O_NONBLOCK: a named pipe without a writer must not stop us; it is refused below.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw FileError(errno: errno, "open", path) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
        let error = FileError(errno: errno, "look at", path)
        close(descriptor)
        throw error
    }
    switch status.st_mode & S_IFMT {
    case S_IFREG:
        return (descriptor, Int(status.st_size))
    case S_IFDIR:
        close(descriptor)
        throw FileError(.isDirectory, path: path, "'\(path)' is a directory; a file is needed here.")
    default:
        close(descriptor)
        throw FileError(.notARegularFile, path: path, "'\(path)' is a pipe, socket or device; a regular file is needed here.")
    }
}
