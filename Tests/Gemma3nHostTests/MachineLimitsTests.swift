import Gemma3nHost
import Tensors
import Testing

@Suite("Machine limits") struct MachineLimitsTests {
    @Test("measure something plausible on any number of threads", arguments: [1, 2])
    func plausible(threadCount: Int) throws {
        let limits = MachineLimits.measure(ThreadPool(threadCount: threadCount).parallelism, byteCount: 8 << 20, rounds: 2)
        #expect(limits.threadCount == threadCount)
        #expect(!limits.instructionSet.isEmpty)
        // Between a slow emulator and any cache: only nonsense is caught.
        #expect(limits.readBytesPerSecond > 1e7 && limits.readBytesPerSecond < 1e13)
        #expect(limits.operationsPerSecond > 1e7 && limits.operationsPerSecond < 1e14)
        let int8 = try #require(limits.int8OperationsPerSecond)
        #expect(int8 > 1e7 && int8 < 1e15)
    }

    #if os(Linux)
    /// A peak follows what is held, and can begin again. In a process of its own: tests that run beside this one take memory, too.
    @Test func peaks() async {
        await #expect(processExitsWith: .success) {
            let size = 64 << 20
            let before = try #require(ProcessFigures.residentBytes)
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 4096)
            memory.initializeMemory(as: UInt8.self, repeating: 1)
            #expect(ProcessFigures.peakBytes >= before + size * 9 / 10)
            memory.deallocate()
            if ProcessFigures.resetPeak() {
                let after = try #require(ProcessFigures.residentBytes)
                #expect(ProcessFigures.peakBytes < after + size / 2)
            }
        }
    }

    @Test func age() throws {
        let age = try #require(ProcessFigures.age)
        #expect(age > 0 && age < 1e5)
    }
    #endif
}
