internal import Gemma3n
internal import Gemma3nHost

/// How far a batch is: on a terminal, a line on standard error that is written over.
struct BatchMeter {
    private let isShown = Output.isErrorTerminal && !Output.isTerminal
    private let start = ContinuousClock.now
    private var shown: ContinuousClock.Instant?
    private var lines = 0
    private var tokens = 0
    private(set) var failed: Int

    init(failed: Int) { self.failed = failed }

    mutating func add(_ record: BatchRecord) {
        lines += 1
        switch record.result {
        case .success(let response): tokens += response.statistics.responseTokens
        case .failure: failed += 1
        }
        let now = ContinuousClock.now
        guard isShown, shown.map({ $0.duration(to: now) > .milliseconds(200) }) ?? true else { return }
        shown = now
        Output.writeError("\r\(summary)\u{1B}[K")
    }

    func end() {
        if shown != nil { Output.writeError("\r\u{1B}[K") }
    }

    /// For people.
    var summary: String {
        let seconds = start.duration(to: .now) / .seconds(1)
        return "\(lines) lines in \(fixed(seconds, 1)) s, \(failed) failed, \(tokens) tokens, \(fixed(Double(tokens) / max(seconds, 1e-9), 1)) tokens/s"
    }
}
