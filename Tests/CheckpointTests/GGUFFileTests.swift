import Checkpoint
import Tensors
import TestSupport
import Testing

/// Writes the pieces of GGUF files, right or wrong.
private struct Pieces {
    var bytes: [UInt8] = []
    init(version: UInt32 = 3, tensors: UInt64 = 0, keys: UInt64 = 0) {
        bytes = Array("GGUF".utf8)
        add(version)
        add(tensors)
        add(keys)
    }
    mutating func add(_ value: some FixedWidthInteger) {
        for shift in stride(from: 0, to: value.bitWidth, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }
    mutating func add(_ text: String) {
        add(UInt64(text.utf8.count))
        bytes += text.utf8
    }
    mutating func tensor(_ name: String, _ dimensions: [UInt64], type: UInt32 = 0, offset: UInt64 = 0) {
        add(name)
        add(UInt32(dimensions.count))
        for dimension in dimensions { add(dimension) }
        add(type)
        add(offset)
    }
    /// Filled up to the alignment, and so many bytes of tensors.
    mutating func data(_ count: Int, alignment: Int = 32) {
        while bytes.count % alignment != 0 { bytes.append(0) }
        bytes += (0..<count).map { UInt8(truncatingIfNeeded: $0) }
    }
}

private func open(_ bytes: [UInt8]) throws(CheckpointError) -> GGUFFile { try GGUFFile(bytes: ByteRegion(copying: bytes), name: "x.gguf") }

struct GGUFFileTests {
    /// Every type of value, as ggml's `docs/gguf.md` numbers them.
    @Test func metadata() throws {
        var file = Pieces(keys: 15)
        file.add("u8"); file.add(UInt32(0)); file.add(UInt8(200))
        file.add("i8"); file.add(UInt32(1)); file.add(Int8(-5))
        file.add("u16"); file.add(UInt32(2)); file.add(UInt16(65_000))
        file.add("i16"); file.add(UInt32(3)); file.add(Int16(-3000))
        file.add("u32"); file.add(UInt32(4)); file.add(UInt32.max)
        file.add("i32"); file.add(UInt32(5)); file.add(Int32.min)
        file.add("f32"); file.add(UInt32(6)); file.add(Float(1e-6).bitPattern)
        file.add("bool"); file.add(UInt32(7)); file.add(UInt8(1))
        file.add("text"); file.add(UInt32(8)); file.add("a▁é")
        file.add("list"); file.add(UInt32(9)); file.add(UInt32(5)); file.add(UInt64(3)); for value in [1, -2, 3] as [Int32] { file.add(value) }
        file.add("texts"); file.add(UInt32(9)); file.add(UInt32(8)); file.add(UInt64(2)); file.add(""); file.add("bc")
        file.add("u64"); file.add(UInt32(10)); file.add(UInt64.max)
        file.add("i64"); file.add(UInt32(11)); file.add(Int64(-7))
        file.add("f64"); file.add(UInt32(12)); file.add((0.1).bitPattern)
        file.add("nested"); file.add(UInt32(9)); file.add(UInt32(9)); file.add(UInt64(1)); file.add(UInt32(7)); file.add(UInt64(2)); file.add(UInt16(1))
        let gguf = try open(file.bytes)
        #expect(gguf.keys == ["u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "text", "list", "texts", "u64", "i64", "f64", "nested"])
        let integers = ["u8": 200, "i8": -5, "u16": 65_000, "i16": -3000, "u32": 4_294_967_295, "i32": Int(Int32.min), "i64": -7]
        for (key, value) in integers { #expect(gguf[key]?.integer == value, "\(key)") }
        #expect(gguf["u64"]?.integer == nil, "beyond Int")
        #expect(gguf["f32"]?.double == Double(Float(1e-6)) && gguf["f64"]?.double == 0.1 && gguf["i8"]?.double == -5)
        #expect(gguf["bool"]?.bool == true && gguf["u8"]?.bool == nil)
        #expect(gguf["text"]?.string == "a▁é" && gguf["text"]?.integer == nil)
        #expect(gguf["list"]?.integers == [1, -2, 3] && gguf["list"]?.doubles == [1, -2, 3] && gguf["list"]?.strings == nil)
        #expect(gguf["texts"]?.strings == ["", "bc"] && gguf["texts"]?.count == 2 && gguf["texts"]?.integers == nil)
        #expect(gguf["nested"]?.isArray == true && gguf["missing"] == nil)
    }

    /// GGUF writes dimensions fastest first; our shapes are rows first.
    @Test(arguments: [UInt32(2), 3]) func tensors(version: UInt32) throws {
        var file = Pieces(version: version, tensors: 3)
        file.tensor("matrix", [2, 3])
        file.tensor("half", [4], type: 1, offset: 32)
        file.tensor("stack", [2, 1, 3], type: 30, offset: 64)
        file.data(64 + 12)
        let gguf = try open(file.bytes)
        #expect(gguf.version == Int(version))
        #expect(gguf.tensors.map(\.name) == ["matrix", "half", "stack"])
        #expect(gguf.tensors.map(\.shape) == [[3, 2], [4], [3, 1, 2]])
        #expect(gguf.tensors.map(\.format) == [.f32, .f16, .bf16])
        #expect(gguf.tensor("stack")?.decoded().count == 6)
        #expect(gguf.tensor("matrix")?.decoded().first == Float(bitPattern: 0x0302_0100))
        #expect(gguf.tensor("none") == nil)
    }

    @Test func alignmentOfTheFileCounts() throws {
        var file = Pieces(tensors: 2, keys: 1)
        file.add("general.alignment"); file.add(UInt32(4)); file.add(UInt32(8))
        file.tensor("a", [1])
        file.tensor("b", [1], offset: 8)
        file.data(12, alignment: 8)
        #expect(try open(file.bytes).tensor("b")?.decoded() == [Float(bitPattern: 0x0B0A_0908)])
    }

    @Test func filesOfOtherKinds() {
        func sentence(_ bytes: [UInt8]) -> String? { #expect(throws: CheckpointError.self) { try open(bytes) }?.description }
        #expect(sentence(Array("GGML".utf8) + [0, 0, 0, 0]) == "x.gguf: the file does not begin with 'GGUF'. Is it a GGUF file?")
        #expect(
            sentence(Pieces(version: 1).bytes)
                == "x.gguf: the file is GGUF of version 1, of August 2023; this version reads 2 and 3. Convert the checkpoint again.")
        #expect(sentence(Pieces(version: 4).bytes) == "x.gguf: the file is GGUF of version 4; this version reads 2 and 3.")
        #expect(
            sentence(Pieces(version: UInt32(3).byteSwapped).bytes)
                == "x.gguf: the file is GGUF for big-endian machines; this version reads little-endian files. Convert the checkpoint again.")
        var file = Pieces(tensors: 1)
        file.tensor("w", [256], type: 10)
        file.data(84)
        let error = sentence(file.bytes)
        #expect(
            error
                == "x.gguf: tensor 'w' is stored as Q2_K; this version reads F32, F16, Q4_0, Q5_0, Q8_0, Q4_K, Q5_K, Q6_K, BF16. Use a file of one of these types."
        )
    }

    /// One wrong thing each: what the sentence must name.
    @Test func contradictions() throws {
        func refuses(_ file: Pieces, _ part: String) {
            let error = #expect(throws: CheckpointError.self) { try open(file.bytes) }
            #expect(error?.message.contains(part) == true, "\(error?.message ?? "") lacks \(part)")
        }
        refuses(Pieces(tensors: .max), "18446744073709551615 tensors")
        refuses(Pieces(keys: 1 << 60), "metadata keys")
        func key(_ name: String, _ type: UInt32, _ count: UInt64? = nil, element: UInt32 = 4) -> Pieces {
            var file = Pieces(keys: 1)
            file.add(name)
            file.add(type)
            if let count {
                file.add(element)
                file.add(count)
            }
            return file
        }
        refuses(key("k", 13), "type 13")
        refuses(key("k", 4), "inside 'k'")
        refuses(key("k", 9, .max), "elements of 'k'")
        refuses(key("k", 9, 1 << 62, element: 10), "elements of 'k'")
        var nameless = key("", 4)
        nameless.add(UInt32(1))
        refuses(nameless, "empty")
        var deep = key("k", 9)
        for _ in 0..<6 {
            deep.add(UInt32(9))
            deep.add(UInt64(1))
        }
        deep.add(UInt32(0))
        deep.add(UInt64(0))
        refuses(deep, "lists in lists")
        var twice = Pieces(keys: 2)
        for _ in 0..<2 { twice.add("k"); twice.add(UInt32(0)); twice.add(UInt8(1)) }
        refuses(twice, "'k' appears twice")
        for alignment in [UInt32(0), 3, .max] {
            var file = Pieces(keys: 1)
            file.add("general.alignment"); file.add(UInt32(4)); file.add(alignment)
            refuses(file, "power of two")
        }
        func tensor(_ dimensions: [UInt64], type: UInt32 = 0, offset: UInt64 = 0, data: Int = 64) -> Pieces {
            var file = Pieces(tensors: 1)
            file.tensor("w", dimensions, type: type, offset: offset)
            file.data(data)
            return file
        }
        refuses(tensor([1, 1, 1, 1, 1]), "5 dimensions")
        refuses(tensor([1 << 40]), "a dimension of 1099511627776")
        refuses(tensor([1 << 30, 1 << 30, 1 << 30]), "larger than any file")
        refuses(tensor([17]), "takes 68 bytes from byte 0")
        refuses(tensor([1], offset: 64), "takes 4 bytes from byte 64")
        refuses(tensor([1], offset: 1 << 63), "beyond any file")
        refuses(tensor([1], offset: 0x7FFF_FFFF_FFFF_FFE0), "takes 4 bytes")
        refuses(tensor([1], offset: 4), "a multiple of 32")
        refuses(tensor([2, 2], type: 99), "number 99")
        refuses(tensor([48], type: 2), "shape [48], but Q4_0 stores rows in blocks of 32")
        refuses(tensor([512, 3], type: 12), "takes 864 bytes")
        var names = Pieces(tensors: 2)
        names.tensor("w", [1])
        names.tensor("w", [1], offset: 32)
        names.data(64)
        refuses(names, "names tensor 'w' twice")
        var overlap = Pieces(tensors: 2)
        overlap.tensor("v", [9])
        overlap.tensor("w", [1], offset: 32)
        overlap.data(64)
        refuses(overlap, "'v' and 'w' overlap")
    }

    /// Rows that llama.cpp's own routines quantised, as the `gguf` package reads them: the same bits.
    @Test(arguments: ["q4_0", "q5_0", "q8_0", "q4_k", "q5_k", "q6_k"]) func everyTypeIsDecoded(_ type: String) throws {
        let gguf = try GGUFFile(bytes: ByteRegion(copying: readBytes(Fixtures.path("gguf/tensors.gguf"))), name: "tensors.gguf")
        let tensor = try #require(gguf.tensor(type))
        #expect(tensor.format.name == type.uppercased() && tensor.shape == [3, 512])
        let expected = try FixtureFile("gguf/tensors.safetensors").floats(type)
        #expect(tensor.decoded().map(\.bitPattern) == expected.map(\.bitPattern))
    }

    /// Damaged files: a typed error or a file whose every value can be read, never a trap.
    @Test func damage() throws {
        var file = Pieces(tensors: 3, keys: 4)
        file.add("general.architecture"); file.add(UInt32(8)); file.add("gemma3n")
        file.add("list"); file.add(UInt32(9)); file.add(UInt32(6)); file.add(UInt64(2)); file.add(Float(1).bitPattern); file.add(Float(2).bitPattern)
        file.add("texts"); file.add(UInt32(9)); file.add(UInt32(8)); file.add(UInt64(2)); file.add("a"); file.add("bc")
        file.add("general.alignment"); file.add(UInt32(4)); file.add(UInt32(32))
        file.tensor("a", [2, 3])
        file.tensor("b", [4], type: 1, offset: 32)
        file.tensor("c", [2, 1, 3], type: 30, offset: 64)
        file.data(64 + 12)
        func read(_ bytes: [UInt8]) -> Bool {
            guard let gguf = try? open(bytes) else { return false }
            for key in gguf.keys {
                let value = gguf[key]
                _ = (value?.integer, value?.double, value?.bool, value?.string, value?.integers, value?.doubles, value?.bools, value?.strings)
            }
            for tensor in gguf.tensors { #expect(tensor.decoded().count == tensor.elementCount) }
            return true
        }
        #expect(read(file.bytes))
        for count in 0..<file.bytes.count { #expect(!read(Array(file.bytes[..<count])), "\(count) bytes") }
        var random = Mutations(seed: 31)
        for _ in 0..<30_000 { _ = read(random.mutate(file.bytes)) }
    }
}
