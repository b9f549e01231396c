import Foundation
import Gemma3n
import Gemma3nHost
import Tensors
import Testing

private let whole = ProcessInfo.processInfo.environment["GEMMA3N_NESTED"]
private let cut = ProcessInfo.processInfo.environment["GEMMA3N_SLICED"]

/// Measurements of full-size models rather than checks: set GEMMA3N_NESTED to a packed E4B, and GEMMA3N_SLICED to what
/// `gemma3n slice --size E2B` makes of it.
@Suite(.serialized, .enabled(if: whole != nil))
struct SliceSpeedTests {
    private let clock = ContinuousClock()
    private let pool = ThreadPool(threadCount: 2)

    private func open(_ path: String?) throws -> TextModel {
        try Gemma3nModel(ModelFiles(path: try #require(path)).source(modalities: []), modalities: []).text
    }

    /// Seconds for tokens decoded from an empty cache.
    private func decode(_ decoder: TextDecoder, _ count: Int = 32) throws -> Double {
        decoder.reset()
        let start = clock.now
        for index in 0..<count { try decoder.decode(Int32(1000 + index * 37)) { _ in } }
        return start.duration(to: clock.now) / .seconds(1)
    }

    private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

    private func milliseconds(_ value: Double) -> String { "\(Double(Int(value * 100_000)) / 100) ms" }

    /// The view and the file in turn, one process, the same threads.
    @Test(.enabled(if: cut != nil)) func viewBesideFile() throws {
        let (nested, sliced) = (try open(whole), try open(cut))
        let view = TextDecoder(nested, contextLength: 512, chunk: 128, parallelism: pool.parallelism)
        view.use(try nested.sliced(ModelSize.e2b.slice(of: nested.configuration, grain: nested.widthGrain)))
        let file = TextDecoder(sliced, contextLength: 512, chunk: 128, parallelism: pool.parallelism)
        var (views, files, ratios): ([Double], [Double], [Double]) = ([], [], [])
        for round in 0..<16 {
            let order = round % 2 == 0 ? [(true, view), (false, file)] : [(false, file), (true, view)]
            var (a, b) = (0.0, 0.0)
            for (isView, decoder) in order {
                let seconds = try decode(decoder) / 32
                if isView { a = seconds } else { b = seconds }
            }
            // The first round brings the pages in.
            if round == 0 { continue }
            views.append(a)
            files.append(b)
            ratios.append(a / b)
        }
        print("decode a token, E2B by view \(milliseconds(median(views))), by file \(milliseconds(median(files))), median of ratios \(median(ratios)), fastest \(views.min()! / files.min()!)")
        var (viewPrefill, filePrefill): ([Double], [Double]) = ([], [])
        let prompt = (0..<256).map { Int32(1000 + $0 * 37) }
        for _ in 0..<5 {
            for (isView, decoder) in [(true, view), (false, file)] {
                decoder.reset()
                let start = clock.now
                try decoder.prefill(prompt) { _, _ in }
                let seconds = start.duration(to: clock.now) / .seconds(1)
                if isView { viewPrefill.append(seconds) } else { filePrefill.append(seconds) }
            }
        }
        print("prefill of 256 tokens, by view \(milliseconds(median(viewPrefill))), by file \(milliseconds(median(filePrefill)))")
    }

    @Test func switchesAndMemory() throws {
        let nested = try open(whole)
        let slice = try ModelSize.e2b.slice(of: nested.configuration, grain: nested.widthGrain)
        let decoder = TextDecoder(nested, contextLength: 4096, chunk: 128, parallelism: pool.parallelism)
        let prompt = (0..<256).map { Int32(1000 + $0 * 37) }
        func request() throws {
            decoder.reset()
            try decoder.prefill(prompt) { _, _ in }
            for index in 0..<16 { try decoder.decode(Int32(5000 + index * 91)) { _ in } }
        }
        // E4B alone, twice; then with E2B between.
        for _ in 0..<2 { try request() }
        let (alone, aloneNow) = (ProcessFigures.peakBytes, ProcessFigures.residentBytes ?? 0)
        ProcessFigures.resetPeak()
        for round in 0..<4 {
            decoder.use(round % 2 == 0 ? try nested.sliced(slice) : nested)
            try request()
        }
        let both = ProcessFigures.peakBytes
        print("peak memory \(alone / 1_000_000) MB for E4B (\(aloneNow / 1_000_000) MB held), \(both / 1_000_000) MB alternating")
        var times: [Double] = []
        for round in 0..<200 {
            let start = clock.now
            decoder.use(round % 2 == 0 ? try nested.sliced(slice) : nested)
            times.append(start.duration(to: clock.now) / .seconds(1))
        }
        print("a switch takes \(Int(median(times) * 1e9)) ns at the median, \(Int((times.max() ?? 0) * 1e9)) ns at most")
        #expect(times.max() ?? 1 < 1e-3)
    }
}
