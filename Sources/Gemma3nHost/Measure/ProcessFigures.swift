#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#elseif canImport(Darwin)
internal import Darwin
#endif

/// Memory and age of this process.
public enum ProcessFigures {
    /// The most memory this process has held at once, in bytes: pages of its own and of mapped files. On Linux since
    /// `resetPeak()`, if that worked.
    public static var peakBytes: Int {
        #if os(Linux)
        return (statusKilobytes("VmHWM") ?? 0) << 10
        #else
        var usage = rusage()
        return getrusage(RUSAGE_SELF, &usage) == 0 ? Int(usage.ru_maxrss) : 0
        #endif
    }

    /// Memory this process holds now, in bytes; nil where the system does not tell.
    public static var residentBytes: Int? {
        #if os(Linux)
        statusKilobytes("VmRSS").map { $0 << 10 }
        #else
        nil
        #endif
    }

    /// Begins a new peak at what is held now.
    ///
    /// - Returns: False where the system cannot do that: the peak then stays that of the whole life.
    @discardableResult
    public static func resetPeak() -> Bool {
        #if os(Linux)
        let descriptor = open("/proc/self/clear_refs", O_WRONLY)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return write(descriptor, "5", 1) == 1
        #else
        return false
        #endif
    }

    /// Seconds since this process was started, exact to a hundredth; nil where the system does not tell.
    public static var age: Double? {
        #if os(Linux)
        // Field 22 of the line, the 20th after the name in parentheses: clock ticks from boot to start.
        guard let line = readSmallFile("/proc/self/stat"), let name = line.lastIndex(of: ")") else { return nil }
        let fields = line[line.index(after: name)...].split(separator: " ")
        guard fields.count > 19, let ticks = Double(fields[19]) else { return nil }
        var now = timespec()
        guard clock_gettime(CLOCK_BOOTTIME, &now) == 0 else { return nil }
        return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9 - ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
        #else
        nil
        #endif
    }

    #if os(Linux)
    private static func statusKilobytes(_ key: String) -> Int? {
        for line in (readSmallFile("/proc/self/status") ?? "").split(separator: "\n") where line.hasPrefix(key + ":") {
            return line.dropFirst(key.utf8.count + 1).split(whereSeparator: { $0 == " " || $0 == "\t" }).first.flatMap { Int($0) }
        }
        return nil
    }
    #endif
}
