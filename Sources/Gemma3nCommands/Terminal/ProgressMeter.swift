/// Shows on standard error how far a long work is: one line that is written over on a terminal, else a line for every tenth.
final class ProgressMeter {
    private var last = -1
    private var isOpen = false

    func show(_ what: String, done: Int, total: Int) {
        let percent = total > 0 ? Int((Double(done) / Double(total) * 100).rounded(.down)) : 100
        if Output.isErrorTerminal {
            if percent == last { return }
            Output.writeError("\r\(padded("\(percent)", 3)) %  \(what)\u{1B}[K")
            isOpen = true
        } else {
            if percent / 10 == last / 10, last >= 0 { return }
            Output.writeError("\(padded("\(percent)", 3)) %  \(what)\n")
        }
        last = percent
    }

    func end() {
        if isOpen { Output.writeError("\r\u{1B}[K") }
        isOpen = false
        last = -1
    }
}
