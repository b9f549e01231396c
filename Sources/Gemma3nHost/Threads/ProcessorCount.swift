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
        for (folder, isVersion2) in ControlGroups.folders(of: "cpu", readFile: readFile) {
            if isVersion2 {
                let words = (readFile("\(folder)/cpu.max") ?? "").split { $0 == " " || $0 == "\n" }
                if words.count == 2, let quota = Int(words[0]), let period = Int(words[1]) { limit(quota, period) }
            } else if let quota = ControlGroups.number("\(folder)/cpu.cfs_quota_us", readFile: readFile),
                let period = ControlGroups.number("\(folder)/cpu.cfs_period_us", readFile: readFile)
            {
                limit(quota, period)
            }
        }
        return tightest
    }
    #endif
}
