#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// Why a file could not be read or written.
///
/// `message` is a whole sentence that names the path and what the system said.
public struct FileError: Error, Sendable, Equatable {
    /// A stable name for programs.
    public enum Code: String, Sendable {
        case notFound = "not_found"
        case permissionDenied = "permission_denied"
        case isDirectory = "is_directory"
        case notADirectory = "not_a_directory"
        /// A pipe, socket or device where a regular file is needed.
        case notARegularFile = "not_a_regular_file"
        case tooLarge = "too_large"
        case diskFull = "disk_full"
        case inputOutput = "input_output"
        /// Another process has it.
        case inUse = "in_use"
    }

    public let code: Code
    public let path: String
    public let message: String

    public init(_ code: Code, path: String, _ message: String) {
        self.code = code
        self.path = path
        self.message = message
    }

    /// What the system said about `action` ("open", "read", …) on `path`.
    init(errno number: Int32, _ action: String, _ path: String) {
        let code: Code =
            switch number {
            case ENOENT: .notFound
            case ENOTDIR: .notADirectory
            case EACCES, EPERM, EROFS: .permissionDenied
            case EISDIR: .isDirectory
            case ENOSPC, EDQUOT, EFBIG: .diskFull
            default: .inputOutput
            }
        self.init(code, path: path, "cannot \(action) '\(path)': \(FileError.text(number)).")
    }

    private static func text(_ number: Int32) -> String {
        switch number {
        case ENOENT: "no such file or directory"
        case ENOSPC: "the disk is full"
        case EDQUOT: "the disk quota is used up"
        default: String(cString: strerror(number)).lowercased()
        }
    }
}

extension FileError: CustomStringConvertible {
    public var description: String { message }
}
