#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// A folder of files that one process at a time uses: it holds a lock on `lock` in it, which the system gives back however it ends.
package final class LockedFolder: Sendable {
    /// Without a slash at its end.
    package let path: String
    private let lock: Int32

    /// Makes the folder, readable to its owner only, and those above it, unless they are there. What interrupted `AtomicFile`s left in it is
    /// removed.
    ///
    /// - Throws: `inUse` if another process has it; `permissionDenied`, `notADirectory` and others of the system.
    package init(_ path: String) throws(FileError) {
        var path = path
        while path.utf8.count > 1, path.utf8.last == UInt8(ascii: "/") { path.removeLast() }
        guard !path.isEmpty, !path.utf8.contains(0) else { throw FileError(.notFound, path: path, "'\(path)' names no folder.") }
        try Self.make(path)
        let lock = open("\(path)/lock", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0 else { throw FileError(errno: errno, "create a file in", path) }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            close(lock)
            throw FileError(.inUse, path: path, "'\(path)' is used by another process.")
        }
        self.path = path
        self.lock = lock
        for name in try names() where name.hasPrefix(".") && name.hasSuffix(".tmp") { remove(name) }
    }

    deinit { close(lock) }

    /// Whether there is such a folder.
    package static func exists(_ path: String) -> Bool {
        var status = stat()
        return !path.utf8.contains(0) && stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    private static func make(_ path: String) throws(FileError) {
        if exists(path) { return }
        let (above, _) = splitPath(path)
        if above.utf8.count > 1, above != path { try make(String(above.dropLast())) }
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw FileError(errno: errno, "create the folder", path) }
        guard exists(path) else { throw FileError(.notADirectory, path: path, "'\(path)' is no folder.") }
    }

    /// Everything in it, in no order.
    package func names() throws(FileError) -> [String] {
        guard let listing = opendir(path) else { throw FileError(errno: errno, "open", path) }
        defer { closedir(listing) }
        var names: [String] = []
        while let entry = readdir(listing) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: tuple.pointee)) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// The path of a file in it.
    ///
    /// - Precondition: `name` is one of ours: it has no slash.
    package func path(of name: String) -> String {
        precondition(!name.utf8.contains(UInt8(ascii: "/")), "a name in a folder has no slash")
        return "\(path)/\(name)"
    }

    /// Bytes of a regular file in it; nil if there is none of that name.
    package func byteCount(of name: String) -> Int? {
        var status = stat()
        guard lstat(path(of: name), &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return Int(status.st_size)
    }

    /// Removes a file in it, if it is there.
    package func remove(_ name: String) { unlink(path(of: name)) }
}
