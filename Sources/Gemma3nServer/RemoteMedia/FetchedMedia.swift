internal import Gemma3nHost

/// What came from a URL.
struct FetchedMedia: Sendable {
    /// As its server calls it.
    let type: String
    let bytes: [UInt8]

    var dataURL: String { "data:\(type);base64,\(base64(bytes))" }

    /// A plain media type from a header that may hold anything.
    static func type(_ header: String?) -> String {
        let type = String((header ?? "").prefix { $0 != ";" }).lowercased().filter { $0 != " " && $0 != "\t" }
        let isPlain = type.utf8.allSatisfy { ($0 >= 0x61 && $0 <= 0x7A) || ($0 >= 0x30 && $0 <= 0x39) || "/+.-".utf8.contains($0) }
        return isPlain && (1...60).contains(type.utf8.count) ? type : "application/octet-stream"
    }
}
