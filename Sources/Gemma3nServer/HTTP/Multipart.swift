/// The parts of a `multipart/form-data` body (RFC 7578) that is there whole.
package struct Multipart: Sendable {
    package struct Part: Sendable {
        package let name: String
        package let fileName: String?
        package fileprivate(set) var bytes: [UInt8] = []

        package var text: String? { String(validating: bytes, as: UTF8.self) }
    }

    package let parts: [Part]

    package subscript(name: String) -> Part? { parts.first { $0.name == name } }
    package func all(_ name: String) -> [Part] { parts.filter { $0.name == name } }

    /// - Throws: 400 if the body is not what the content type says.
    package init(_ body: [UInt8], contentType: String) throws(Refusal) {
        var reader = try MultipartReader(contentType: contentType)
        var parts: [Part] = []
        for event in try reader.push(body) {
            switch event {
            case .part(let name, let fileName): parts.append(Part(name: name, fileName: fileName))
            case .bytes(let bytes): parts[parts.count - 1].bytes += bytes
            }
        }
        try reader.finish()
        self.parts = parts
    }
}
