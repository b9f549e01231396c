/// Immutable bytes that somebody keeps alive: a mapped file, a heap block, data embedded in the program.
///
/// The core never opens a file. A host maps one and hands its bytes over as a `ByteRegion`; every `Matrix` cut from it
/// shares those bytes and keeps the owner alive.
public final class ByteRegion {
    /// Valid while this region is referenced: hold the region in a variable while reading, not in a passing expression.
    public let bytes: UnsafeRawBufferPointer
    /// Whether the bytes are a file's, mapped read-only: the system can read them again.
    package let isFileMapping: Bool
    private let release: (UnsafeRawBufferPointer) -> Void

    /// - Parameters:
    ///   - bytes: Valid and unchanged until `release` runs.
    ///   - release: Called once, when nothing uses the bytes any more.
    public convenience init(_ bytes: UnsafeRawBufferPointer, release: @escaping (UnsafeRawBufferPointer) -> Void = { _ in }) {
        self.init(bytes, isFileMapping: false, release: release)
    }

    package init(_ bytes: UnsafeRawBufferPointer, isFileMapping: Bool, release: @escaping (UnsafeRawBufferPointer) -> Void) {
        self.bytes = bytes
        self.isFileMapping = isFileMapping
        self.release = release
    }

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
