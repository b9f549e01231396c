import CKernels
import Checkpoint
import Gemma3n
import Tensors
import Testing

/// The text model on weights of every block format, made up here.
struct QuantizedTextModelTests {
    static let formats: [ElementFormat] = [.q8_0, .q4_0, .q5_0, .q4_K, .q5_K, .q6_K, .affine4, .affine8]

    static let configuration = """
        {"vocab_size": 320, "vocab_size_per_layer_input": 300, "hidden_size": 256, "hidden_size_per_layer_input": 32,
         "num_hidden_layers": 8, "intermediate_size": 512, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64,
         "num_kv_shared_layers": 3, "sliding_window": 24, "laurel_rank": 64, "final_logit_softcapping": 30.0, "rms_norm_eps": 1e-06,
         "max_position_embeddings": 1024, "altup_num_inputs": 4, "altup_active_idx": 0, "altup_correct_scale": true,
         "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "tie_word_embeddings": true,
         "layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "sliding_attention", "full_attention",
                         "sliding_attention", "sliding_attention", "full_attention"],
         "activation_sparsity_pattern": [0.9, 0.9, 0.8, 0, 0, 0, 0, 0]}
        """

    /// Random weights by name; matrices whose rows are whole blocks in `format`, or as what that format decodes to if `decoded`;
    /// `up_proj` in panels if `upInPanels`.
    static func model(_ format: ElementFormat, decoded: Bool = false, upInPanels: Bool = false) throws -> TextModel {
        let bytes = Array(configuration.utf8)
        let json = try JSONValue.parse(ByteRegion(copying: bytes), file: "config.json")
        let c = try TextConfiguration(json)
        var state: UInt64 = 88_172_645_463_325_252
        func uniform() -> Float {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Float(state >> 40) / Float(1 << 24) - 0.5
        }
        var tensors: [String: StoredTensor] = [:]
        forEachTextWeight(c, embeddings: 0.1, sharingLayersOwnKeys: true) { name, shape, mean, spread in
            let count = shape.reduce(1, *)
            let columns = shape.last ?? 1
            // The sum of four is close enough to a normal distribution.
            let values = (0..<count).map { _ in mean + spread * (uniform() + uniform() + uniform() + uniform()) }
            let isMatrix = shape.count == 2 && shape[0] > 16 && !name.contains("altup.")
            let stored = isMatrix && columns % format.blockLength == 0 ? format : .f32
            var region = values.withUnsafeBytes { ByteRegion(copying: Array($0)) }
            if stored.isQuantized {
                let rowBytes = stored.byteCount(of: columns)
                var blocks = [UInt8](repeating: 0, count: rowBytes * shape[0])
                values.withUnsafeBufferPointer { values in
                    blocks.withUnsafeMutableBytes { blocks in
                        for r in 0..<shape[0] {
                            ck_quantize_row(
                                ck_format(UInt32(stored.rawValue)), values.baseAddress! + r * columns, columns,
                                blocks.baseAddress! + r * rowBytes)
                        }
                    }
                }
                region = ByteRegion(copying: blocks)
            }
            let full = "model.\(name)"
            var tensor = StoredTensor(name: full, format: stored, shape: shape, file: "made up", region: region, offset: 0)
            if decoded, stored.isQuantized {
                let plain = tensor.decoded().withUnsafeBytes { ByteRegion(copying: Array($0)) }
                tensor = StoredTensor(name: full, format: .f32, shape: shape, file: "made up", region: plain, offset: 0)
            }
            if upInPanels, name.contains("up_proj"), let panels = tensor.matrix(rows: shape[0], columns: columns).packed(.panels, .serial) {
                tensor = StoredTensor(
                    name: full, format: stored, layout: .panels, shape: shape, file: "made up", region: panels.region, offset: panels.offset)
            }
            tensors[full] = tensor
        }
        let root = WeightStore(tensors).root
        return try TextModel(root["model"], head: root["lm_head"], c)
    }

    static let tokens: [Int32] = (0..<61).map { Int32($0 * 37 % 311) }

    static func logits(_ model: TextModel, chunk: Int, _ parallelism: Parallelism = .serial) throws -> [Float] {
        let decoder = TextDecoder(model, contextLength: 128, chunk: chunk, parallelism: parallelism)
        var logits: [Float] = []
        try decoder.prefill(tokens, wanted: .all) { _, row in logits += row }
        return logits
    }

    /// Any chunks, any order of tasks, token by token, with or without the early stop: the same bits.
    @Test(arguments: formats)
    func chunksAndThreadsChangeNoBit(_ format: ElementFormat) throws {
        let model = try Self.model(format)
        #expect(model.isQuantized)
        let expected = try Self.logits(model, chunk: 61)
        #expect(expected.allSatisfy { $0.isFinite })
        let backwards = Parallelism(threadCount: 3) { count, task in for i in (0..<count).reversed() { task(i) } }
        for chunk in [1, 2, 3, 5, 13, 32, 61] {
            let (serial, threaded) = (try Self.logits(model, chunk: chunk) == expected, try Self.logits(model, chunk: chunk, backwards) == expected)
            #expect(serial, "chunk \(chunk)")
            #expect(threaded, "chunk \(chunk), 3 threads")
        }
        let last = Array(expected.suffix(model.configuration.vocabSize))
        for chunk in [4, 61] {
            let decoder = TextDecoder(model, contextLength: 128, chunk: chunk, parallelism: backwards)
            var row: [Float] = []
            try decoder.prefill(Self.tokens) { _, logits in row = Array(logits) }
            let same = row == last
            #expect(same, "chunk \(chunk), last logits only")
        }
    }

    /// Against the plain path on the numbers the blocks stand for. What differs is the 8 bits of the products' inputs: an error of at most
    /// 1/254 of a block's largest value, some 0.3 % of its root mean square a product. Attention's scores are not scaled and a cutoff decides
    /// over whole units, so random weights make it some 9 % of the logits' root mean square after 8 layers, in every format.
    @Test(arguments: formats)
    func agreesWithTheDecodedWeights(_ format: ElementFormat) throws {
        let fast = try Self.logits(Self.model(format), chunk: 61)
        let plain = try Self.logits(Self.model(format, decoded: true), chunk: 61)
        var (difference, magnitude) = (0.0, 0.0)
        for (a, b) in zip(fast, plain) {
            difference += Double((a - b) * (a - b))
            magnitude += Double(b * b)
        }
        let error = (difference / magnitude).squareRoot()
        #expect(error < 0.15, "relative error \(error)")
        #expect(error > 1e-5, "both paths are the same: nothing was compared")
    }

    /// Single rows cannot be read from panels.
    @Test func upBesideUnitsLiesInRows() {
        #expect(throws: CheckpointError(
            .unsupportedFormat,
            "'model.layers.0.mlp.up_proj.weight' lies in panels beside a down_proj in units, expected rows. Convert the checkpoint again.")
        ) { try Self.model(.q4_0, upInPanels: true) }
    }

    /// Rows, panels and units hold the same numbers, and rows and panels multiply to the same bits.
    @Test(arguments: formats)
    func layoutsAgree(_ format: ElementFormat) throws {
        let (rows, columns) = (40, 512)
        let values = (0..<rows * columns).map { Float(($0 * 7919) % 1009) / 504.5 - 1 }
        let rowBytes = format.byteCount(of: columns)
        var blocks = [UInt8](repeating: 0, count: rowBytes * rows)
        values.withUnsafeBufferPointer { values in
            blocks.withUnsafeMutableBytes { blocks in
                for r in 0..<rows {
                    ck_quantize_row(ck_format(UInt32(format.rawValue)), values.baseAddress! + r * columns, columns, blocks.baseAddress! + r * rowBytes)
                }
            }
        }
        let stored = Matrix(region: ByteRegion(copying: blocks), offset: 0, rows: rows, columns: columns, format: format)
        let panels = try #require(stored.packed(.panels, .serial))
        let units = try #require(stored.packed(.units, .serial))
        let decoded = stored.decoded()
        let (samePanels, sameUnits) = (panels.decoded() == decoded, units.decoded() == decoded)
        #expect(samePanels)
        #expect(sameUnits)

        let x = FloatBuffer(count: 17 * columns)
        for i in 0..<x.count { x.pointer[i] = Float((i * 31) % 255) / 100 - 1.27 }
        let input = LinearInput()
        let a = FloatBuffer(count: 17 * rows)
        let b = FloatBuffer(count: 17 * rows)
        for tokens in [1, 3, 17] {
            input.set(x.pointer, tokens: tokens, columns: columns)
            stored.multiply(input, into: a.pointer, .serial)
            panels.multiply(input, into: b.pointer, .serial)
            let same = a.array(0..<tokens * rows) == b.array(0..<tokens * rows)
            #expect(same, "\(tokens) tokens")
        }
        // Views: rows from a panel on, and the first columns.
        let part = panels.rows(16..<40).columns(0..<256)
        let sameView = part.decoded() == stored.rows(16..<40).columns(0..<256).decoded()
        #expect(sameView)
    }
}
