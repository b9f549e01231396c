internal import Gemma3nHost
internal import Logging
internal import Synchronization

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// The folder of files and batches. One that was not asked for by name is made when the first file comes.
final class Storage: Sendable {
    struct Opened: Sendable {
        let files: FileStore
        let batches: BatchStore
    }

    private struct State {
        var opened: Opened?
        var action: (@Sendable (Opened) -> Void)?
    }

    /// Nil if this user has no place for it.
    private let path: String?
    private let isGiven: Bool
    private let clock: @Sendable () -> Int
    private let state = Mutex(State())

    init(_ settings: ServerSettings) {
        isGiven = settings.files != nil
        path = settings.files ?? Self.userFolder
        clock = settings.clock
    }

    /// Where programs keep what they are to find again (XDG Base Directory).
    private static var userFolder: String? {
        func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) }.flatMap { $0.hasPrefix("/") ? $0 : nil } }
        return (variable("XDG_STATE_HOME") ?? variable("HOME").map { "\($0)/.local/state" }).map { "\($0)/gemma3n/files" }
    }

    /// What to do once the folder is open.
    func whenOpened(_ action: @escaping @Sendable (Opened) -> Void) { state.withLock { $0.action = action } }

    /// Opens the folder as the server begins: one given by name must be there for it alone, another one may be missing or in use.
    ///
    /// - Throws: `FileError`.
    func start(_ log: Logger) throws {
        guard let path, isGiven || LockedFolder.exists(path) else { return }
        do {
            _ = try opened(path)
        } catch let error where !isGiven {
            log.warning("files and batches are not at hand", metadata: ["error": "\(error)"])
        }
    }

    /// The folder, made if there is none. Waits for the disk.
    ///
    /// - Throws: 503 if it cannot be had.
    func open() throws -> Opened {
        guard let path else {
            throw Refusal(503, "This server has no folder for files: it runs without a home. Start it with --files DIRECTORY.", code: "files_unavailable")
        }
        do {
            return try opened(path)
        } catch let error as FileError where error.code != .diskFull {
            let reason = error.code == .inUse ? "is used by another server" : "cannot be used"
            throw Refusal(
                503, "The folder for files and batches \(reason). Start this server with --files and another folder.", code: "files_unavailable")
        }
    }

    /// The folder if it is there. Waits for the disk.
    ///
    /// - Throws: 503 if it cannot be had.
    func existing() throws -> Opened? {
        if let opened = state.withLock({ $0.opened }) { return opened }
        guard let path, LockedFolder.exists(path) else { return nil }
        return try open()
    }

    /// The folder as far as it is open already.
    var current: Opened? { state.withLock { $0.opened } }

    private func opened(_ path: String) throws -> Opened {
        let (opened, action): (Opened, (@Sendable (Opened) -> Void)?) = try state.withLock { state in
            if let opened = state.opened { return (opened, nil) }
            do {
                let folder = try LockedFolder(path)
                let files = try FileStore(folder, clock: clock)
                let batches = try BatchStore(folder)
                try files.sweep(keeping: batches.writtenFiles)
                for batch in batches.all where !batch.status.isEnd { files.hold(batch.inputFile) }
                let opened = Opened(files: files, batches: batches)
                state.opened = opened
                return (opened, state.action)
            } catch let error as FileError where error.code == .inUse {
                throw FileError(.inUse, path: path, "'\(path)' is used by another server that runs now. Stop it, or give another folder by --files.")
            }
        }
        action?(opened)
        return opened
    }

    /// Gives the folder back.
    func close() { state.withLock { $0.opened = nil } }
}
