import Testing

import Gemma3nServer

@Suite struct MultipartTests {
    private let body = Array(
        "preamble\r\n--XyZ\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ngemma\r\n--XyZ\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a;b.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n--Xy\0data\r\n--XyZ\r\nContent-Disposition: form-data; name=empty\r\n\r\n\r\n--XyZ--\r\n"
            .utf8)

    @Test func readsParts() throws {
        let form = try Multipart(body, contentType: "multipart/form-data; boundary=\"XyZ\"")
        #expect(form.parts.map(\.name) == ["model", "file", "empty"])
        #expect(form["model"]?.text == "gemma" && form["empty"]?.bytes.isEmpty == true)
        #expect(form["file"].map { Array($0.bytes) } == Array("RIFF\r\n--Xy\0data".utf8))
    }

    @Test func refusesWhatIsCutOff() throws {
        for count in 0..<(body.count - 4) {
            #expect(throws: Refusal.self) { try Multipart(Array(body[..<count]), contentType: "multipart/form-data; boundary=XyZ") }
        }
    }

    @Test func refusesOtherTypes() throws {
        for type in ["", "multipart/form-data", "application/json; boundary=XyZ", "multipart/form-data; boundary=", "multipart/form-data; boundary=\(String(repeating: "x", count: 71))"] {
            #expect(throws: Refusal.self) { try Multipart(body, contentType: type) }
        }
    }
}
