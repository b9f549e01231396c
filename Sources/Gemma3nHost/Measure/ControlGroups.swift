#if os(Linux)
/// The control groups around this process, as containers set them.
enum ControlGroups {
    /// The folders of a controller ("cpu", "memory"): of the process's own group and of every one above it.
    ///
    /// Version 2 has one tree for all controllers, version 1 one for each; a system may have both.
    static func folders(of controller: String, readFile: (String) -> String?) -> [(path: String, isVersion2: Bool)] {
        var result: [(path: String, isVersion2: Bool)] = []
        for line in (readFile("/proc/self/cgroup") ?? "").split(separator: "\n") {
            // "0::/a/b" (version 2) or "4:cpu,cpuacct:/a/b" (version 1)
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let isVersion2 = fields[1].isEmpty
            guard isVersion2 || fields[1].split(separator: ",").contains(Substring(controller)) else { continue }
            let root = isVersion2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/\(controller)"
            let parts = fields[2].split(separator: "/")
            for count in stride(from: parts.count, through: 0, by: -1) {
                result.append((root + parts[..<count].map { "/\($0)" }.joined(), isVersion2))
            }
        }
        return result
    }

    /// The number in the first line of a file; nil for a word.
    static func number(_ path: String, readFile: (String) -> String?) -> Int? {
        readFile(path).flatMap { Int($0.split(separator: "\n").first ?? "") }
    }
}
#endif
