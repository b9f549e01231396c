import Testing

import Gemma3nHost

@Suite struct SHA256Tests {
    /// From FIPS 180-4's examples and `sha256sum`.
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
        (String(repeating: "a", count: 1000), "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3"),
    ])
    func digests(text: String, digest: String) {
        #expect(SHA256.hex(text.utf8) == digest)
        for cut in [0, 1, 55, 63, 64, 65] where cut <= text.utf8.count {
            let hash = SHA256()
            hash.update(text.utf8.prefix(cut))
            hash.update(text.utf8.dropFirst(cut))
            #expect(hash.finish() == digest)
        }
    }
}
