import Testing

import Gemma3nServer

@Suite struct IPAddressTests {
    /// First and last addresses of what is not public, as numbers.
    private static let special4: [ClosedRange<UInt32>] = [
        0x0000_0000...0x00FF_FFFF, 0x0A00_0000...0x0AFF_FFFF, 0x6440_0000...0x647F_FFFF, 0x7F00_0000...0x7FFF_FFFF, 0xA9FE_0000...0xA9FE_FFFF,
        0xAC10_0000...0xAC1F_FFFF, 0xC000_0000...0xC000_00FF, 0xC000_0200...0xC000_02FF, 0xC058_6300...0xC058_63FF, 0xC0A8_0000...0xC0A8_FFFF,
        0xC612_0000...0xC613_FFFF, 0xC633_6400...0xC633_64FF, 0xCB00_7100...0xCB00_71FF, 0xE000_0000...0xFFFF_FFFF,
    ]

    /// Both ends of each range, their neighbours, points inside, and points all over.
    private static let samples4: [UInt32] = {
        var samples: [UInt32] = []
        for range in special4 {
            let (first, last) = (range.lowerBound, range.upperBound)
            samples += [first, first &+ 1, first &- 1, last, last &- 1, last &+ 1, first + (last - first) / 2, first + (last - first) / 3]
        }
        var state: UInt32 = 1
        for _ in 0..<400 {
            state = state &* 1_664_525 &+ 1_013_904_223
            samples.append(state)
        }
        return samples
    }()

    private func bytes(_ value: UInt32) -> [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> UInt32($0)) } }
    private func isPublic(_ value: UInt32) -> Bool { !Self.special4.contains { $0.contains(value) } }

    @Test func version4() {
        for value in Self.samples4 { #expect(IPAddress(bytes(value)).isPublic == isPublic(value), "\(bytes(value))") }
    }

    /// An address that a gateway turns into another is what the other one is.
    @Test func version4Translated() {
        for value in Self.samples4 {
            let embedded = bytes(value)
            #expect(IPAddress([0x00, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0] + embedded).isPublic == isPublic(value), "64:ff9b:: \(embedded)")
            #expect(IPAddress([0x20, 0x02] + embedded + [UInt8](repeating: 1, count: 10)).isPublic == isPublic(value), "2002:: \(embedded)")
        }
    }

    /// What has no place on the wire is refused, whatever it stands for.
    @Test func version4InOtherClothes() {
        for value in Self.samples4 {
            let embedded = bytes(value)
            #expect(!IPAddress([UInt8](repeating: 0, count: 10) + [0xFF, 0xFF] + embedded).isPublic, "mapped \(embedded)")
            #expect(!IPAddress([UInt8](repeating: 0, count: 12) + embedded).isPublic, "compatible \(embedded)")
            #expect(!IPAddress([0x20, 0x01, 0, 0] + embedded + [0, 0, 0, 0] + embedded.map { ~$0 }).isPublic, "Teredo \(embedded)")
            #expect(!IPAddress([0x00, 0x64, 0xFF, 0x9B, 0x00, 0x01, 0, 0, 0, 0, 0, 0] + embedded).isPublic, "64:ff9b:1:: \(embedded)")
        }
    }

    @Test(arguments: [
        "2001:4860:4860::8888", "2606:4700::1111", "2a00:1450:4001:81b::200e", "2400:cb00::1", "2001:200::1", "2001:db7:ffff::1", "2001:db9::1", "3ffe:ffff::1",
        "2003::1", "2620:fe::fe", "64:ff9b::8.8.8.8", "2002:808:808::1",
    ])
    func publicVersion6(_ text: String) { #expect(IPAddress(text)?.isPublic == true) }

    @Test(arguments: [
        "::", "::1", "::2", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1",
        "64:ff9b:1::8.8.8.8", "100::1", "100:0:0:1::1", "2001::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:1ff:ffff::1", "2001:db8::1",
        "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2002:7f00:1::", "2002:a00:1::1", "2002:c0a8:101::1", "3fff::1", "3fff:fff:ffff::1", "4000::1", "5f00::1",
        "fc00::1", "fdff:ffff::1", "fe80::1", "febf::1", "fec0::1", "ff00::1", "ff02::1", "ff0e::1", "1fff:ffff::1", "e000::1",
    ])
    func specialVersion6(_ text: String) { #expect(IPAddress(text)?.isPublic == false) }

    @Test func writtenAndRead() {
        #expect(IPAddress("127.0.0.1")?.bytes == [127, 0, 0, 1] && IPAddress("127.0.0.1")?.text == "127.0.0.1")
        #expect(IPAddress("::1")?.bytes == [UInt8](repeating: 0, count: 15) + [1] && IPAddress("0:0::1")?.text == "::1")
        for text in ["", "127.1", "0x7f.0.0.1", "2130706433", "1.2.3.4.5", "256.1.1.1", "fe80::1%eth0", "[::1]", "localhost", "1.2.3.4 ", "::1\u{0}"] {
            #expect(IPAddress(text) == nil, "\(text)")
        }
    }
}
