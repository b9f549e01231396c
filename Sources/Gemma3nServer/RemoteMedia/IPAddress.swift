internal import NIOCore

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// An internet address.
package struct IPAddress: Hashable, Sendable {
    /// 4 bytes or 16, in network order.
    package let bytes: [UInt8]

    /// - Precondition: There are 4 bytes, or 16.
    package init(_ bytes: [UInt8]) {
        precondition(bytes.count == 4 || bytes.count == 16, "an address has 4 bytes or 16")
        self.bytes = bytes
    }

    /// Of dotted decimal numbers or of IPv6's groups; nil for anything else, such as names and short forms.
    package init?(_ text: String) {
        guard !text.utf8.contains(0) else { return nil }
        for (family, count) in [(AF_INET, 4), (AF_INET6, 16)] {
            var bytes = [UInt8](repeating: 0, count: count)
            if inet_pton(family, text, &bytes) == 1 {
                self.init(bytes)
                return
            }
        }
        return nil
    }

    init?(_ address: SocketAddress) {
        guard let text = address.ipAddress else { return nil }
        self.init(text)
    }

    package var text: String { (try? SocketAddress(packedIPAddress: ByteBuffer(bytes: bytes), port: 0))?.ipAddress ?? "" }
}

extension IPAddress {
    /// Whether it belongs to the internet at large: not to this machine, its networks, or a special purpose.
    ///
    /// - Source: IANA's special-purpose address registries, RFC 6890 and later; RFC 6052 (64:ff9b::/96), RFC 3056 (2002::/16).
    package var isPublic: Bool {
        if bytes.count == 4 { return !Self.special4.contains { $0.holds(bytes) } }
        // Addresses that stand for others are what those are.
        if Self.translated.holds(bytes) { return IPAddress(Array(bytes[12...])).isPublic }
        if Self.sixToFour.holds(bytes) { return IPAddress(Array(bytes[2..<6])).isPublic }
        // All that is given out lies here: loopback, link-local, unique local, multicast and IPv4 in IPv6's clothes do not.
        return Self.globalUnicast.holds(bytes) && !Self.special6.contains { $0.holds(bytes) }
    }

    private struct Range {
        let prefix: [UInt8]
        let bits: Int

        init(_ prefix: UInt8..., bits: Int) {
            self.prefix = prefix
            self.bits = bits
        }

        func holds(_ bytes: [UInt8]) -> Bool {
            for bit in 0..<bits {
                let expected = bit / 8 < prefix.count ? prefix[bit / 8] : 0
                if (expected ^ bytes[bit / 8]) & (0x80 >> UInt8(bit % 8)) != 0 { return false }
            }
            return true
        }
    }

    private static let special4 = [
        Range(0, bits: 8),  // this network
        Range(10, bits: 8), Range(172, 16, bits: 12), Range(192, 168, bits: 16),  // private
        Range(100, 64, bits: 10),  // shared by a carrier's customers
        Range(127, bits: 8),  // loopback
        Range(169, 254, bits: 16),  // link-local; the clouds' metadata
        Range(192, 0, 0, bits: 24),  // protocol assignments
        Range(192, 0, 2, bits: 24), Range(198, 51, 100, bits: 24), Range(203, 0, 113, bits: 24),  // documentation
        Range(192, 88, 99, bits: 24),  // relays of 6to4
        Range(198, 18, bits: 15),  // benchmarks
        Range(224, bits: 4),  // multicast
        Range(240, bits: 4),  // reserved, and broadcast
    ]

    private static let globalUnicast = Range(0x20, bits: 3)
    private static let special6 = [
        Range(0x20, 0x01, bits: 23),  // protocol assignments, Teredo, benchmarks, ORCHID
        Range(0x20, 0x01, 0x0D, 0xB8, bits: 32), Range(0x3F, 0xFF, bits: 20),  // documentation
    ]
    private static let translated = Range(0x00, 0x64, 0xFF, 0x9B, bits: 96)
    private static let sixToFour = Range(0x20, 0x02, bits: 16)
}
