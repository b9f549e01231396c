import Testing

import Gemma3nServer

@Suite struct MultipartReaderTests {
    private let body = Array(
        "pre\r\n--b\r\nContent-Disposition: form-data; name=\"a;b\"; x=\"\\\"name=c\"\r\n\r\n\r\n--\r\n--B\r\n-\r\n--b\r\ncontent-disposition: form-data; filename=y; name=z\r\n\r\n\r\n--b--after"
            .utf8)

    /// The same comes of a body however it is cut.
    @Test(arguments: [1, 2, 3, 5, 7, 64, 1000]) func cuts(size: Int) throws {
        var reader = try MultipartReader(contentType: "Multipart/Form-Data; charset=x; boundary=b")
        var parts: [(String, String?, [UInt8])] = []
        for start in stride(from: 0, to: body.count, by: size) {
            for event in try reader.push(body[start..<min(start + size, body.count)]) {
                switch event {
                case .part(let name, let fileName): parts.append((name, fileName, []))
                case .bytes(let bytes): parts[parts.count - 1].2 += bytes
                }
            }
        }
        try reader.finish()
        #expect(parts.map(\.0) == ["a;b", "z"] && parts.map(\.1) == [nil, "y"])
        #expect(parts.map { String(decoding: $0.2, as: UTF8.self) } == ["\r\n--\r\n--B\r\n-", ""])
    }
}
