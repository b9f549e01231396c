#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#elseif canImport(Darwin)
internal import Darwin
#endif

/// How much memory this process may hold.
public enum MemoryLimit {
    /// What the tightest control group around this process allows (containers), in bytes; nil without a limit.
    public static var controlGroup: Int? {
        #if os(Linux)
        controlGroup(readFile: readSmallFile)
        #else
        nil
        #endif
    }

    #if os(Linux)
    /// Version 2 keeps `memory.max` (bytes or "max") in the group's folder and every folder above it, version 1
    /// `memory.limit_in_bytes`, a huge number without a limit.
    package static func controlGroup(readFile: (String) -> String?) -> Int? {
        ControlGroups.folders(of: "memory", readFile: readFile).compactMap { folder, isVersion2 in
            ControlGroups.number("\(folder)/\(isVersion2 ? "memory.max" : "memory.limit_in_bytes")", readFile: readFile)
        }.filter { $0 > 0 && $0 < 1 << 60 }.min()
    }
    #endif

    /// Reads a size: a number and a unit, "2GB" (10^9), "1.5 GiB" (2^30), "800M", or bytes without a unit. Nil if it is none.
    public static func parse(_ text: String) -> Int? {
        let units: [(String, Double)] = [
            ("kib", 0x1p10), ("mib", 0x1p20), ("gib", 0x1p30), ("tib", 0x1p40), ("kb", 1e3), ("mb", 1e6), ("gb", 1e9), ("tb", 1e12), ("k", 1e3),
            ("m", 1e6), ("g", 1e9), ("t", 1e12), ("b", 1), ("", 1),
        ]
        let lowered = text.lowercased()
        for (unit, factor) in units where lowered.hasSuffix(unit) {
            var digits = lowered.dropLast(unit.count)
            while digits.last == " " { digits.removeLast() }
            guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }), let number = Double(digits) else { return nil }
            let bytes = (number * factor).rounded()
            return bytes >= 1 && bytes < 0x1p60 ? Int(bytes) : nil
        }
        return nil
    }
}

/// Returns what was freed to the system where the allocator keeps it: after reading a large tokenizer, or encoding a picture.
func releaseFreedMemory() {
    #if canImport(Glibc)
    // Not in Swift's overlay of the library.
    guard let address = dlsym(nil, "malloc_trim") else { return }
    _ = unsafeBitCast(address, to: (@convention(c) (Int) -> CInt).self)(0)
    #endif
}
