#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#elseif canImport(Darwin)
internal import Darwin
#endif

/// How many processors this process may use.
public enum ProcessorCount {
    /// Processors this process is allowed to run on: the affinity mask (`taskset`, `numactl`, a job scheduler) and, on
    /// Linux, the CPU quota of its control group (containers). At least 1.
    public static var available: Int {
        #if os(Linux)
        var count = affinity(readFile: readSmallFile) ?? sysconf(Int32(_SC_NPROCESSORS_ONLN))
        if let quota = controlGroupQuota(readFile: readSmallFile) { count = min(count, quota) }
        return max(1, count)
        #else
        return max(1, Int(sysconf(_SC_NPROCESSORS_ONLN)))
        #endif
    }

    /// The thread count to use unless the user says otherwise. Decoding is bound by memory and prefill by arithmetic; both
    /// stop gaining, and the first may lose, when two threads share a core, but a process cannot tell portably. All available
    /// processors it is.
    public static var defaultThreadCount: Int { available }

    #if os(Linux)
    /// Processors in the affinity mask: `Cpus_allowed` of `/proc/self/status`, hexadecimal digits with commas.
    package static func affinity(readFile: (String) -> String?) -> Int? {
        for line in (readFile("/proc/self/status") ?? "").split(separator: "\n") where line.hasPrefix("Cpus_allowed:") {
            let count = line.dropFirst(13).reduce(0) { $0 + ($1.hexDigitValue?.nonzeroBitCount ?? 0) }
            return count > 0 ? count : nil
        }
        return nil
    }

    /// Whole processors the control group's CPU quota allows, rounded up; nil without a quota.
    ///
    /// Version 2 keeps `cpu.max` ("quota period" or "max period", microseconds) in the group's folder and every folder above
    /// it; version 1 keeps `cpu.cfs_quota_us` (-1: none) and `cpu.cfs_period_us`. The tightest limit counts.
    package static func controlGroupQuota(readFile: (String) -> String?) -> Int? {
        var tightest: Int?
        func limit(_ quota: Int, _ period: Int) {
            guard quota > 0, period > 0 else { return }
            let processors = (quota - 1) / period + 1
            tightest = min(tightest ?? processors, processors)
        }
        let lines = (readFile("/proc/self/cgroup") ?? "").split(separator: "\n")
        for line in lines {
            // "0::/a/b" (version 2) or "4:cpu,cpuacct:/a/b" (version 1)
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            var folders = fields[2].split(separator: "/").map(String.init)
            let isVersion2 = fields[1].isEmpty
            guard isVersion2 || fields[1].split(separator: ",").contains("cpu") else { continue }
            while true {
                let folder = folders.map { "/" + $0 }.joined()
                if isVersion2 {
                    if let text = readFile("/sys/fs/cgroup\(folder)/cpu.max") {
                        let words = text.split { $0 == " " || $0 == "\n" }
                        if words.count == 2, let quota = Int(words[0]), let period = Int(words[1]) { limit(quota, period) }
                    }
                } else {
                    let root = "/sys/fs/cgroup/cpu"
                    if let quota = readFile("\(root)\(folder)/cpu.cfs_quota_us").flatMap({ Int($0.split(separator: "\n").first ?? "") }),
                        let period = readFile("\(root)\(folder)/cpu.cfs_period_us").flatMap({ Int($0.split(separator: "\n").first ?? "") })
                    {
                        limit(quota, period)
                    }
                }
                if folders.isEmpty { break }
                folders.removeLast()
            }
        }
        return tightest
    }

    /// The first 4096 bytes of a file.
    static func readSmallFile(_ path: String) -> String? {
        let file = open(path, O_RDONLY)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(file, &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }
    #endif
}
