/// What is known of how some bytes of a region will be used.
public enum MemoryAdvice: Sendable, Equatable {
    /// A little here and a little there: reading ahead would be wasted.
    case random
    /// Not for a while: the memory they take may be given up if they can be had again from where they came.
    case unused
}

/// Immutable bytes that somebody keeps alive: a mapped file, a heap block, data embedded in the program.
///
/// The core never opens a file. A host maps one and hands its bytes over as a `ByteRegion`; every `Matrix` cut from it
/// shares those bytes and keeps the owner alive.
public final class ByteRegion {
    /// Valid while this region is referenced: hold the region in a variable while reading, not in a passing expression.
    public let bytes: UnsafeRawBufferPointer
    private let release: (UnsafeRawBufferPointer) -> Void
    private let takeAdvice: ((MemoryAdvice, Range<Int>) -> Void)?

    /// - Parameters:
    ///   - bytes: Valid and unchanged until `release` runs.
    ///   - takeAdvice: Told how ranges of the bytes will be used, from any thread; the bytes must stay what they are. Nil
    ///     where advice is of no use.
    ///   - release: Called once, when nothing uses the bytes any more.
    public init(
        _ bytes: UnsafeRawBufferPointer, takeAdvice: ((MemoryAdvice, Range<Int>) -> Void)?,
        release: @escaping (UnsafeRawBufferPointer) -> Void
    ) {
        self.bytes = bytes
        self.takeAdvice = takeAdvice
        self.release = release
    }

    public convenience init(_ bytes: UnsafeRawBufferPointer, release: @escaping (UnsafeRawBufferPointer) -> Void = { _ in }) {
        self.init(bytes, takeAdvice: nil, release: release)
    }

    /// Says how the bytes in `range` will be used. Never changes a result; does nothing for bytes without a file behind them.
    ///
    /// - Precondition: `range` lies inside the region.
    public func advise(_ advice: MemoryAdvice, _ range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "bytes \(range) of \(count)")
        if !range.isEmpty { takeAdvice?(advice, range) }
    }

    /// Whether the bytes are a file's, mapped read-only: the system can read them again.
    package var isFileMapping: Bool { takeAdvice != nil }

    /// A copy of `array` on the heap, aligned to 64 bytes.
    public convenience init(copying array: [UInt8]) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(array.count, 1), alignment: 64)
        array.withUnsafeBytes { memory.copyMemory(from: $0) }
        self.init(UnsafeRawBufferPointer(rebasing: memory[0..<array.count])) { _ in memory.deallocate() }
    }

    deinit { release(bytes) }

    public var count: Int { bytes.count }
}

// The bytes never change after init and the owner is released once, from whichever thread drops the last reference.
extension ByteRegion: @unchecked Sendable {}
