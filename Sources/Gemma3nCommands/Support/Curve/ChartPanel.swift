/// One diagram: axes, points and their names.
struct ChartPanel {
    struct Point {
        let x: Double
        let y: Double
        let interval: ClosedRange<Double>?
        let name: String
        /// Its place on the front, the cheapest first; nil beside it.
        let frontRank: Int?
    }

    static let width = 420.0
    private static let height = 340.0

    let x: ChartAxis
    let y: ChartAxis
    let points: [Point]

    private func place(_ x: Double, _ y: Double) -> (x: Double, y: Double) {
        (self.x.place(x) * Self.width, (1 - self.y.place(y)) * Self.height)
    }

    /// Where the points of the front lie, the cheapest first.
    private var front: [(x: Double, y: Double)] {
        points.filter { $0.frontRank != nil }.sorted { ($0.frontRank ?? 0) < ($1.frontRank ?? 0) }.map { place($0.x, $0.y) }
    }

    var svg: String {
        let (width, height) = (Self.width, Self.height)
        var svg = ""
        for tick in y.ticks {
            let at = fixed(place(x.range.lowerBound, tick).y, 1)
            svg += "<line class=\"grid\" x1=\"0\" x2=\"\(fixed(width, 0))\" y1=\"\(at)\" y2=\"\(at)\"/>\n"
            svg += "<text class=\"quiet\" x=\"-8\" y=\"\(at)\" dy=\"4\" text-anchor=\"end\">\(y.text(tick))</text>\n"
        }
        for tick in x.ticks {
            let at = fixed(place(tick, y.range.lowerBound).x, 1)
            svg += "<line class=\"axis\" x1=\"\(at)\" x2=\"\(at)\" y1=\"\(fixed(height, 0))\" y2=\"\(fixed(height + 5, 0))\"/>\n"
            svg += "<text class=\"quiet\" x=\"\(at)\" y=\"\(fixed(height + 19, 0))\" text-anchor=\"middle\">\(x.text(tick))</text>\n"
        }
        svg += "<line class=\"axis\" x1=\"0\" x2=\"\(fixed(width, 0))\" y1=\"\(fixed(height, 0))\" y2=\"\(fixed(height, 0))\"/>\n"
        svg += "<line class=\"axis\" x1=\"0\" x2=\"0\" y1=\"0\" y2=\"\(fixed(height, 0))\"/>\n"
        svg += "<text x=\"\(fixed(width / 2, 0))\" y=\"\(fixed(height + 40, 0))\" text-anchor=\"middle\">\(xml(x.title))</text>\n"
        svg += "<text transform=\"translate(-42 \(fixed(height / 2, 0))) rotate(-90)\" text-anchor=\"middle\">\(xml(y.title))</text>\n"

        for point in points {
            guard let interval = point.interval else { continue }
            let (low, high) = (place(point.x, interval.lowerBound), place(point.x, interval.upperBound))
            svg += "<line class=\"whisker\" x1=\"\(fixed(low.x, 1))\" x2=\"\(fixed(high.x, 1))\" y1=\"\(fixed(low.y, 1))\" y2=\"\(fixed(high.y, 1))\"/>\n"
        }
        if front.count > 1 {
            let line = front.map { "\(fixed($0.x, 1)),\(fixed($0.y, 1))" }
            svg += "<polyline class=\"front\" points=\"\(line.joined(separator: " "))\"/>\n"
        }
        for point in points {
            let at = place(point.x, point.y)
            svg += "<circle class=\"\(point.frontRank == nil ? "other" : "best")\" cx=\"\(fixed(at.x, 1))\" cy=\"\(fixed(at.y, 1))\" r=\"4.5\">"
            svg += "<title>\(xml("\(point.name): \(fixed(point.y, 2)) at \(fixed(point.x, point.x < 100 ? 2 : 0))"))</title></circle>\n"
        }
        return svg + labels
    }

    // MARK: Names

    private struct Box {
        let left: Double, top: Double, right: Double, bottom: Double

        func overlap(_ other: Box) -> Double {
            max(0, min(right, other.right) - max(left, other.left)) * max(0, min(bottom, other.bottom) - max(top, other.top))
        }
    }

    /// Every name where it covers least of points, names and the front, the nearer the better; a line leads to those further off.
    private var labels: String {
        var taken = points.map { point in
            let at = place(point.x, point.y)
            return Box(left: at.x - 5, top: at.y - 5, right: at.x + 5, bottom: at.y + 5)
        }
        // The line of the front, piece by piece.
        for (from, to) in zip(front, front.dropFirst()) {
            let pieces = max(1, Int(max(abs(to.x - from.x), abs(to.y - from.y)) / 6))
            for piece in 0...pieces {
                let share = Double(piece) / Double(pieces)
                let (x, y) = (from.x + share * (to.x - from.x), from.y + share * (to.y - from.y))
                taken.append(Box(left: x - 2, top: y - 2, right: x + 2, bottom: y + 2))
            }
        }
        let room = Box(left: 2, top: -14, right: Self.width + 40, bottom: Self.height - 2)
        var svg = ""
        for point in points {
            let at = place(point.x, point.y)
            let length = 6.1 * Double(point.name.count)
            var best: (box: Box, cost: Double, distance: Double)?
            for distance in [0.0, 14, 28, 42, 56, 70] {
                for (dx, dy) in [(1.0, 0.0), (-1, 0), (0, -1), (0, 1), (0.7, 0.7), (-0.7, -0.7), (0.7, -0.7), (-0.7, 0.7)] {
                    let reach = 9 + distance
                    let x = at.x + dx * reach - (dx > 0 ? 0 : dx < 0 ? length : length / 2), y = at.y + dy * (reach + 3)
                    let box = Box(left: x, top: y - 6, right: x + length, bottom: y + 6)
                    let outside = (box.right - box.left) * (box.bottom - box.top) - box.overlap(room)
                    let cost = taken.reduce(4 * outside + distance / 10) { $0 + $1.overlap(box) }
                    if cost < best?.cost ?? .infinity { best = (box, cost, distance) }
                }
            }
            guard let best else { continue }
            taken.append(best.box)
            let middle = (x: (best.box.left + best.box.right) / 2, y: (best.box.top + best.box.bottom) / 2)
            if best.distance > 0 {
                let end = (x: max(best.box.left, min(at.x, best.box.right)), y: max(best.box.top, min(at.y, best.box.bottom)))
                svg += "<line class=\"leader\" x1=\"\(fixed(at.x, 1))\" y1=\"\(fixed(at.y, 1))\" x2=\"\(fixed(end.x, 1))\" y2=\"\(fixed(end.y, 1))\"/>\n"
            }
            svg += "<text class=\"label\" x=\"\(fixed(middle.x, 1))\" y=\"\(fixed(middle.y + 4, 1))\" text-anchor=\"middle\">\(xml(point.name))</text>\n"
        }
        return svg
    }
}
