#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// Lines of a file descriptor, as bytes. Of a line longer than the limit only its length is kept.
package final class LineSource {
    package struct Line: Sendable, Equatable {
        /// Without the line's end; nothing if the line is longer than the limit.
        package let bytes: [UInt8]
        package let byteCount: Int
        /// Whether a line's end follows; only the last line may lack it.
        package let isEnded: Bool

        package init(bytes: [UInt8], byteCount: Int, isEnded: Bool) {
            self.bytes = bytes
            self.byteCount = byteCount
            self.isEnded = isEnded
        }
    }

    private let descriptor: Int32
    private let limit: Int
    private let name: String
    private var buffer = [UInt8](repeating: 0, count: 1 << 16)
    private var unread = 0..<0

    /// - Parameters:
    ///   - limit: Bytes of a line that are kept at most.
    ///   - name: What error sentences call it.
    package init(descriptor: Int32, limit: Int = .max, name: String = "the input") {
        self.descriptor = descriptor
        self.limit = limit
        self.name = name
    }

    /// The next line; nil at the end. An end of line at the very end of the input begins no further line.
    ///
    /// - Throws: `FileError` if the system cannot read.
    package func next() throws(FileError) -> Line? {
        var bytes: [UInt8] = []
        var count = 0
        while true {
            if unread.isEmpty {
                unread = 0..<(try read())
                if unread.isEmpty { return count == 0 ? nil : Line(bytes: bytes, byteCount: count, isEnded: false) }
            }
            let end = buffer[unread].firstIndex(of: UInt8(ascii: "\n"))
            let piece = unread.lowerBound..<(end ?? unread.upperBound)
            unread = min(unread.upperBound, piece.upperBound + (end == nil ? 0 : 1))..<unread.upperBound
            count += piece.count
            if count <= limit { bytes += buffer[piece] } else { bytes = [] }
            if end != nil { return Line(bytes: bytes, byteCount: count, isEnded: true) }
        }
    }

    private func read() throws(FileError) -> Int {
        while true {
            let count = posixRead(descriptor, &buffer, buffer.count)
            if count >= 0 { return count }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                _ = poll(&ready, 1, -1)
            default: throw FileError(errno: errno, "read", name)
            }
        }
    }
}

private func posixRead(_ descriptor: Int32, _ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int { read(descriptor, bytes, count) }
