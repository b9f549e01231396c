import Checkpoint
import Gemma3nHost
import Tensors
import TestSupport
import Testing
import Tokenization

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

private let real = getenv("GEMMA3N_TOKENIZER").map { String(cString: $0) }

/// A released GGUF file (a Gemma 3 of 270 million parameters: real K-quants, the real vocabulary) against the `gguf` package and the
/// reference's tokenizer: set `GEMMA3N_TOKENIZER` to the folder that `Oracle/real_vocabulary.py` wrote from a whole file.
@Suite(.serialized, .enabled(if: real != nil))
struct RealGGUFTests {
    private static func json(_ name: String) throws -> JSONValue {
        let folder = try #require(real)
        return try JSONValue.parse(MappedFile(path: "\(folder)/\(name)").region, file: name)
    }

    private static func open() throws -> (GGUFFile, JSONValue) {
        let reading = try json("gguf.json")
        let path = try #require(reading["path"]?.string)
        return (try GGUFFile(bytes: MappedFile(path: path).region, name: path), reading)
    }

    @Test func metadata() throws {
        let (gguf, reading) = try Self.open()
        let expected = try #require(reading["metadata"]?.object)
        #expect(gguf.keys.sorted() == expected.keys.sorted())
        for member in expected.members {
            let value = try #require(gguf[member.key], "\(member.key)")
            if let text = member.value.string {
                #expect(value.string == text, "\(member.key)")
            } else if let flag = member.value.bool {
                #expect(value.bool == flag, "\(member.key)")
            } else if let number = member.value.double {
                #expect(value.double == number, "\(member.key)")
            } else {
                #expect(value.count == member.value["count"]?.int, "\(member.key)")
                let first = try #require(member.value["first"]?.array)
                if let texts = value.strings {
                    #expect(Array(texts.prefix(first.count)) == first.compactMap(\.string), "\(member.key)")
                } else {
                    #expect(Array(try #require(value.doubles).prefix(first.count)) == first.compactMap(\.double), "\(member.key)")
                }
            }
        }
    }

    /// Every number of every tensor, bit for bit.
    @Test func tensors() throws {
        let (gguf, reading) = try Self.open()
        let expected = try #require(reading["tensors"]?.array)
        #expect(gguf.tensors.count == expected.count)
        var types: [String: Int] = [:]
        for (tensor, entry) in zip(gguf.tensors, expected) {
            #expect(tensor.name == entry["name"]?.string)
            #expect(tensor.format.name == entry["type"]?.string)
            #expect(tensor.shape == entry["shape"]?.array?.compactMap(\.int))
            var sum: UInt64 = 0
            var place: UInt64 = 1
            let columns = try #require(tensor.shape.last)
            let matrix = tensor.matrix(rows: tensor.elementCount / columns, columns: columns)
            for start in stride(from: 0, to: matrix.rows, by: 4096) {
                for value in matrix.rows(start..<min(start + 4096, matrix.rows)).decoded() {
                    sum &+= UInt64(value.bitPattern) &* place
                    place &+= 2
                }
            }
            #expect("\(sum)" == entry["checksum"]?.string, "\(tensor.name) (\(tensor.format.name))")
            types[tensor.format.name, default: 0] += 1
        }
        print("equal bit for bit: \(types.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", "))")
    }

    /// Ids of 35,000 texts. In a Gemma 3 file the id 256,000 has another name than in Gemma 3n, and what Gemma 3n puts behind it is missing.
    @Test(arguments: ["corpus.json", "long.json"]) func ids(_ name: String) throws {
        let path = try #require(Self.json("gguf.json")["path"]?.string)
        let clock = ContinuousClock()
        let start = clock.now
        let tokenizer = try ModelFiles(path: path).tokenizer()
        print("the tokenizer opens in \(clock.now - start)")
        let others = ["<start_of_audio>", "<end_of_image>", "<image_soft_token>", "<audio_soft_token>", "<end_of_audio>"]
        var (compared, wrong) = (0, 0)
        for entry in try #require(Self.json(name).array) {
            let text = try #require(entry["text"]?.string)
            // Bytes: a combining mark behind a token makes another character of its last one.
            if others.contains(where: { text.utf8.contains($0.utf8) }) { continue }
            let ids = try #require(entry["ids"]?.array).compactMap(\.int).map { Int32($0) }
            compared += 1
            let isRight = tokenizer.encode(text) == ids && (entry["decoded"]?.string).map { tokenizer.decode(ids, skipSpecialTokens: false) == $0 } ?? true
            if !isRight {
                wrong += 1
                if wrong <= 5 { Issue.record("\(text.prefix(200).debugDescription): \(tokenizer.encode(text).prefix(40)), expected \(ids.prefix(40))") }
            }
        }
        #expect(wrong == 0)
        #expect(compared > (name == "corpus.json" ? 20_000 : 4))
        print("\(name): \(compared) texts, \(wrong) differ")
    }
}
