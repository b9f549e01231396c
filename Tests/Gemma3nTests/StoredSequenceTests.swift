import Gemma3n
import Tensors
import TestSupport
import Testing

/// Keys and values that are shared, and such that come back from a file's bytes.
struct StoredSequenceTests {
    private static func logits(_ model: TextModel, _ sequence: TextSequence, _ ids: some Sequence<Int32>) throws -> [Float] {
        var logits: [Float] = []
        let batch = TextBatch(model, capacity: 128)
        for id in ids {
            try batch.add([id], to: sequence, wanted: .all)
            batch.run(model) { _, _, row in logits += row }
        }
        return logits
    }

    private static func bytes(_ sequence: TextSequence) -> [[UInt8]] {
        (0..<sequence.cacheCount).map { sequence.storedPieces(ofCache: $0).flatMap { [UInt8]($0) } }
    }

    /// Restores what is stored now.
    private static func copy(_ model: TextModel, _ sequence: TextSequence, contextLength: Int, chunk: Int) throws -> TextSequence {
        let copy = TextSequence(model, contextLength: contextLength, chunk: chunk, keyValues: sequence.keyValues)
        let contents = bytes(sequence)
        let memory = contents.map { bytes in
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
            memory.copyBytes(from: bytes)
            return memory
        }
        defer { for memory in memory { memory.deallocate() } }
        try copy.restore(sequence.stored, from: memory.map { UnsafeRawBufferPointer($0) })
        return copy
    }

    /// Before and after the windows have moved on, in caches of the same and of other chunks and contexts.
    @Test(arguments: KVFormat.allCases) func comesBackBitForBit(format: KVFormat) throws {
        let (_, ids) = try KVCacheTests.prompt()
        let model = try TextModelTests.model("tiny")
        for count in [1, 10, 40, 290] {
            let whole = TextSequence(model, contextLength: 310, chunk: 16, keyValues: format)
            _ = try Self.logits(model, whole, ids[..<count])
            let expected = try Self.logits(model, whole.fork(at: count), ids[count..<count + 10])
            for (contextLength, chunk) in [(310, 16), (310, 1), (310, 128), (500, 16), (count + 10, 16)] {
                let copy = try Self.copy(model, whole, contextLength: contextLength, chunk: chunk)
                if chunk == 16, contextLength == 310 {
                    let isSame = Self.bytes(copy) == Self.bytes(whole)
                    #expect(isSame && copy.stored == whole.stored)
                }
                #expect(copy.position == count && copy.canRewind(to: count))
                let isEqual = try Self.logits(model, copy, ids[count..<count + 10]) == expected
                #expect(isEqual, "\(count) tokens, \(contextLength), \(chunk)")
            }
        }
    }

    /// Where a copy can go back to, its keys and values are there.
    @Test func goesBackAsFarAsItHolds() throws {
        let (_, ids) = try KVCacheTests.prompt()
        let model = try TextModelTests.model("tiny")
        let whole = TextSequence(model, contextLength: 310, chunk: 16)
        _ = try Self.logits(model, whole, ids[..<200])
        #expect(whole.rewind(to: 195))
        for chunk in [1, 4, 16, 64] {
            for position in 170...195 {
                let copy = try Self.copy(model, whole, contextLength: 310, chunk: chunk)
                if chunk == 16 { #expect(copy.canRewind(to: position) == whole.canRewind(to: position)) }
                guard copy.rewind(to: position) else { continue }
                let plain = TextSequence(model, contextLength: 310, chunk: 16)
                _ = try Self.logits(model, plain, ids[..<position])
                let isEqual = try Self.logits(model, copy, [7, 8]) == Self.logits(model, plain, [7, 8])
                #expect(isEqual, "chunk \(chunk), back to \(position)")
            }
        }
    }

    @Test func contradictionsAreRefused() throws {
        let (_, ids) = try KVCacheTests.prompt()
        let model = try TextModelTests.model("tiny")
        let whole = TextSequence(model, contextLength: 310, chunk: 16, keyValues: .f32)
        _ = try Self.logits(model, whole, ids[..<200])
        let contents = (0..<whole.cacheCount).map { whole.storedPieces(ofCache: $0).flatMap { [UInt8]($0) } }
        func refusal(_ change: (inout StoredKeyValues) -> Void, drop: Int = 0) -> GenerationError.Code? {
            var stored = whole.stored
            change(&stored)
            let copy = TextSequence(model, contextLength: 310, chunk: 16, keyValues: .f32)
            var code: GenerationError.Code?
            do throws(GenerationError) {
                try copy.restore(stored, from: contents.dropLast(drop).map { UnsafeRawBufferPointer(start: nil, count: 0 * $0.count) })
            } catch {
                code = error.code
            }
            #expect(copy.position == 0)
            return code
        }
        #expect(refusal { $0.position = 201 } == .damagedState)
        #expect(refusal { $0.position = .max } == .damagedState)
        #expect(refusal { $0.position = -1 } == .damagedState)
        #expect(refusal { $0.firstInRings = 199 } == .damagedState)
        #expect(refusal { $0.firstInRings = -1 } == .damagedState)
        #expect(refusal { $0.format = .f16 } == .damagedState)
        #expect(refusal({ _ in }, drop: 1) == .damagedState)
    }

    /// Forks share memory, and none sees what another one stores.
    @Test(arguments: KVFormat.allCases) func forksShareUntilTheyStore(format: KVFormat) throws {
        let (_, ids) = try KVCacheTests.prompt()
        let model = try TextModelTests.model("tiny")
        let whole = TextSequence(model, contextLength: 600, chunk: 16, keyValues: format)
        _ = try Self.logits(model, whole, ids[..<280])
        let others = [whole.fork(at: 280), whole.fork(at: 275), whole]
        #expect(whole.rewind(to: 278))
        var logits: [[Float]] = [[], [], []]
        // In turn, so that each stores beside the others.
        for step in 0..<24 {
            for (index, sequence) in others.enumerated() { logits[index] += try Self.logits(model, sequence, [ids[step + index * 7]]) }
        }
        for (index, start) in [280, 275, 278].enumerated() {
            let plain = TextSequence(model, contextLength: 600, chunk: 16, keyValues: format)
            _ = try Self.logits(model, plain, ids[..<start])
            let isEqual = try Self.logits(model, plain, ids[index * 7..<index * 7 + 24]) == logits[index]
            #expect(isEqual)
        }
    }
}
