internal import GRDB

/// Why the store of responses and conversations cannot be opened or written.
public struct StoreError: Error, Sendable, Equatable {
    /// A stable name for programs.
    public enum Code: String, Sendable {
        case notADatabase = "not_a_database"
        case newerVersion = "newer_version"
        case notWritable = "not_writable"
        case inUse = "in_use"
        case full
        case failed
    }

    public let code: Code
    /// A whole sentence.
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}

extension StoreError {
    /// What SQLite says about a file that is being opened.
    init(opening path: String, _ error: DatabaseError) {
        switch error.resultCode {
        case .SQLITE_NOTADB, .SQLITE_CORRUPT:
            self.init(.notADatabase, "'\(path)' is no database, or a damaged one: \(error.plainMessage). Give another --store; a new file is made where there is none.")
        case .SQLITE_CANTOPEN, .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_AUTH:
            self.init(.notWritable, "'\(path)' cannot be written: \(error.plainMessage). The server writes the file and others beside it; let it write in that directory.")
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            self.init(.inUse, "'\(path)' is in use by another program. End it, or give another --store.")
        case .SQLITE_FULL: self.init(.full, "'\(path)' cannot grow: the disk is full. Make room on it.")
        default: self.init(.failed, "'\(path)' cannot be opened: \(error.plainMessage).")
        }
    }

    /// What SQLite says while the server runs. Clients read it: no path is told.
    init(_ error: DatabaseError) {
        switch error.resultCode {
        case .SQLITE_FULL: self.init(.full, "The server's store is full: nothing more can be kept. Ask again with store false, or delete responses and conversations.")
        default: self.init(.failed, "The server's store cannot be read or written: \(error.plainMessage).")
        }
    }
}

extension DatabaseError {
    /// In SQLite's words, without the statement.
    fileprivate var plainMessage: String { message ?? "SQLite's error \(resultCode.rawValue)" }
}
