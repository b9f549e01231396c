#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// Standard output and standard error, unbuffered. A reader that goes away ends the program quietly.
enum Output {
    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }
    static var isErrorTerminal: Bool { isatty(STDERR_FILENO) == 1 }
    static var isInputTerminal: Bool { isatty(STDIN_FILENO) == 1 }

    static func write(_ text: String) {
        let failure = write(text, to: STDOUT_FILENO)
        if failure == EPIPE { exit(0) }
        if failure != 0 {
            error("cannot write the output: \(String(cString: strerror(failure)).lowercased()).")
            exit(1)
        }
    }

    static func line(_ text: String) { write(text + "\n") }

    static func writeError(_ text: String) { _ = write(text, to: STDERR_FILENO) }

    /// A variable of the environment, if it is set and not empty.
    static func environment(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    static func error(_ sentence: String) { writeError("error: \(sentence)\n") }

    static func warning(_ sentence: String) { writeError("warning: \(sentence)\n") }

    static func exit(_ code: Int32) -> Never {
        // Threads may be computing still: skip what would tear things down under them.
        _exit(code)
    }

    /// 0 or the system's error number; `EPIPE` if nobody reads any more.
    static func write(_ text: String, to descriptor: Int32) -> Int32 {
        var text = text
        return text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = posixWrite(descriptor, rest.baseAddress, rest.count)
                if count < 0 {
                    if errno == EINTR { continue }
                    if errno == EAGAIN {
                        var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                        _ = posixPoll(&poll, 1, -1)
                        continue
                    }
                    return errno
                }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
            return 0
        }
    }

    /// All of standard input.
    static func readInput() -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(STDIN_FILENO, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { return bytes }
            bytes += buffer[..<count]
        }
    }
}

private func posixWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int { write(descriptor, bytes, count) }
private func posixPoll(_ descriptors: UnsafeMutablePointer<pollfd>, _ count: Int, _ timeout: Int32) -> Int32 {
    poll(descriptors, nfds_t(count), timeout)
}
