#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// A range of values with round numbers to mark on it.
struct ChartAxis {
    let title: String
    let range: ClosedRange<Double>
    let ticks: [Double]
    private let isLogarithmic: Bool
    private let decimals: Int

    /// - Parameters:
    ///   - values: What must lie on the axis; some room is left around.
    ///   - bounds: Values there can be: nothing is marked beyond, and no room left below.
    ///   - canBeLogarithmic: Whether values that span more than a factor of 20 are shown by their logarithms.
    init(_ values: [Double], title: String, bounds: ClosedRange<Double>? = nil, canBeLogarithmic: Bool = false) {
        self.title = title
        let (least, most) = (values.min() ?? 0, values.max() ?? 1)
        isLogarithmic = canBeLogarithmic && least > 0 && most > 20 * least
        if isLogarithmic {
            range = least / 1.3...most * 1.3
            var ticks: [Double] = []
            var decade = 1.0
            while decade > range.lowerBound { decade /= 10 }
            while decade <= range.upperBound {
                ticks += [1, 2, 5].map { $0 * decade }.filter(range.contains)
                decade *= 10
            }
            // Over many decades only their beginnings.
            while ticks.count > 10 { ticks = ticks.indices.filter { $0 % 3 == 0 }.map { ticks[$0] } }
            self.ticks = ticks
            decimals = 0
            return
        }
        let room = most > least ? 0.08 * (most - least) : max(0.05 * most.magnitude, 1e-9)
        range = max(least - room, bounds?.lowerBound ?? -.infinity)...most + room
        // The roundest step that gives at most seven marks.
        var step = 1e-9
        var digits = 9
        search: while true {
            for factor in [1.0, 2, 5] where (range.upperBound - range.lowerBound) / (step * factor) <= 7 {
                step *= factor
                break search
            }
            step *= 10
            digits -= 1
        }
        decimals = max(0, digits)
        let first = Int((range.lowerBound / step).rounded(.up)), last = Int((range.upperBound / step).rounded(.down))
        let marks = first <= last ? (first...last).map { Double($0) * step } : []
        ticks = marks.filter { $0 <= bounds?.upperBound ?? .infinity }
    }

    /// Where a value lies: 0 at the beginning of the axis, 1 at its end.
    func place(_ value: Double) -> Double {
        if range.upperBound <= range.lowerBound { return 0.5 }
        if isLogarithmic { return log(value / range.lowerBound) / log(range.upperBound / range.lowerBound) }
        return (value - range.lowerBound) / (range.upperBound - range.lowerBound)
    }

    func text(_ tick: Double) -> String {
        isLogarithmic && tick < 1 ? "\(tick)" : fixed(tick, decimals)
    }
}
