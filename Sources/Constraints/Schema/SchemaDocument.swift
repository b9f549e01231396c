internal import Checkpoint

/// A schema with its places that can be referred to.
struct SchemaDocument {
    struct Place {
        var value: JSONValue
        /// A JSON pointer, `#/properties/a`.
        var path: String
        /// The URI that references are relative to.
        var base: String
    }

    let root: Place
    /// By absolute URI.
    private var resources: [[UInt8]: Place] = [:]
    /// By absolute URI, `#` and name.
    private var anchors: [[UInt8]: Place] = [:]
    /// How many subschemas carry a dynamic anchor of a name.
    private var dynamicAnchors: [[UInt8]: Int] = [:]
    /// Whether `unevaluatedItems` or `unevaluatedProperties` stands anywhere: else nobody needs to know what has been evaluated.
    private(set) var asksForUnevaluated = false

    init(_ schema: JSONValue) throws(ConstraintError) {
        root = Place(value: schema, path: "#", base: schema["$id"]?.string.map { Self.split(Self.resolve($0, "")).uri } ?? "")
        resources[[]] = root
        try index(root, depth: 0)
    }

    /// Keywords whose value is a schema, a list of schemas, or an object of schemas.
    static let schemaKeywords = [
        "additionalProperties", "propertyNames", "items", "contains", "not", "if", "then", "else", "unevaluatedItems",
        "unevaluatedProperties", "contentSchema", "additionalItems",
    ]
    static let listKeywords = ["allOf", "anyOf", "oneOf", "prefixItems"]
    static let mapKeywords = ["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"]

    private mutating func index(_ place: Place, depth: Int) throws(ConstraintError) {
        guard depth < 400 else { throw ConstraintError(.tooComplex, path: place.path, "subschemas are nested more than 400 deep.") }
        guard case .object(let object) = place.value else { return }
        var place = place
        if let id = object["$id"]?.string {
            place.base = Self.split(Self.resolve(id, place.base)).uri
            resources[Array(place.base.utf8)] = place
        } else if depth == 0 {
            resources[Array(place.base.utf8)] = place
        }
        for keyword in ["$anchor", "$dynamicAnchor"] {
            if let name = object[keyword]?.string {
                anchors[Array((place.base + "#" + name).utf8)] = place
                if keyword == "$dynamicAnchor" { dynamicAnchors[Array(name.utf8), default: 0] += 1 }
            }
        }
        for member in object.members {
            let path = place.path + "/" + Self.escaped(member.key)
            if member.key == "unevaluatedItems" || member.key == "unevaluatedProperties" { asksForUnevaluated = true }
            if Self.schemaKeywords.contains(member.key) {
                try index(Place(value: member.value, path: path, base: place.base), depth: depth + 1)
            } else if Self.listKeywords.contains(member.key), case .array(let elements) = member.value {
                for (i, element) in elements.enumerated() {
                    try index(Place(value: element, path: "\(path)/\(i)", base: place.base), depth: depth + 1)
                }
            } else if Self.mapKeywords.contains(member.key), case .object(let members) = member.value {
                for member in members.members {
                    try index(Place(value: member.value, path: path + "/" + Self.escaped(member.key), base: place.base), depth: depth + 1)
                }
            }
        }
    }

    /// A key in a JSON pointer.
    static func escaped(_ key: String) -> String {
        var bytes: [UInt8] = []
        for byte in key.utf8 {
            if byte == 0x7E { bytes += [0x7E, 0x30] } else if byte == 0x2F { bytes += [0x7E, 0x31] } else { bytes.append(byte) }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: References

    /// What a reference at a place refers to; nil if there is no such place in the document.
    func target(of reference: String, from base: String) -> Place? {
        let (uri, fragment) = Self.split(Self.resolve(reference, base))
        guard let resource = resources[Array(uri.utf8)] else { return nil }
        guard let text = Self.percentDecoded(fragment) else { return nil }
        if text.isEmpty { return resource }
        if text[0] != 0x2F { return anchors[Array((uri + "#").utf8) + text] }
        var place = resource
        for step in text[1...].split(separator: 0x2F, omittingEmptySubsequences: false) {
            var key: [UInt8] = []
            var i = step.startIndex
            while i < step.endIndex {
                if step[i] == 0x7E, i + 1 < step.endIndex, step[i + 1] == 0x30 || step[i + 1] == 0x31 {
                    key.append(step[i + 1] == 0x30 ? 0x7E : 0x2F)
                    i += 2
                } else {
                    key.append(step[i])
                    i += 1
                }
            }
            let name = String(decoding: key, as: UTF8.self)
            var found: JSONValue?
            switch place.value {
            case .object(let object): found = object[name]
            case .array: found = Int(name).flatMap { place.value[$0] }
            default: found = nil
            }
            guard let value = found else { return nil }
            place = Place(value: value, path: place.path + "/" + Self.escaped(name), base: place.base)
            if let id = value["$id"]?.string { place.base = Self.split(Self.resolve(id, place.base)).uri }
        }
        return place
    }

    func dynamicAnchorCount(_ name: String) -> Int { dynamicAnchors[Array(name.utf8)] ?? 0 }

    static func split(_ reference: String) -> (uri: String, fragment: String) {
        let bytes = Array(reference.utf8)
        guard let hash = bytes.firstIndex(of: 0x23) else { return (reference, "") }
        return (String(decoding: bytes[..<hash], as: UTF8.self), String(decoding: bytes[(hash + 1)...], as: UTF8.self))
    }

    private static func percentDecoded(_ text: String) -> [UInt8]? {
        var result: [UInt8] = []
        let bytes = Array(text.utf8)
        var i = 0
        while i < bytes.count {
            if bytes[i] == 0x25 {
                guard i + 2 < bytes.count, let value = UInt8(String(decoding: bytes[(i + 1)...(i + 2)], as: UTF8.self), radix: 16) else { return nil }
                result.append(value)
                i += 3
            } else {
                result.append(bytes[i])
                i += 1
            }
        }
        return result
    }

    /// A reference made absolute (RFC 3986, section 5.2; a base without scheme stays without).
    static func resolve(_ reference: String, _ base: String) -> String {
        let bytes = Array(reference.utf8)
        if hasScheme(bytes) { return reference }
        var baseBytes = Array(split(base).uri.utf8)
        if bytes.isEmpty || bytes[0] == 0x23 { return String(decoding: baseBytes + bytes, as: UTF8.self) }
        // Where the path of the base begins.
        var pathStart = 0
        if hasScheme(baseBytes), let colon = baseBytes.firstIndex(of: 0x3A) {
            pathStart = colon + 1
            if baseBytes.count >= pathStart + 2, baseBytes[pathStart] == 0x2F, baseBytes[pathStart + 1] == 0x2F {
                if bytes.count >= 2, bytes[0] == 0x2F, bytes[1] == 0x2F {
                    return String(decoding: baseBytes[..<pathStart] + bytes, as: UTF8.self)
                }
                pathStart = baseBytes[(pathStart + 2)...].firstIndex(of: 0x2F) ?? baseBytes.count
            }
        }
        if bytes[0] == 0x2F { return String(decoding: baseBytes[..<pathStart] + bytes, as: UTF8.self) }
        if let slash = baseBytes[pathStart...].lastIndex(of: 0x2F) {
            baseBytes.removeSubrange((slash + 1)...)
        } else {
            baseBytes.removeSubrange(pathStart...)
            if pathStart > 0, baseBytes.last != 0x3A { baseBytes.append(0x2F) }
        }
        return String(decoding: baseBytes + bytes, as: UTF8.self)
    }

    private static func hasScheme(_ bytes: [UInt8]) -> Bool {
        guard let colon = bytes.firstIndex(of: 0x3A), colon > 0 else { return false }
        return bytes[..<colon].allSatisfy { $0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A || $0 >= 0x30 && $0 <= 0x39 || $0 == 0x2B || $0 == 0x2D || $0 == 0x2E }
    }
}
