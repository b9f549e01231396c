import Foundation
import TestSupport

/// The built program, run as a process.
struct Program {
    struct Outcome {
        let code: Int32
        let output: String
        let error: String
        /// Killed by a signal instead of exiting.
        let wasKilled: Bool

        var json: [String: Any] { (try? JSONSerialization.jsonObject(with: Data(output.utf8))) as? [String: Any] ?? [:] }
    }

    /// Beside the test bundle, in the build folder.
    static let path: String = {
        var folder = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
        for _ in 0..<6 {
            folder.deleteLastPathComponent()
            let candidate = folder.appendingPathComponent("gemma3n").path
            if FileManager.default.isExecutableFile(atPath: candidate) { return candidate }
        }
        return "gemma3n"
    }()

    static let tiny = Fixtures.path("checkpoints/tiny")

    /// - Parameters:
    ///   - input: Standard input; nothing by default.
    ///   - interruptAfter: Sends SIGINT once so much was written to standard output.
    ///   - interruptAfterError: The same for standard error.
    static func run(
        _ arguments: [String], input: String = "", interruptAfter bytes: Int? = nil, interruptAfterError errorBytes: Int? = nil
    ) throws -> Outcome {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        let (stdin, stdout, stderr) = (Pipe(), Pipe(), Pipe())
        process.standardInput = stdin
        process.standardOutput = stdout
        process.standardError = stderr
        try process.run()
        // Small inputs fit the pipe.
        stdin.fileHandleForWriting.write(Data(input.utf8))
        try stdin.fileHandleForWriting.close()
        var (output, error) = (Data(), Data())
        func interrupt(after bytes: Int, of handle: FileHandle, into data: inout Data) {
            while data.count < bytes {
                let more = handle.availableData
                if more.isEmpty { break }
                data += more
            }
            process.interrupt()
        }
        if let bytes { interrupt(after: bytes, of: stdout.fileHandleForReading, into: &output) }
        if let errorBytes { interrupt(after: errorBytes, of: stderr.fileHandleForReading, into: &error) }
        output += stdout.fileHandleForReading.readDataToEndOfFile()
        error += stderr.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Outcome(
            code: process.terminationStatus, output: String(decoding: output, as: UTF8.self), error: String(decoding: error, as: UTF8.self),
            wasKilled: process.terminationReason == .uncaughtSignal)
    }
}

/// A directory of its own for one test, removed afterwards.
func withTemporaryDirectory<R>(_ body: (String) throws -> R) throws -> R {
    let path = NSTemporaryDirectory() + "gemma3n-commands-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
}
