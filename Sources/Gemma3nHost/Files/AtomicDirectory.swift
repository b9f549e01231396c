internal import Synchronization

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// A directory that appears under its name complete or not at all.
///
/// Files are written to a temporary directory beside the target; `commit` renames it. If the value goes away without `commit`, the
/// temporary directory and the files in it are removed, and whatever stood under the name stays as it was.
package struct AtomicDirectory: ~Copyable {
    package let path: String
    /// Where files go until `commit`.
    package let temporaryPath: String
    private let replaces: Bool

    private static let counter = Atomic<Int>(0)

    /// - Parameter replaces: Whether a directory that stands there may be replaced. It must hold files only, `config.json` among them:
    ///   what is no model is never removed.
    /// - Throws: `notADirectory`, `isDirectory` (it exists and may not be replaced), `inputOutput` and others of the system.
    package init(path: String, replaces: Bool) throws(FileError) {
        let path = try Self.check(path: path, replaces: replaces)
        let number = Self.counter.wrappingAdd(1, ordering: .relaxed).newValue
        let (folder, name) = splitPath(path)
        let temporary = "\(folder).\(name.prefix(50)).\(getpid())-\(number).tmp"
        guard mkdir(temporary, 0o777) == 0 else { throw FileError(errno: errno, "create a directory beside", path) }
        self.path = path
        temporaryPath = temporary
        self.replaces = replaces
    }

    /// Says before any work is done whether a model can be written to the directory `path`.
    ///
    /// - Returns: The path without slashes at its end.
    /// - Throws: As `init`.
    package static func check(path: String, replaces: Bool) throws(FileError) -> String {
        var path = path
        while path.utf8.count > 1, path.utf8.last == UInt8(ascii: "/") { path.removeLast() }
        guard !path.isEmpty, path != "/", !path.utf8.contains(0) else {
            throw FileError(.notFound, path: path, "'\(path)' names no directory to write.")
        }
        var status = stat()
        guard stat(path, &status) == 0 else { return path }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw FileError(.notADirectory, path: path, "'\(path)' is a file, but the model is to be a directory. Give another name.")
        }
        guard replaces else {
            throw FileError(.isDirectory, path: path, "'\(path)' exists already. Give another name, or pass --force to replace it.")
        }
        let entries = try Self.entries(path)
        if !entries.isEmpty, !entries.contains(where: { $0.name == "config.json" }) || entries.contains(where: { $0.isDirectory }) {
            throw FileError(
                .isDirectory, path: path,
                "'\(path)' holds other things than a model's files, and is not replaced. Give another name.")
        }
        return path
    }

    deinit { Self.remove(temporaryPath) }

    /// Gives the directory its name; the one that stood there is removed.
    package consuming func commit() throws(FileError) { try Self.put(temporaryPath, at: path, replaces: replaces) }

    /// Makes a directory durable and gives it the name `path`; with `replaces`, the one that stood there is removed.
    package static func put(_ temporaryPath: String, at path: String, replaces: Bool) throws(FileError) {
        synchronize(temporaryPath)
        var status = stat()
        if replaces, stat(path, &status) == 0 {
            let old = temporaryPath + ".old"
            guard rename(path, old) == 0 else { throw FileError(errno: errno, "replace", path) }
            guard rename(temporaryPath, path) == 0 else {
                let error = FileError(errno: errno, "put in place", path)
                _ = rename(old, path)
                throw error
            }
            remove(old)
        } else {
            guard rename(temporaryPath, path) == 0 else { throw FileError(errno: errno, "put in place", path) }
        }
        let folder = splitPath(path).folder
        synchronize(folder.isEmpty ? "." : folder)
    }

    static func synchronize(_ path: String) {
        let directory = open(path, O_RDONLY | O_CLOEXEC)
        if directory >= 0 {
            _ = fsync(directory)
            close(directory)
        }
    }

    private static func entries(_ path: String) throws(FileError) -> [(name: String, isDirectory: Bool)] {
        guard let listing = opendir(path) else { throw FileError(errno: errno, "open", path) }
        defer { closedir(listing) }
        var result: [(name: String, isDirectory: Bool)] = []
        while let entry = readdir(listing) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: tuple.pointee)) { String(cString: $0) }
            }
            if name == "." || name == ".." { continue }
            var status = stat()
            let isDirectory = lstat("\(path)/\(name)", &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
            result.append((name, isDirectory))
        }
        return result
    }

    /// Removes the files of a directory but for some.
    static func removeFiles(in path: String, except names: Set<String>) {
        for entry in (try? entries(path)) ?? [] where !entry.isDirectory && !names.contains(entry.name) { unlink("\(path)/\(entry.name)") }
    }

    /// Removes a directory of files; one that holds directories stays.
    static func remove(_ path: String) {
        guard let entries = try? entries(path), !entries.contains(where: { $0.isDirectory }) else { return }
        for entry in entries { unlink("\(path)/\(entry.name)") }
        rmdir(path)
    }
}

/// The folder of a path with its last slash, empty for a name alone, and the name in it.
func splitPath(_ path: String) -> (folder: String, name: String) {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return ("", path) }
    return (String(path[...slash]), String(path[path.utf8.index(after: slash)...]))
}

/// Checks that the file system of `path` (a file to be written) has room for `bytes` more.
///
/// - Throws: `diskFull` with both numbers.
package func checkFreeSpace(for path: String, bytes: Int) throws(FileError) {
    let folder = splitPath(path).folder
    var status = statvfs()
    guard statvfs(folder.isEmpty ? "." : folder, &status) == 0 else { return }
    let free = Int(clamping: UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize)).partialValue)
    if free < bytes {
        throw FileError(
            .diskFull, path: path,
            "'\(path)' will take \(bytes / 1_000_000) MB, but the disk has \(free / 1_000_000) MB left. Make room, or write to another disk.")
    }
}
