import Testing

import Gemma3nServer

@Suite struct RemoteURLTests {
    @Test(arguments: [
        ("http://example.org", "http://example.org/"), ("HTTPS://Example.ORG./a/b.png?x=1&y=%20#part", "https://example.org/a/b.png?x=1&y=%20"),
        ("http://example.org:80/", "http://example.org/"), ("https://example.org:443/", "https://example.org/"), ("http://example.org:8080", "http://example.org:8080/"),
        ("http://example.org:/x", "http://example.org/x"), ("http://example.org?q", "http://example.org/?q"), ("http://a_b.example-c.org/", "http://a_b.example-c.org/"),
        ("http://example.org/a b/ü/[x]/100%/%4", "http://example.org/a%20b/%C3%BC/%5Bx%5D/100%25/%254"), ("http://example.org/a\\b\r\nHost: c", "http://example.org/a%5Cb%0D%0AHost:%20c"),
        ("http://8.8.8.8/x", "http://8.8.8.8/x"), ("https://[2001:4860::8888]:8443/x", "https://[2001:4860::8888]:8443/x"), ("http://x.org//y@z", "http://x.org//y@z"),
    ])
    func canonical(_ text: String, _ expected: String) throws { #expect(try RemoteURL(text).text == expected) }

    @Test(arguments: [
        "", "example.org", "ftp://example.org", "http:/example.org", "http:example.org", "file:///etc/passwd", "http://", "http:///x", "http://user@example.org/",
        "http://user:pw@example.org/", "http://example.org:pw@10.0.0.1/", "http://example.org:0/", "http://example.org:65536/", "http://example.org:8x/",
        "http://example.org:-1/", "http://exa mple.org/", "http://exämple.org/", "http://example.org\\@evil.org/", "http://example%2eorg/", "http://.example.org/",
        "http://example..org/", "http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://1.2.3.4.5/",
        "http://example.0x1/", "http://[::1", "http://[::1]x/", "http://[1.2.3.4]/", "http://[fe80::1%25eth0]/", "http://[::1]:x/", "http://\u{FF11}27.0.0.1/",
        "http://" + String(repeating: "a", count: 64) + ".org/", "http://example.org/" + String(repeating: "a", count: 9000),
    ])
    func refused(_ text: String) { #expect(throws: RemoteMediaError.self) { try RemoteURL(text) } }

    /// Section 5.4 of RFC 3986, as far as there is a host to go to.
    @Test(arguments: [
        ("g", "http://a/b/c/g"), ("./g", "http://a/b/c/g"), ("g/", "http://a/b/c/g/"), ("/g", "http://a/g"), ("//g", "http://g/"), ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"), ("#s", "http://a/b/c/d;p"), ("g#s", "http://a/b/c/g"), (";x", "http://a/b/c/;x"), (".", "http://a/b/c/"), ("./", "http://a/b/c/"),
        ("..", "http://a/b/"), ("../g", "http://a/b/g"), ("../..", "http://a/"), ("../../../g", "http://a/g"), ("/./g", "http://a/g"), ("/../g", "http://a/g"),
        ("g.", "http://a/b/c/g."), ("..g", "http://a/b/c/..g"), ("./g/.", "http://a/b/c/g/"), ("g/../h", "http://a/b/c/h"), ("https://b:8443/x", "https://b:8443/x"),
        ("g/x:y", "http://a/b/c/g/x:y"),
    ])
    func redirects(_ location: String, _ expected: String) throws {
        #expect(try RemoteURL("http://a/b/c/d;p?q").redirected(to: location).text == expected)
    }

    @Test(arguments: ["file:x", "javascript:alert(1)", "//user@b/", "http://user@b/", "//127.1/", String(repeating: "a", count: 9000)])
    func redirectsRefused(_ location: String) {
        #expect(throws: RemoteMediaError.self) { try RemoteURL("http://a/b").redirected(to: location) }
    }
}
