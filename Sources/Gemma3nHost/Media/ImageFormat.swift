/// The still-picture formats, told apart by their first bytes.
package enum ImageFormat: String, Sendable {
    case png = "PNG"
    case jpeg = "JPEG"
    case webp = "WebP"
    case gif = "GIF"
    case bmp = "BMP"
    case tiff = "TIFF"

    package init?(_ bytes: UnsafeRawBufferPointer) {
        func starts(_ magic: [UInt8], at offset: Int = 0) -> Bool {
            bytes.count >= offset + magic.count && bytes[offset..<offset + magic.count].elementsEqual(magic)
        }
        if starts([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
            self = .png
        } else if starts([0xFF, 0xD8, 0xFF]) {
            self = .jpeg
        } else if starts(Array("RIFF".utf8)) && starts(Array("WEBP".utf8), at: 8) {
            self = .webp
        } else if starts(Array("GIF87a".utf8)) || starts(Array("GIF89a".utf8)) {
            self = .gif
        } else if starts(Array("BM".utf8)) && bytes.count >= 26 && starts([0, 0], at: 8) {
            self = .bmp
        } else if starts([0x49, 0x49, 0x2A, 0x00]) || starts([0x4D, 0x4D, 0x00, 0x2A]) {
            self = .tiff
        } else {
            return nil
        }
    }
}

/// What bytes that are no picture we decode look like, for error sentences.
func describeUnknown(_ bytes: UnsafeRawBufferPointer) -> String {
    func contains(_ magic: String, at offset: Int) -> Bool {
        bytes.count >= offset + magic.utf8.count && bytes[offset..<offset + magic.utf8.count].elementsEqual(magic.utf8)
    }
    if contains("ftypavif", at: 4) || contains("ftypavis", at: 4) { return "an AVIF picture" }
    if contains("ftypheic", at: 4) || contains("ftypmif1", at: 4) || contains("ftypheix", at: 4) { return "a HEIC picture" }
    if contains("ftyp", at: 4) { return "an MP4 or MOV file" }
    if contains("RIFF", at: 0) && contains("WAVE", at: 8) { return "a WAV sound" }
    if contains("OggS", at: 0) { return "an Ogg file" }
    if contains("fLaC", at: 0) { return "a FLAC sound" }
    if contains("ID3", at: 0) { return "an MP3 sound" }
    if contains("%PDF", at: 0) { return "a PDF document" }
    if bytes.count >= 4 && bytes[0] == 0x1A && bytes[1] == 0x45 && bytes[2] == 0xDF && bytes[3] == 0xA3 { return "a WebM or Matroska file" }
    if let format = ImageFormat(bytes) { return "a \(format.rawValue) picture" }
    let text = bytes.prefix(64)
    if text.allSatisfy({ $0 >= 0x20 && $0 < 0x7F || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }) { return "text" }
    return "bytes of no known format"
}
