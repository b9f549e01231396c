internal import CKernels
public import Tensors

/// What this machine can do at most: the yardstick for every measured speed.
///
/// Decoding reads every weight once per token, so it cannot be faster than memory; prefill, images and audio multiply, so
/// they cannot be faster than the fused multiply-adds.
public struct MachineLimits: Sendable, Equatable {
    /// Threads that measured together.
    public let threadCount: Int
    /// The vector instructions the kernels use, such as "AVX-512".
    public let instructionSet: String
    /// Bytes a second that all threads together read from memory.
    public let readBytesPerSecond: Double
    /// Single-precision operations a second, two for each multiply-add, on data in registers.
    public let operationsPerSecond: Double
    /// Operations a second on 8-bit integers that are summed in 32 bits, two for each multiply-add, on data in registers; nil if
    /// the kernels do not tell.
    public let int8OperationsPerSecond: Double?

    /// Measures for a fraction of a second each; the best of several rounds counts, so that a passing neighbour does not.
    ///
    /// - Parameters:
    ///   - byteCount: Memory that is read, at least several times the last-level cache.
    ///   - rounds: Repetitions of each measurement.
    public static func measure(_ parallelism: Parallelism, byteCount: Int = 512 << 20, rounds: Int = 5) -> MachineLimits {
        let clock = ContinuousClock()
        let threads = parallelism.threadCount
        func bestSeconds(_ rounds: Int = rounds, _ body: () -> Void) -> Double {
            (0..<max(1, rounds)).map { _ in seconds(clock.measure(body)) }.min() ?? 1
        }

        // Written first: untouched pages would all be the same page of zeros. Threads take pieces in turn, as with weights.
        let piece = 1 << 20
        let pieces = max(1, byteCount / piece)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: pieces * piece, alignment: 4096)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 1)
        nonisolated(unsafe) let bytes = UnsafeRawPointer(memory.baseAddress!)
        let readSeconds = bestSeconds {
            parallelism.forEach(pieces) { _ = ck_measure_read(bytes + $0 * piece, piece) }
        }

        // Tasks of a millisecond or less, several for each thread, and more rounds: they are short.
        var (operations, operations8) = (0.0, 0.0)
        _ = ck_measure_fma(1000, &operations)
        let (tasks, steps) = (8 * threads, 200_000)
        let fmaSeconds = bestSeconds(3 * rounds) {
            parallelism.forEach(tasks) { _ in
                var ignored = 0.0
                _ = ck_measure_fma(steps, &ignored)
            }
        }
        // Plain C is a hundred times slower than the fastest instructions: find out how many steps a millisecond holds.
        var int8: Double?
        let probe = 1000
        let probeSeconds = bestSeconds { _ = ck_measure_int8(probe, &operations8) }
        if operations8 > 0 {
            let steps = max(1, Int(min(1e9, Double(probe) * 1e-3 / max(probeSeconds, 1e-9))))
            let int8Seconds = bestSeconds(3 * rounds) {
                parallelism.forEach(tasks) { _ in
                    var ignored = 0.0
                    _ = ck_measure_int8(steps, &ignored)
                }
            }
            int8 = operations8 / Double(probe) * Double(steps * tasks) / int8Seconds
        }
        return MachineLimits(
            threadCount: threads, instructionSet: String(cString: ck_isa_name(ck_current_isa())),
            readBytesPerSecond: Double(pieces * piece) / readSeconds,
            operationsPerSecond: operations / 1000 * Double(steps * tasks) / fmaSeconds,
            int8OperationsPerSecond: int8)
    }

    /// The mean of two measurements on the same threads, such as before and after a part.
    package func mean(with other: MachineLimits) -> MachineLimits {
        MachineLimits(
            threadCount: threadCount, instructionSet: instructionSet,
            readBytesPerSecond: (readBytesPerSecond + other.readBytesPerSecond) / 2,
            operationsPerSecond: (operationsPerSecond + other.operationsPerSecond) / 2,
            int8OperationsPerSecond: int8OperationsPerSecond.flatMap { own in other.int8OperationsPerSecond.map { (own + $0) / 2 } })
    }

    private static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
    }
}
