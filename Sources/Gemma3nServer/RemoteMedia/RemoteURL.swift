/// An `http` or `https` URL, taken apart by rules so strict that no other reader of it can find another host in it.
package struct RemoteURL: Hashable, Sendable {
    package enum Host: Hashable, Sendable {
        case name(String)
        case address(IPAddress)
    }

    package let isSecure: Bool
    package let host: Host
    package let port: Int
    /// Path and query, percent-encoded; begins with `/`.
    package let target: String

    static let maximumBytes = 8192

    /// - Throws: When it is no such URL, names a user, or writes its host in an unusual way.
    package init(_ text: String) throws(RemoteMediaError) {
        guard text.utf8.count <= Self.maximumBytes else { throw RemoteMediaError("is longer than \(Self.maximumBytes) bytes.") }
        let bytes = Array(text.utf8)
        let isSecure: Bool
        if Self.hasScheme("https", bytes) {
            isSecure = true
        } else if Self.hasScheme("http", bytes) {
            isSecure = false
        } else {
            throw RemoteMediaError("is no http or https URL.")
        }
        let rest = bytes[(isSecure ? 8 : 7)...]
        let authority = rest.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
        try self.init(isSecure: isSecure, authority: authority, target: rest[authority.endIndex...])
    }

    private init(isSecure: Bool, authority: ArraySlice<UInt8>, target: ArraySlice<UInt8>) throws(RemoteMediaError) {
        if authority.contains(UInt8(ascii: "@")) { throw RemoteMediaError("names a user; URLs with user or password are not fetched.") }
        var name = authority
        var digits: ArraySlice<UInt8>?
        if authority.first == UInt8(ascii: "[") {
            guard let end = authority.firstIndex(of: UInt8(ascii: "]")) else { throw RemoteMediaError("has a '[' in its host that is not closed.") }
            name = authority[...end]
            let after = authority[authority.index(after: end)...]
            if after.first == UInt8(ascii: ":") {
                digits = after.dropFirst()
            } else if !after.isEmpty {
                throw RemoteMediaError("has a host that is none.")
            }
        } else if let colon = authority.firstIndex(of: UInt8(ascii: ":")) {
            name = authority[..<colon]
            digits = authority[authority.index(after: colon)...]
        }
        host = try Self.host(name)
        var port = isSecure ? 443 : 80
        if let digits, !digits.isEmpty {
            guard digits.count <= 5, digits.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let number = Int(String(decoding: digits, as: UTF8.self)),
                (1...65535).contains(number)
            else { throw RemoteMediaError("has a port that is no number from 1 to 65535.") }
            port = number
        }
        self.port = port
        self.isSecure = isSecure
        self.target = Self.encoded(target)
    }

    private init(_ base: RemoteURL, target: ArraySlice<UInt8>) {
        (isSecure, host, port) = (base.isSecure, base.host, base.port)
        self.target = Self.encoded(target)
    }

    package var hostText: String {
        switch host {
        case .name(let name): name
        case .address(let address): address.bytes.count == 16 ? "[\(address.text)]" : address.text
        }
    }

    /// As it is asked for.
    package var text: String {
        let isUsual = port == (isSecure ? 443 : 80)
        return "\(isSecure ? "https" : "http")://\(hostText)\(isUsual ? "" : ":\(port)")\(target)"
    }

    /// What a redirect's `Location` means here.
    ///
    /// - Source: RFC 3986, section 5.2.
    package func redirected(to location: String) throws(RemoteMediaError) -> RemoteURL {
        let bytes = Array(location.utf8)
        if Self.hasScheme("https", bytes) || Self.hasScheme("http", bytes) { return try RemoteURL(location) }
        guard bytes.count <= Self.maximumBytes else { throw RemoteMediaError("redirects to a URL longer than \(Self.maximumBytes) bytes.") }
        if bytes.starts(with: "//".utf8) { return try RemoteURL((isSecure ? "https:" : "http:") + location) }
        let path = bytes.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
        // A colon in the first part ends the name of another scheme.
        if path.prefix(while: { $0 != UInt8(ascii: "/") }).contains(UInt8(ascii: ":")) { throw RemoteMediaError("redirects to what is no http or https URL.") }
        let own = Array(target.utf8.prefix { $0 != UInt8(ascii: "?") })
        let merged: [UInt8]
        if path.isEmpty {
            merged = own + bytes
        } else if path.first == UInt8(ascii: "/") {
            merged = Self.withoutDots(Array(path)) + bytes[path.endIndex...]
        } else {
            let folder = own[...(own.lastIndex(of: UInt8(ascii: "/")) ?? 0)]
            merged = Self.withoutDots(Array(folder) + path) + bytes[path.endIndex...]
        }
        return RemoteURL(self, target: merged[...])
    }

    private static func hasScheme(_ scheme: String, _ bytes: [UInt8]) -> Bool {
        let wanted = Array("\(scheme)://".utf8)
        return bytes.count >= wanted.count && zip(wanted, bytes).allSatisfy { $0 == ($1 >= 0x41 && $1 <= 0x5A ? $1 | 0x20 : $1) }
    }

    private static func host(_ bytes: ArraySlice<UInt8>) throws(RemoteMediaError) -> Host {
        if bytes.first == UInt8(ascii: "[") {
            guard let address = IPAddress(String(decoding: bytes.dropFirst().dropLast(), as: UTF8.self)), address.bytes.count == 16 else {
                throw RemoteMediaError("has brackets around what is no IPv6 address.")
            }
            return .address(address)
        }
        var name = String(decoding: bytes, as: UTF8.self).lowercased()
        if name.hasSuffix(".") { name.removeLast() }
        if let address = IPAddress(name), address.bytes.count == 4 { return .address(address) }
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        let isName = name.utf8.count <= 253 && labels.allSatisfy { label in
            (1...63).contains(label.utf8.count)
                && label.utf8.allSatisfy { ($0 >= 0x61 && $0 <= 0x7A) || ($0 >= 0x30 && $0 <= 0x39) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
        }
        guard isName else { throw RemoteMediaError("has a host that is no plain name; write international names in their xn-- form.") }
        // Resolvers read 127.1 and 0x7f000001 as addresses.
        if let last = labels.last, last.first?.isNumber == true, last.hasPrefix("0x") || last.allSatisfy(\.isNumber) {
            throw RemoteMediaError("has a host of numbers that is no address of four.")
        }
        return .name(name)
    }

    /// Path and query with what does not belong there percent-encoded; the fragment stays here.
    private static func encoded(_ bytes: ArraySlice<UInt8>) -> String {
        var text = bytes.first == UInt8(ascii: "/") ? [] : [UInt8(ascii: "/")]
        let kept = Array(bytes.prefix { $0 != UInt8(ascii: "#") })
        for (index, byte) in kept.enumerated() {
            let isEscape = byte == UInt8(ascii: "%") && index + 2 < kept.count && isHex(kept[index + 1]) && isHex(kept[index + 2])
            if isPlain(byte) || isEscape {
                text.append(byte)
            } else {
                text += [UInt8(ascii: "%"), hex(byte >> 4), hex(byte & 15)]
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The characters that RFC 3986 has in paths and queries.
    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: "-._~!$&'()*+,;=:@/?".utf8.contains(byte)
        }
    }

    private static func isHex(_ byte: UInt8) -> Bool { (byte >= 0x30 && byte <= 0x39) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66) }
    private static func hex(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x37 + value }

    private static func withoutDots(_ path: [UInt8]) -> [UInt8] {
        var parts: [ArraySlice<UInt8>] = []
        let written = path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).dropFirst()
        for (index, part) in written.enumerated() {
            let isLast = index == written.count - 1
            switch String(decoding: part, as: UTF8.self) {
            case ".": if isLast { parts.append([]) }
            case "..":
                _ = parts.popLast()
                if isLast { parts.append([]) }
            default: parts.append(part)
            }
        }
        return parts.flatMap { [UInt8(ascii: "/")] + $0 }
    }
}
