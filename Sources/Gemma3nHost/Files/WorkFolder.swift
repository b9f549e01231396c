#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// A hidden folder beside a target in which a long output grows, found again by the next run after an interruption.
///
///     .NAME.partial/lock      held by the run that writes
///     .NAME.partial/state     what is being made, and how much of it is durable
///     .NAME.partial/content   what will be renamed to the target: a file or a directory of files
///
/// Nothing under the target's name changes before `commit`. A run that wants something else than the state says starts anew.
struct WorkFolder: ~Copyable {
    /// How far the output is durable: files before `file` wholly, that one up to `bytes`.
    struct Progress: Equatable {
        var file = 0
        var bytes = 0
    }

    let path: String
    /// What becomes the target.
    var content: String { "\(path)/content" }
    /// Where an earlier run stopped.
    let found: Progress
    private let identity: String
    private let lock: Int32

    /// - Parameters:
    ///   - target: The path of the output, without slashes at its end.
    ///   - identity: One line that differs if anything that decides about the output's bytes does.
    /// - Throws: `FileError`; `inputOutput` if another run is writing there.
    init(beside target: String, identity: String) throws(FileError) {
        let (folder, name) = splitPath(target)
        let path = "\(folder).\(name.prefix(50)).partial"
        self.path = path
        self.identity = identity
        lock = try Self.lock(path, target)
        if let state = try? readFile("\(path)/state", limit: 4096), let progress = Self.parse(state, identity) {
            found = progress
        } else {
            found = Progress()
            unlink("\(path)/state")
            Self.removeContent(path)
        }
    }

    /// The folder's lock, made with the folder if they are not there.
    private static func lock(_ path: String, _ target: String) throws(FileError) -> Int32 {
        guard mkdir(path, 0o777) == 0 || errno == EEXIST else { throw FileError(errno: errno, "create a directory beside", target) }
        let lock = open("\(path)/lock", O_WRONLY | O_CREAT | O_CLOEXEC, 0o666)
        guard lock >= 0 else { throw FileError(errno: errno, "create a file beside", target) }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            close(lock)
            throw FileError(.inputOutput, path: target, "another run is writing '\(target)' now. Wait for it, or give another name.")
        }
        return lock
    }

    deinit { close(lock) }

    private static func parse(_ state: [UInt8], _ identity: String) -> Progress? {
        let lines = String(decoding: state, as: UTF8.self).split(separator: "\n")
        guard lines.count == 2, lines[0] == identity else { return nil }
        let numbers = lines[1].split(separator: " ").map { Int($0) }
        guard numbers.count == 2, let file = numbers[0], let bytes = numbers[1], file >= 0, bytes >= 0 else { return nil }
        return Progress(file: file, bytes: bytes)
    }

    /// Notes what is durable.
    func record(_ progress: Progress) throws(FileError) {
        try AtomicFile.write(Array("\(identity)\n\(progress.file) \(progress.bytes)\n".utf8), to: "\(path)/state")
    }

    /// Gives the content its name; a directory that stood there is replaced if it may be, a file always.
    consuming func commit(to target: String, replaces: Bool) throws(FileError) {
        var status = stat()
        if stat(content, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
            try AtomicDirectory.put(content, at: target, replaces: replaces)
        } else {
            guard rename(content, target) == 0 else { throw FileError(errno: errno, "put in place", target) }
            let folder = splitPath(target).folder
            AtomicDirectory.synchronize(folder.isEmpty ? "." : folder)
        }
        AtomicDirectory.remove(path)
    }

    /// Whatever an earlier run left of the content.
    private static func removeContent(_ path: String) {
        unlink("\(path)/content")
        AtomicDirectory.remove("\(path)/content")
    }
}

/// Makes a directory unless it is there.
func makeDirectory(_ path: String) throws(FileError) {
    guard mkdir(path, 0o777) == 0 || errno == EEXIST else { throw FileError(errno: errno, "create", path) }
}
