package import Tensors

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

extension ByteRegion {
    /// Tells the system that the bytes in `range` of a mapped file are not needed for now: their pages leave this process, and are read
    /// again if they are touched. For those who go through a large file once, which would otherwise fill the memory of the process.
    ///
    /// Only for regions that map a file read-only: other memory would lose its contents.
    ///
    /// - Precondition: `range` lies inside the region.
    package func releasePages(_ range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "bytes \(range) of \(count)")
        guard isFileMapping, let base = bytes.baseAddress, !range.isEmpty else { return }
        let page = UInt(max(1, sysconf(Int32(_SC_PAGESIZE))))
        // A page shared with a neighbour is only read again.
        let first = (UInt(bitPattern: base) + UInt(range.lowerBound)) / page * page
        let end = (UInt(bitPattern: base) + UInt(range.upperBound) + page - 1) / page * page
        if first < end, let start = UnsafeMutableRawPointer(bitPattern: first) { _ = madvise(start, Int(end - first), MADV_DONTNEED) }
    }
}
