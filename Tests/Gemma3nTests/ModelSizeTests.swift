import Checkpoint
import Gemma3n
import Testing

/// What users say of sizes, and the arithmetic of parameters.
struct ModelSizeTests {
    static func configuration(_ json: String) -> TextConfiguration {
        // Only ever given literals of this file.
        do { return try TextConfiguration(JSONValue.parse(json, file: "config.json")) } catch { preconditionFailure("\(error)") }
    }

    /// Every key has E4B's value by default.
    static let e4b = configuration("{}")
    static let e2b = configuration(#"{"num_hidden_layers": 30, "num_kv_shared_layers": 10, "intermediate_size": 8192}"#)

    func message(_ body: () throws(SliceError) -> Void) -> String {
        do throws(SliceError) { try body() } catch { return error.message }
        return ""
    }

    // MARK: Published slices

    /// "Counted" of the published table, from shapes alone, in thousandths of a billion.
    static let counted: [(name: String, millions: Int)] = [
        ("E2B", 1905), ("E1.96B", 1956), ("E2.49B-block", 2471), ("E2.54B", 2521), ("E2.69B", 2672), ("E2.73B-block", 2722), ("E2.98B", 2974),
        ("E2.98B-block", 2974), ("E3.18B", 3175), ("E3.24B-block", 3226), ("E3.39B", 3377), ("E3.49B-block", 3477), ("E3.59B", 3578),
        ("E3.79B-block", 3729), ("E3.79B", 3779), ("E4B", 3980),
    ]

    @Test func countsOfPublishedSlices() throws {
        #expect(Self.e4b.effectiveParameterCount == 3_980_491_248)
        #expect(Self.e2b.effectiveParameterCount == 1_905_495_648)
        #expect(PublishedSlice.all.map(\.name) == Self.counted.map(\.name))
        for (known, counted) in zip(PublishedSlice.all, Self.counted) {
            let slice = try #require(known.slice(of: Self.e4b))
            let count = try Self.e4b.sliced(slice).effectiveParameterCount
            #expect((count + 500_000) / 1_000_000 == counted.millions, "\(known.name): \(count)")
            #expect(slice.name(in: Self.e4b) == known.name || known.name.hasSuffix("-block"))
        }
        #expect(try ModelSize.e2b.slice(of: Self.e4b).widths == (0..<35).map { (20...24).contains($0) ? 0 : 8192 })
        #expect(try Self.e4b.sliced(ModelSize.e2b.slice(of: Self.e4b)) == Self.e2b)
    }

    /// Published sizes that are not what the shapes give, in hundredths of a billion. A wide layer holds 3 · 2048 · 8192 weights more than a
    /// narrow one, 0.0503 billion, and 35 narrow layers with all the rest 2.219 billion. The published sizes of slices with all layers are
    /// steps of 0.05 from 2.24 instead (2.24 + 0.05 n for n wide layers, at four of them 0.01 less): rounded steps from a rounded start, up to
    /// 0.019 above the count. What has layers left out, and E4B itself, agrees.
    @Test func publishedSizesThatAreRoundedOtherwise() throws {
        var others: [String] = []
        for known in PublishedSlice.all {
            let slice = try #require(known.slice(of: Self.e4b))
            let count = Double(try Self.e4b.sliced(slice).effectiveParameterCount) / 1e9
            if (known.billions - count).magnitude > 0.005 { others.append(known.name) }
            #expect(known.billions >= count - 0.001 && known.billions - count < 0.02, "\(known.name)")
            guard slice.leftOut.isEmpty else { continue }
            let wide = slice.widths.count { $0 == 16_384 }
            #expect((count - (2.2189 + 0.050332 * Double(wide))).magnitude < 0.0005, "\(known.name)")
            let steps = 2.24 + 0.05 * Double(wide) - known.billions
            #expect(steps > -0.001 && steps < 0.011, "\(known.name)")
        }
        #expect(others == [
            "E2.49B-block", "E2.54B", "E2.69B", "E2.73B-block", "E2.98B", "E2.98B-block", "E3.24B-block", "E3.39B", "E3.49B-block", "E3.59B",
            "E3.79B-block", "E3.79B",
        ])
        // The file of that name says 3.79, its table 3.74.
        #expect(PublishedSlice.all.first { $0.name == "E3.79B-block" }?.billions == 3.74)
    }

    @Test func publishedSlicesAreOfModelsLikeE4B() {
        let known = PublishedSlice.all[0]
        #expect(known.slice(of: Self.e2b) == nil)
        #expect(known.slice(of: Self.configuration(#"{"intermediate_size": 63}"#)) == nil)
        #expect(known.slice(of: Self.configuration(#"{"num_kv_shared_layers": 14}"#)) == nil)
        #expect(known.slice(of: Self.configuration(#"{"intermediate_size": 64, "hidden_size": 32}"#))?.widths[0] == 32)
    }

    // MARK: Words

    @Test func words() throws {
        let sizes: [(String, ModelSize)] = [
            ("whole", .whole), ("FULL", .whole), ("half", .half), ("E2B", .e2b), ("e4b", .e4b), ("e2.69B", .named("E2.69B")),
            ("E2.98B", .named("E2.98B")), ("E2.49B", .named("E2.49B-block")), ("e3.79b-block", .named("E3.79B-block")),
            ("2.7B", .parameters(2_700_000_000)), ("900M", .parameters(900_000_000)), ("1.5m", .parameters(1_500_000)), ("40k", .parameters(40_000)),
            ("2b", .parameters(2_000_000_000)), ("1.96299B", .parameters(1_962_000_000)), ("0.001k", .parameters(1)),
        ]
        for (text, size) in sizes { #expect(try ModelSize(text) == size, "\(text)") }
        for text in ["", "B", "2,7B", "2.B", ".B", "-2B", "2.7", "2.7G", "0B", "0.0000M", "1e9B", "12345678B", "E5B", "2.7BB", "２B", "a2B", "2.7 B"] {
            #expect(message { () throws(SliceError) in _ = try ModelSize(text) }.hasPrefix("The size is '\(text)', expected whole, half, a number of parameters such as 2.7B or 900M, or one of E2B, "), "\(text)")
        }
    }

    @Test func budgets() throws {
        func slice(_ text: String, _ c: TextConfiguration = Self.e4b, grain: Int = 256) throws -> ModelSlice { try ModelSize(text).slice(of: c, grain: grain) }
        func name(_ text: String) throws -> String { try slice(text).name(in: Self.e4b) }
        #expect(try name("4B") == "E4B")
        #expect(try name("100B") == "E4B")
        // 62.3 for all of it, 63.4 for two smaller ones; the smaller of equals.
        #expect(try name("3.97B") == "E3.59B")
        #expect(try name("3.5B") == "E3.39B")
        #expect(try name("2.7B") == "E2.69B")
        // 57.1 for more parameters than the 57.7 of E2.69B.
        #expect(try name("2.9B") == "E2.69B")
        #expect(try name("1.91B") == "E2B")
        // Below the smallest: layers 20 to 24 left out, the others as even as can be, no parameter too many.
        let small = try slice("1.5B")
        let count = try Self.e4b.sliced(small).effectiveParameterCount
        let widths = Set(small.layers.map { small.widths[$0] })
        #expect(small.leftOut == [20, 21, 22, 23, 24] && widths.count <= 2 && (widths.max() ?? 0) - (widths.min() ?? 0) <= 512)
        #expect(count <= 1_500_000_000 && count > 1_495_000_000, "\(count)")
        #expect(small.widths.allSatisfy { $0 % 256 == 0 })
        // Layers of full attention first.
        if widths.count == 2 { #expect(small.widths[29] == widths.max() || small.widths[4] == widths.min()) }
        let smallest = try Self.e4b.sliced(ModelSlice(widths: Array(repeating: 512, count: 35), leavingOut: [20, 21, 22, 23, 24])).effectiveParameterCount
        #expect(
            message { () throws(SliceError) in _ = try ModelSize.parameters(1_500_000).slice(of: Self.e4b) }
                == "No slice of this model has 1500000 effective parameters or fewer; the smallest that is tried has \(smallest).")
        // Another model: even widths, all layers.
        let other = Self.configuration(#"{"hidden_size": 64, "intermediate_size": 512, "num_hidden_layers": 8, "num_kv_shared_layers": 3, "hidden_size_per_layer_input": 16, "head_dim": 16, "laurel_rank": 8}"#)
        let whole = other.effectiveParameterCount
        for budget in [whole, whole - 1, whole / 2, whole / 3] {
            let slice = try ModelSize.parameters(budget).slice(of: other, grain: 32)
            let count = try other.sliced(slice).effectiveParameterCount
            #expect(count <= budget && slice.leftOut.isEmpty && slice.widths.allSatisfy { $0 % 32 == 0 && $0 > 0 })
            // No room for one more step of one layer.
            #expect(count == whole || budget - count < 3 * 64 * 32)
        }
        #expect(try ModelSize("half").slice(of: other, grain: 32).widths == Array(repeating: 256, count: 8))
        #expect(try ModelSize.half.slice(of: other, grain: 512).widths == Array(repeating: 512, count: 8))
    }

    @Test func namedSlicesOfOtherModels() throws {
        #expect(try ModelSize.e2b.slice(of: Self.e2b).widths == Self.e2b.intermediateSize)
        #expect(
            message { () throws(SliceError) in _ = try ModelSize.named("E2.69B").slice(of: Self.e2b) }
                == "E2.69B is a slice of Gemma 3n E4B (35 layers of one width), but this model has 30 layers, the widest 8192 wide. Give whole, half, a number of parameters, or widths.")
        #expect(message { () throws(SliceError) in _ = try ModelSize.named("E9B").slice(of: Self.e4b) }.hasPrefix("The size is 'E9B', expected one of E2B, "))
    }

    /// No configuration that can be read makes the arithmetic overflow.
    @Test func absurdConfigurations() throws {
        let absurd = Self.configuration(#"{"hidden_size": 268435456, "head_dim": 268435456, "num_attention_heads": 268435456, "num_key_value_heads": 268435456, "intermediate_size": 268435456, "laurel_rank": 268435456, "hidden_size_per_layer_input": 268435456, "altup_num_inputs": 16}"#)
        #expect(absurd.effectiveParameterCount == Int.max)
        #expect(message { () throws(SliceError) in _ = try ModelSize("2B").slice(of: absurd) }.hasPrefix("No slice of this model has 2000000000 effective parameters"))
    }

    // MARK: Widths and files

    @Test func widths() throws {
        func slice(_ widths: [Int], _ skipped: [Int] = []) throws(SliceError) -> ModelSlice { try ModelSlice(widths: widths, skipping: skipped, of: Self.e4b) }
        #expect(try slice([8192]).widths == Array(repeating: 8192, count: 35))
        #expect(try slice([8192], [20, 24]).leftOut == [20, 24])
        let each = (1...35).map { $0 * 256 }
        #expect(try slice(each).widths == each)
        #expect(try slice(Array(each[..<30]), [20, 21, 22, 23, 24]).widths[25] == 21 * 256)
        #expect(try slice(each, [34]).layers == Array(0..<34))
        #expect(try slice(each, [34]).isNested(in: slice(each)) && !slice(each).isNested(in: slice(each, [34])))
        let refused: [([Int], [Int], SliceError.Code, String)] = [
            ([8192], [19], .ownsKeyValues, "Layer 19 cannot be left out: it makes keys and values that other layers read. Only layers 20 to 34 can."),
            ([8192], [20, 0], .ownsKeyValues, "Layer 0 cannot be left out: it makes keys and values that other layers read. Only layers 20 to 34 can."),
            ([8192], [35], .wrongLayerCount, "Layer 35 is to be left out, but the model's layers are 0 to 34."),
            ([8192], [-1], .wrongLayerCount, "Layer -1 is to be left out, but the model's layers are 0 to 34."),
            ([8192, 8192], [], .wrongLayerCount, "The slice has widths for 2 layers, but the model has 35. Give one for each."),
            (Array(repeating: 1, count: 36), [], .wrongLayerCount, "The slice has widths for 36 layers, but the model has 35. Give one for each."),
            ([], [], .wrongLayerCount, "The slice has widths for 0 layers, but the model has 35. Give one for each."),
            ([0], [], .wrongWidth, "A width of the slice is 0, expected at least 1; layers are left out by skip_layers."),
            (Array(each[..<34]) + [-256], [], .wrongWidth, "A width of the slice is -256, expected at least 1; layers are left out by skip_layers."),
            ([16_385], [], .wrongWidth, "Layer 0 of the slice is 16385 wide, expected 1 to 16384, the width the model has there."),
            (Array(each[..<34]) + [.max], [], .wrongWidth, "Layer 34 of the slice is 9223372036854775807 wide, expected 1 to 16384, the width the model has there."),
        ]
        for (widths, skipped, code, sentence) in refused {
            do throws(SliceError) {
                _ = try slice(widths, skipped)
                Issue.record("not refused: \(sentence)")
            } catch {
                #expect(error.code == code && error.message == sentence)
            }
        }
        // Values made without a check are checked where they are used.
        #expect(message { () throws(SliceError) in try ModelSlice(widths: [Int](repeating: -5, count: 35)).validate(Self.e4b) } == "Layer 0 of the slice is -5 wide, expected 1 to 16384, the width the model has there.")
        #expect(message { () throws(SliceError) in _ = try Self.e4b.sliced(ModelSlice(widths: [])) } == "The slice has widths for 0 layers, but the model has 35. Give one for each.")
    }

    @Test func jsonRoundTrip() throws {
        var random = Random(state: 77)
        for _ in 0..<50 {
            let (widths, leftOut) = SliceTests.randomSlice(16_384, grain: 1, &random)
            let slice = ModelSlice(widths: widths, leavingOut: Array(leftOut))
            let json = try JSONValue.parse(slice.json.serialized(), file: "slice.json")
            #expect(try ModelSlice(json: json, of: Self.e4b) == slice)
        }
        for known in PublishedSlice.all {
            let slice = try #require(known.slice(of: Self.e4b))
            #expect(try ModelSlice(json: slice.json, of: Self.e4b) == slice)
        }
    }

    @Test func readsJSON() throws {
        func slice(_ text: String) throws -> ModelSlice { try ModelSlice(json: JSONValue.parse(text, file: "slice.json"), of: Self.e4b) }
        #expect(try slice(#"{"widths": 8192, "skip_layers": [20, 21, 22, 23, 24], "name": "mine"}"#) == ModelSize.e2b.slice(of: Self.e4b))
        #expect(try slice(#"{"skip_layers": 30}"#).leftOut == [30])
        #expect(try slice("{}") == ModelSlice(wholeOf: Self.e4b))
        let refused = [
            ("[]", "The slice is a list, expected"), ("3", "The slice is 3, expected"),
            (#"{"width": [1]}"#, "The slice has the key 'width', expected widths, skip_layers or name."),
            (#"{"widths": "8192"}"#, "widths of the slice holds \"8192\", expected whole numbers."),
            (#"{"widths": [8192.5]}"#, "widths of the slice holds 8192.5, expected whole numbers."),
            (#"{"widths": [[8192]]}"#, "widths of the slice holds "), (#"{"widths": [1e300]}"#, "widths of the slice holds "),
            (#"{"widths": []}"#, "The slice has widths for 0 layers, but the model has 35. Give one for each."),
            (#"{"widths": {"0": 1}}"#, "widths of the slice holds "), (#"{"skip_layers": [true]}"#, "skip_layers of the slice holds true, expected whole numbers."),
            (#"{"skip_layers": [9223372036854775807]}"#, "Layer 9223372036854775807 is to be left out"),
            (#"{"skip_layers": [-9223372036854775808]}"#, "Layer -9223372036854775808 is to be left out"),
        ]
        for (text, sentence) in refused {
            do {
                _ = try slice(text)
                Issue.record("not refused: \(text)")
            } catch let error as SliceError {
                #expect(error.message.hasPrefix(sentence) || text == "[]", "\(error.message)")
            }
        }
    }

    @Test func namesOfSlices() throws {
        #expect(ModelSlice(wholeOf: Self.e2b).name(in: Self.e2b) == "whole")
        #expect(ModelSlice(widths: Array(repeating: 4096, count: 30)).name(in: Self.e2b) == "half")
        #expect(ModelSlice(widths: Array(repeating: 2048, count: 30)).name(in: Self.e2b) == "773.03M")
        #expect(ModelSlice(widths: [1]).name(in: Self.e2b) == "none of this model")
    }
}
