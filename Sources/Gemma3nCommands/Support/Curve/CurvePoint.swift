internal import Checkpoint
internal import Gemma3n

/// What was measured of one slice.
struct CurvePoint {
    enum Quality {
        case perplexity(Perplexity)
        case accuracy(ExamScore)
    }

    let name: String
    let slice: ModelSlice
    let parameters: Int
    /// Bytes of weights that a decoded token reads.
    let bytesPerToken: Double
    /// Seconds of every decoded token that was timed.
    var tokenSeconds: [Double] = []
    var quality: Quality

    /// Decoded tokens a second, by the median; nil if none was timed.
    var speed: Double? {
        if tokenSeconds.isEmpty { return nil }
        let sorted = tokenSeconds.sorted()
        let middle = sorted.count / 2
        return 1 / (sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2)
    }

    /// Perplexity, or percent of right answers; nil if nothing was asked or the model gave no numbers.
    var value: Double? {
        switch quality {
        case .perplexity(let perplexity): perplexity.value.isFinite ? perplexity.value : nil
        case .accuracy(let score): score.asked > 0 ? 100 * Double(score.right) / Double(score.asked) : nil
        }
    }

    /// Where the share of right answers would lie in 95 of 100 such sets of questions, in percent.
    ///
    /// - Source: Wilson's score interval.
    var interval: ClosedRange<Double>? {
        guard case .accuracy(let score) = quality, score.asked > 0 else { return nil }
        let (n, z) = (Double(score.asked), 1.96)
        let p = Double(score.right) / n
        let middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        let half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)).squareRoot()
        return 100 * max(0, middle - half)...100 * min(1, middle + half)
    }
}

/// All that `curve` measured, the smallest slice first.
struct Curve {
    /// What stands on the quality axis.
    enum Measure: String {
        case perplexity, accuracy
    }

    let model: String
    let data: String
    let measure: Measure
    /// Questions or tokens that every slice was judged by, of so many.
    var judged = 0
    var total = 0
    var points: [CurvePoint]

    /// Whether `a` is better than `b`.
    func isBetter(_ a: Double, than b: Double) -> Bool { measure == .perplexity ? a < b : a > b }

    /// The points that no other equals at no more cost: their indices, the cheapest first.
    ///
    /// - Parameter cost: Nil for points that do not count.
    func front(_ cost: (CurvePoint) -> Double?) -> [Int] {
        let known = points.indices.compactMap { index in
            cost(points[index]).flatMap { cost in points[index].value.map { (index: index, cost: cost, value: $0) } }
        }
        var front: [Int] = []
        var best: Double?
        for point in known.sorted(by: { $0.cost < $1.cost || $0.cost == $1.cost && isBetter($0.value, than: $1.value) }) {
            if let best, !isBetter(point.value, than: best) { continue }
            best = point.value
            front.append(point.index)
        }
        return front
    }

    /// The front of quality against size.
    var sizeFront: [Int] { front { Double($0.parameters) } }

    // MARK: For people

    var table: String {
        let front = Set(sizeFront)
        let quality = measure == .perplexity ? "perplexity" : "right"
        var rows = [["slice", "parameters", "read per token", "tokens/s", quality, ""]]
        for (index, point) in points.enumerated() {
            rows.append([
                point.name, Self.parameters(point.parameters), megabytes(Int(point.bytesPerToken)), point.speed.map { fixed($0, $0 < 100 ? 2 : 0) } ?? "-",
                shown(point), front.contains(index) ? "*" : "",
            ])
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        let lines = rows.map { row in
            var line = row[0] + String(repeating: " ", count: widths[0] - row[0].count)
            for column in 1..<row.count - 1 { line += "  " + padded(row[column], widths[column]) }
            return line + (row[row.count - 1].isEmpty ? "" : " *")
        }
        let what = measure == .perplexity ? "tokens of \(data)" : "questions of \(data)"
        let part = judged < total ? "\(judged) of \(total)" : "\(total)"
        return lines.joined(separator: "\n") + "\n\(part) \(what); * nothing smaller is as good\n"
    }

    private func shown(_ point: CurvePoint) -> String {
        guard let value = point.value else { return "-" }
        return measure == .perplexity ? fixed(value, value < 100 ? 3 : 0) : "\(fixed(value, 1)) %"
    }

    static func parameters(_ count: Int) -> String {
        count >= 1_000_000_000
            ? "\(fixed(Double(count) / 1e9, 2)) B" : count >= 1_000_000 ? "\(fixed(Double(count) / 1e6, 2)) M" : "\(fixed(Double(count) / 1e3, 1)) k"
    }

    // MARK: For programs

    var json: JSONValue {
        let front = Set(sizeFront)
        return [
            "engine": .string("gemma3n \(Gemma3nCommand.version)"), "model": .string(model), "data": .string(data), "measure": .string(measure.rawValue),
            "judged": .number(JSONNumber(judged)), "total": .number(JSONNumber(total)), "complete": .bool(judged == total),
            "slices": .array(points.enumerated().map { Self.json($1, isOnFront: front.contains($0)) }),
        ]
    }

    private static func json(_ point: CurvePoint, isOnFront: Bool) -> JSONValue {
        func number(_ value: Double?) -> JSONValue { value.map { .number(JSONNumber(($0 * 1e6).rounded() / 1e6)) } ?? .null }
        var members: [(String, JSONValue)] = [
            ("name", .string(point.name)), ("slice", point.slice.json), ("effective_parameters", .number(JSONNumber(point.parameters))),
            ("bytes_per_token", number(point.bytesPerToken)), ("decode_tokens_per_second", number(point.speed)),
        ]
        switch point.quality {
        case .perplexity(let perplexity):
            members += [
                ("perplexity", number(point.value)), ("tokens", .number(JSONNumber(perplexity.tokens))),
                ("tokens_right", .number(JSONNumber(perplexity.right))),
            ]
        case .accuracy(let score):
            members += [
                ("right", .number(JSONNumber(score.right))), ("asked", .number(JSONNumber(score.asked))), ("percent_right", number(point.value)),
                ("percent_interval", point.interval.map { .array([number($0.lowerBound), number($0.upperBound)]) } ?? .null), ("groups", score.groupsJSON),
                ("words", .number(JSONNumber(score.words))), ("word_errors", .number(JSONNumber(score.wordErrors))),
            ]
        }
        members.append(("on_front", .bool(isOnFront)))
        return .object(JSONObject(members.map { JSONObject.Member(key: $0.0, value: $0.1) }))
    }
}
