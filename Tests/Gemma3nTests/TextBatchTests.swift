import Gemma3n
import Tensors
import TestSupport
import Testing

/// Sequences that go through the model together, each as if it were alone.
struct TextBatchTests {
    private static let backwards = Parallelism(threadCount: 3) { count, task in for i in (0..<count).reversed() { task(i) } }

    /// One sequence of a walk: its tokens, where other embeddings stand, and what it gives alone.
    private struct Lane {
        let tokens: [Int32]
        let soft: Set<Int>
        let format: KVFormat
        let slice: Int
        let alone: [[Float]]
        var sequence: TextSequence?
        var fed = 0

        static func embedding(_ index: Int, _ soft: Set<Int>, _ d: Int, _ e: UnsafeMutablePointer<Float>) -> Bool {
            guard soft.contains(index) else { return false }
            for i in 0..<d { e[i] = Float((i * 7 + index * 13) % 23 - 11) / 8 }
            return true
        }
    }

    /// Sequences join, go on by one token or by many, go back, start again and leave, in an order drawn by chance. Whatever was beside them:
    /// the logits are those of the sequence alone, bit for bit.
    private static func walk(_ models: [TextModel], seed: UInt64, lanes count: Int, longest: Int, context: Int) throws {
        var random = Random(state: seed)
        let whole = models[0]
        let c = whole.configuration
        let vocabulary = min(c.vocabSize, c.vocabSizePerLayerInput)
        var lanes: [Lane] = []
        for index in 0..<count {
            let tokens = (0..<Int.random(in: 2...longest, using: &random)).map { _ in Int32.random(in: 0..<Int32(vocabulary), using: &random) }
            let soft = Set((0..<tokens.count).filter { _ in Int.random(in: 0..<6, using: &random) == 0 })
            let (format, slice) = (KVFormat.allCases[index % KVFormat.allCases.count], index % models.count)
            let decoder = TextDecoder(models[slice], contextLength: context, chunk: 1 + index * 5, keyValues: format)
            var alone: [[Float]] = []
            try decoder.prefill(tokens, wanted: .all, embedding: { Lane.embedding($0, soft, c.hiddenSize, $1) }) { _, row in alone.append(Array(row)) }
            lanes.append(Lane(tokens: tokens, soft: soft, format: format, slice: slice, alone: alone))
        }
        let batch = TextBatch(whole, capacity: 40, logitRows: 3, parallelism: backwards)
        var different = 0, compared = 0, step = 0
        while step < 12 * count || lanes.contains(where: { $0.fed < $0.tokens.count }) {
            step += 1
            let slice = Int.random(in: 0..<models.count, using: &random)
            var parts: [(lane: Int, start: Int)] = []
            for index in lanes.indices.shuffled(using: &random) where lanes[index].slice == slice && Int.random(in: 0..<3, using: &random) > 0 {
                let chunk = 11
                let sequence = lanes[index].sequence ?? TextSequence(whole, contextLength: context, chunk: chunk, keyValues: lanes[index].format)
                lanes[index].sequence = sequence
                let (fed, length) = (lanes[index].fed, lanes[index].tokens.count)
                if Int.random(in: 0..<8, using: &random) == 0, sequence.rewind(to: max(0, fed - 4)) { lanes[index].fed = max(0, fed - 4) }
                if fed == length {
                    // Leaves; perhaps another one comes.
                    if step < 12 * count {
                        lanes[index].sequence = nil
                        lanes[index].fed = 0
                    }
                    continue
                }
                let start = lanes[index].fed
                let most = min(Bool.random(using: &random) ? 1 : chunk, length - start, batch.room)
                if most < 1 { continue }
                let tokens = Array(lanes[index].tokens[start..<start + Int.random(in: 1...most, using: &random)])
                let wanted: [LogitsRequest] = [.all, .last, .last, .none]
                let part = try batch.add(tokens, to: sequence, wanted: wanted[Int.random(in: 0..<4, using: &random)]) {
                    Lane.embedding(start + $0, lanes[index].soft, c.hiddenSize, $1)
                }
                #expect(part == parts.count)
                parts.append((index, start))
                lanes[index].fed += tokens.count
            }
            batch.run(models[slice]) { part, index, logits in
                let (lane, start) = parts[part]
                compared += 1
                if Array(logits) != lanes[lane].alone[start + index] { different += 1 }
            }
            #expect(batch.room == batch.capacity)
        }
        #expect(different == 0, "seed \(seed): \(different) of \(compared) rows differ")
        #expect(compared > count)
    }

    /// Windows of 16 go round many times.
    @Test(arguments: ["tiny", "tiny-bf16", "tiny-text"], [2, 7, 16])
    func plainWeights(_ name: String, lanes: Int) throws {
        try Self.walk([TextModelTests.model(name)], seed: UInt64(lanes) * 77 + 5, lanes: lanes, longest: 90, context: 128)
    }

    @Test(arguments: [ElementFormat.q4_0, .q8_0, .q4_K], [3, 9])
    func quantisedWeights(_ format: ElementFormat, lanes: Int) throws {
        try Self.walk([QuantizedTextModelTests.model(format)], seed: UInt64(lanes) * 91 + 3, lanes: lanes, longest: 70, context: 100)
    }

    /// As `convert` packs them, and three sizes of one model in turn.
    @Test(arguments: [ElementFormat.q4_0, .q8_0]) func packedWeightsOfManySizes(_ format: ElementFormat) throws {
        let nested = try NestedModel(seed: 4711) { _ in format }
        let model = try nested.model(.packed)
        let widths = nested.configuration.intermediateSize
        let sizes = [
            model, try model.sliced(ModelSlice(widths: widths.map { $0 / 5 * 2 })), try model.sliced(ModelSlice(widths: widths, leavingOut: [21, 22])),
        ]
        try Self.walk(sizes, seed: 8_675_309, lanes: 8, longest: 40, context: 48)
    }

    /// Contexts of several blocks of keys beside short ones.
    @Test func longContexts() throws {
        let model = try TextModelTests.model("tiny")
        let ids = try KVCacheTests.prompt().ids
        var alone: [[Float]] = []
        let decoder = TextDecoder(model, contextLength: ids.count)
        try decoder.prefill(ids, wanted: .all) { _, row in alone.append(Array(row)) }
        let lengths = [ids.count - 3, 500, 257, 20]
        let sequences = try lengths.map { length in
            let sequence = TextSequence(model, contextLength: ids.count)
            let batch = TextBatch(model, capacity: 128)
            for start in stride(from: 0, to: length, by: 128) {
                try batch.add(Array(ids[start..<min(length, start + 128)]), to: sequence, wanted: .none)
                batch.run(model) { _, _, _ in }
            }
            return sequence
        }
        let batch = TextBatch(model, capacity: 140, parallelism: Self.backwards)
        var different = 0
        for step in 0..<3 {
            for (sequence, length) in zip(sequences, lengths) { try batch.add([ids[length + step]], to: sequence, wanted: .all) }
            let prefill = TextSequence(model, contextLength: ids.count)
            try batch.add(Array(ids[..<120]), to: prefill, wanted: .all)
            batch.run(model) { part, index, logits in
                let position = part < lengths.count ? lengths[part] + step : index
                if Array(logits) != alone[position] { different += 1 }
            }
        }
        #expect(different == 0)
    }

    /// A fork goes on as the sequence it was made of would, and neither disturbs the other: where a ring still reaches back, and from a
    /// checkpoint however far it has moved on.
    @Test(arguments: KVFormat.allCases) func forksGoOnAlone(_ format: KVFormat) throws {
        let model = try TextModelTests.model("tiny")
        let ids = try KVCacheTests.prompt().ids
        func rows(_ sequence: TextSequence, _ tokens: ArraySlice<Int32>) throws -> [Float] {
            let batch = TextBatch(model, capacity: 8)
            var logits: [Float] = []
            for start in stride(from: tokens.startIndex, to: tokens.endIndex, by: 8) {
                try batch.add(Array(tokens[start..<min(start + 8, tokens.endIndex)]), to: sequence, wanted: .all)
                batch.run(model) { _, _, row in logits += row }
            }
            return logits
        }
        let sequence = TextSequence(model, contextLength: ids.count, chunk: 8, keyValues: format)
        _ = try rows(sequence, ids[..<40])
        sequence.makeCheckpoint()
        _ = try rows(sequence, ids[40..<300])
        #expect(sequence.forkPoint(upTo: 39) == 0 && sequence.forkPoint(upTo: 200) == 40 && sequence.forkPoint(upTo: 298) == 298)
        #expect(sequence.forkPoint(upTo: 1000) == 300)
        let other = Array(ids[100..<160].reversed())
        for point in [40, 298, 300] {
            let fork = sequence.fork(at: point)
            let straight = TextSequence(model, contextLength: ids.count, chunk: 8, keyValues: format)
            _ = try rows(straight, ids[..<point])
            let same = try rows(fork, other[...]) == rows(straight, other[...])
            #expect(same, "fork at \(point)")
        }
        let straight = TextSequence(model, contextLength: ids.count, chunk: 8, keyValues: format)
        _ = try rows(straight, ids[..<300])
        let undisturbed = try rows(sequence, ids[300..<340]) == rows(straight, ids[300..<340])
        #expect(undisturbed)
    }

    /// A long conversation keeps its first checkpoint and the newest: memory stays bounded.
    @Test func checkpointsAreFew() throws {
        let model = try TextModelTests.model("tiny")
        let sequence = TextSequence(model, contextLength: 512, chunk: 8)
        let batch = TextBatch(model, capacity: 8)
        var sizes: [Int] = []
        for step in 0..<12 {
            try batch.add([Int32](repeating: Int32(20 + step), count: 8), to: sequence, wanted: .none)
            batch.run(model) { _, _, _ in }
            sequence.makeCheckpoint()
            sizes.append(sequence.cacheByteCount)
        }
        #expect(sizes[3] > sizes[2] && sizes[11] == sizes[3])
        #expect(sequence.forkPoint(upTo: 79) == 8 && sequence.forkPoint(upTo: 85) == 80)
    }

    /// What cannot be added leaves the batch and the sequence as they were.
    @Test func badTokensChangeNothing() throws {
        let model = try TextModelTests.model("tiny")
        let batch = TextBatch(model, capacity: 16)
        let (first, second) = (TextSequence(model, contextLength: 4), TextSequence(model, contextLength: 4))
        try batch.add([5, 6], to: first, wanted: .last)
        let full = #expect(throws: GenerationError.self) { try batch.add([1, 2, 3, 4, 5], to: second, wanted: .last) }
        #expect(full?.code == .contextFull)
        let unknown = #expect(throws: GenerationError.self) { try batch.add([1, 900], to: second, wanted: .last) }
        #expect(unknown?.code == .unknownToken)
        #expect(batch.room == 14)
        var rows = 0
        batch.run(model) { _, _, _ in rows += 1 }
        #expect(rows == 1 && first.position == 2 && second.position == 0)
    }
}
