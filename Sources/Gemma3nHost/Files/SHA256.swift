internal import CFFmpeg

/// SHA-256 (FIPS 180-4) of bytes that come piece by piece, by FFmpeg's libavutil.
package final class SHA256 {
    private let state: OpaquePointer

    package init() {
        guard let state = av_sha_alloc() else { fatalError("out of memory") }
        self.state = state
        av_sha_init(state, 256)
    }

    deinit { av_free(UnsafeMutableRawPointer(state)) }

    /// The digest of these bytes alone, in hexadecimal digits.
    package static func hex(_ bytes: some Collection<UInt8>) -> String {
        let hash = SHA256()
        hash.update(bytes)
        return hash.finish()
    }

    package func update(_ bytes: some Collection<UInt8>) {
        if bytes.withContiguousStorageIfAvailable({ add($0) }) == nil { Array(bytes).withUnsafeBufferPointer { add($0) } }
    }

    /// The digest of all bytes, in hexadecimal digits. Nothing can be added afterwards.
    package func finish() -> String {
        var digest = [UInt8](repeating: 0, count: 32)
        av_sha_final(state, &digest)
        return digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private func add(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard let start = bytes.baseAddress else { return }
        // Older versions of the library count in 32 bits.
        for first in stride(from: 0, to: bytes.count, by: 1 << 30) { cffmpeg_sha_update(state, start + first, min(1 << 30, bytes.count - first)) }
    }
}
