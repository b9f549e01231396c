import Checkpoint
import Gemma3n
import Tensors
import Testing

/// A slice of a model computes what a checkpoint that holds nothing but the slice computes, to the bit.
struct SliceTests {
    /// Formats of the weights.
    enum Weights: Sendable, CaseIterable {
        case f32, f16, bf16, q8_0, q4_0, q5_0, q4_K, q5_K, q6_K, affine4, affine8
        /// Formats side by side, as mixtures have them.
        case mixed32, mixed256

        var isWide: Bool { [.q4_K, .q5_K, .q6_K, .mixed256].contains(self) }

        func format(_ name: String) -> ElementFormat {
            switch self {
            case .f32: .f32
            case .f16: .f16
            case .bf16: .bf16
            case .q8_0: .q8_0
            case .q4_0: .q4_0
            case .q5_0: .q5_0
            case .q4_K: .q4_K
            case .q5_K: .q5_K
            case .q6_K: .q6_K
            case .affine4: .affine4
            case .affine8: .affine8
            case .mixed32: name.contains("down_proj") ? .q5_0 : name.contains("mlp") ? .q4_0 : name.contains("embed_tokens") ? .q8_0 : .bf16
            case .mixed256: name.contains("down_proj") ? .q6_K : name.contains("per_layer") ? .q8_0 : .q4_K
            }
        }

        func model(seed: UInt64) throws -> NestedModel {
            isWide
                ? try NestedModel(seed: seed, width: 512, hiddenSize: 256, perLayer: 256, headDim: 128) { format($0) }
                : try NestedModel(seed: seed) { format($0) }
        }
    }

    static let prompt: [Int32] = [2, 17, 95, 44, 3, 80, 61, 9, 9, 28, 70, 33, 81, 5, 12, 90, 47, 1, 66, 23, 8, 50]
    static let answer: [Int32] = [31, 7, 94, 2, 55]
    static let backwards = Parallelism(threadCount: 3) { count, task in for i in (0..<count).reversed() { task(i) } }

    /// Bits of all logits of the prompt in several chunks, then of tokens one by one.
    static func logits(_ decoder: TextDecoder) throws -> [UInt32] {
        var bits: [UInt32] = []
        try decoder.prefill(prompt, wanted: .all) { _, row in bits += row.map(\.bitPattern) }
        for token in answer { try decoder.decode(token) { bits += $0.map(\.bitPattern) } }
        return bits
    }

    static func areFinite(_ bits: [UInt32]) -> Bool { bits.allSatisfy { Float(bitPattern: $0).isFinite } }

    /// A width for every layer, and layers left out among those that own no K/V.
    static func randomSlice(_ width: Int, grain: Int, _ random: inout Random) -> (widths: [Int], leftOut: Set<Int>) {
        let steps = width / grain
        let kind = Int.random(in: 0..<4, using: &random)
        let widths = (0..<NestedModel.layerCount).map { _ in
            // Now and then all of one width, or all narrow.
            grain * (kind == 0 ? max(1, steps / 2) : kind == 1 ? Int.random(in: 1...max(1, steps / 4), using: &random) : Int.random(in: 1...steps, using: &random))
        }
        let share = Int.random(in: 0...4, using: &random)
        let leftOut = (NestedModel.owners..<NestedModel.layerCount).filter { _ in Int.random(in: 1...4, using: &random) <= share }
        return (widths, Set(leftOut))
    }

    /// 208 slices in 13 mixtures of formats and every layout: one decoder switches between them, another way of chunking and threading
    /// runs a model of the cut bytes.
    @Test(arguments: Weights.allCases)
    func viewsEqualCutCheckpoints(_ weights: Weights) throws {
        var random = Random(state: 0x9E37_79B9_7F4A_7C15 &+ UInt64(Weights.allCases.firstIndex(of: weights) ?? 0))
        let whole = try weights.model(seed: random.next())
        let models = try NestedModel.Storage.allCases.map { try whole.model($0) }
        let decoders = models.map { TextDecoder($0, contextLength: 48, chunk: 7, parallelism: Self.backwards) }
        for number in 0..<16 {
            let storage = NestedModel.Storage.allCases[number % 3]
            let (model, decoder) = (models[number % 3], decoders[number % 3])
            let (widths, leftOut) = Self.randomSlice(whole.configuration.intermediateSize[0], grain: model.widthGrain, &random)
            let view = try model.sliced(ModelSlice(widths: widths, leavingOut: Array(leftOut)))
            #expect(view.configuration == whole.cut(widths: widths, leavingOut: leftOut).configuration)
            decoder.reset()
            decoder.use(view)
            let seen = try Self.logits(decoder)
            let cut = try whole.cut(widths: widths, leavingOut: leftOut).model(storage)
            let same = try Self.logits(TextDecoder(cut, contextLength: 48, chunk: 9)) == seen
            #expect(same, "slice \(number) in \(storage), widths \(widths), without \(leftOut.sorted())")
            #expect(Self.areFinite(seen))
        }
    }

    /// Neither chunks nor threads nor what the decoder was made of change a bit of a slice's logits.
    @Test(arguments: [Weights.f32, .q4_0, .q6_K])
    func chunksAndThreadsChangeNoBit(_ weights: Weights) throws {
        let model = try weights.model(seed: 11).model(.rows)
        let grain = model.widthGrain
        let slice = ModelSlice(widths: (0..<35).map { $0 % 3 == 0 ? 2 * grain : grain }, leavingOut: [21, 24, 30])
        let view = try model.sliced(slice)
        let expected = try Self.logits(TextDecoder(view, contextLength: 48, chunk: 22))
        for chunk in [1, 2, 5, 64] {
            for parallelism in [Parallelism.serial, Self.backwards] {
                let same = try Self.logits(TextDecoder(view, contextLength: 48, chunk: chunk, parallelism: parallelism)) == expected
                #expect(same, "chunk \(chunk), \(parallelism.threadCount) threads")
            }
        }
        let other = TextDecoder(model, contextLength: 48, chunk: 4)
        other.use(view)
        let same = try Self.logits(other) == expected
        #expect(same)
        // Only the last token's logits: layers without K/V are left out for the others.
        var last: [UInt32] = []
        let short = TextDecoder(view, contextLength: 48, chunk: 6)
        try short.prefill(Self.prompt) { _, row in last = row.map(\.bitPattern) }
        let vocabulary = model.configuration.vocabSize
        let sameLast = last == Array(expected[(Self.prompt.count - 1) * vocabulary..<Self.prompt.count * vocabulary])
        #expect(sameLast)
    }

    /// A decoder that ran other slices leaves the bits of a fresh one; a slice of a slice is one of the whole.
    @Test(arguments: [Weights.bf16, .q8_0, .q4_K])
    func switchingLeavesNoTrace(_ weights: Weights) throws {
        let model = try weights.model(seed: 5).model(.packed)
        let grain = model.widthGrain
        let small = try model.sliced(ModelSlice(widths: Array(repeating: grain, count: 35), leavingOut: [20, 21, 22, 23, 24]))
        let middle = try small.sliced(ModelSlice(widths: (0..<35).map { $0 < 20 ? grain : 2 * grain }))
        #expect(middle.whole === model && model.whole === model)
        #expect(try small.sliced(model.slice) === model)
        let fresh = try [model, small, middle].map { try Self.logits(TextDecoder($0, contextLength: 48, chunk: 8)) }
        let decoder = TextDecoder(small, contextLength: 48, chunk: 8)
        for (index, next) in [(0, model), (1, small), (2, middle), (1, small), (0, model)] {
            decoder.reset()
            decoder.use(next)
            let same = try Self.logits(decoder) == fresh[index]
            #expect(same, "slice \(index)")
            decoder.use(index == 0 ? small : model)
            _ = try decoder.prefill([4, 5, 6]) { _, _ in }
        }
        #expect(fresh[0] != fresh[1] && fresh[1] != fresh[2])
    }

    /// With the caches kept, a token after the switch sees the other slice's keys and values; rewinding brings back the same bits.
    @Test func switchingInsideAText() throws {
        let model = try Weights.q4_0.model(seed: 8).model(.rows)
        let small = try model.sliced(ModelSlice(widths: Array(repeating: 32, count: 35), leavingOut: [22]))
        let decoder = TextDecoder(model, contextLength: 48, chunk: 8)
        try decoder.prefill(Self.prompt, wanted: .none) { _, _ in }
        let position = decoder.position
        let large = try decoder.decode(7) { $0.map(\.bitPattern) }
        #expect(decoder.rewind(to: position))
        decoder.use(small)
        let mixed = try decoder.decode(7) { $0.map(\.bitPattern) }
        #expect(decoder.rewind(to: position))
        decoder.use(model)
        let again = try decoder.decode(7) { $0.map(\.bitPattern) }
        let (same, differs) = (again == large, mixed != large)
        #expect(same && differs && Self.areFinite(mixed))
    }

    @Test func refusesWhatTheFormatCannotBeCutAt() throws {
        func message(_ weights: Weights, _ storage: NestedModel.Storage, _ slice: ModelSlice) throws -> String {
            let model = try weights.model(seed: 3).model(storage)
            do throws(SliceError) { _ = try model.sliced(slice) } catch {
                #expect(error.code == .uncuttable)
                return error.message
            }
            return ""
        }
        let odd = ModelSlice(widths: (0..<35).map { $0 == 6 ? 40 : 160 })
        #expect(try message(.q4_0, .packed, odd) == "Layer 6 cannot be 40 wide: its down_proj is stored in Q4_0, which can be cut at multiples of 32 only.")
        #expect(try message(.f32, .rows, odd) == "")
        let half = ModelSlice(widths: (0..<35).map { $0 == 30 ? 384 : 512 })
        #expect(try message(.q6_K, .rows, half) == "Layer 30 cannot be 384 wide: its down_proj is stored in Q6_K, which can be cut at multiples of 256 only.")
        // Eight numbers a layer: its rows begin inside a panel.
        let narrow = try NestedModel(seed: 4, perLayer: 8) { _ in .q8_0 }.model(.rows)
        do throws(SliceError) {
            _ = try narrow.sliced(ModelSlice(widths: Array(repeating: 160, count: 35), leavingOut: [20]))
            Issue.record("not refused")
        } catch {
            #expect(error.message == "Layer 20 cannot be left out: hidden_size_per_layer_input is 8, and per_layer_model_projection is packed in rows of 16.")
        }
        #expect(throws: Never.self) { _ = try narrow.sliced(ModelSlice(widths: Array(repeating: 160, count: 35), leavingOut: [20, 21])) }
    }
}
