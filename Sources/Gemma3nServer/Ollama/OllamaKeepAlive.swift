internal import Checkpoint

/// How long a model is to stay: seconds, or a duration as Go writes them, such as `1h30m`. Here it stays until the server ends.
enum OllamaKeepAlive {
    /// Whether it is to go at once.
    ///
    /// - Throws: 400 if it is no time.
    static func isZero(_ fields: Fields) throws(Refusal) -> Bool {
        guard let value = fields["keep_alive"] else { return false }
        if let seconds = value.double { return seconds == 0 }
        guard let text = value.string else {
            throw fields.refusal("keep_alive", "must be seconds or a duration such as \"5m\", found \(value.kind).", code: "invalid_type")
        }
        guard let seconds = seconds(text) else {
            throw fields.refusal("keep_alive", "is \"\(text.prefix(40))\", expected a duration such as \"5m\".")
        }
        return seconds == 0
    }

    private static func seconds(_ text: String) -> Double? {
        if let seconds = Double(text) { return seconds }
        let units = ["ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600]
        var rest = text.hasPrefix("-") || text.hasPrefix("+") ? text.dropFirst() : text[...]
        var sum = 0.0
        repeat {
            let number = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            rest = rest.dropFirst(number.count)
            let unit = rest.prefix { $0 != "." && !$0.isNumber }
            rest = rest.dropFirst(unit.count)
            guard let count = Double(number), let scale = units[String(unit)] else { return nil }
            sum += count * scale
        } while !rest.isEmpty
        return sum
    }
}
