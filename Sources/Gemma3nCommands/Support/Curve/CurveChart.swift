/// A curve as an SVG picture: quality against effective parameters and, where speeds were measured, against tokens per second.
///
/// Points that nothing cheaper equals are filled and joined; whiskers span the 95 % intervals of shares. Light or dark as the reader's
/// system is.
struct CurveChart {
    private let curve: Curve
    private let panels: [ChartPanel]

    /// Nil if no slice has a quality.
    init?(_ curve: Curve) {
        let values = curve.points.compactMap { point in point.value.map { (point, $0) } }
        guard !values.isEmpty else { return nil }
        self.curve = curve
        let isPerplexity = curve.measure == .perplexity
        let spread = values.flatMap { point, value in point.interval.map { [value, $0.lowerBound, $0.upperBound] } ?? [value] }
        let y = ChartAxis(
            spread, title: isPerplexity ? "perplexity (lower is better)" : "right answers, %", bounds: isPerplexity ? nil : 0...100,
            canBeLogarithmic: isPerplexity)
        let unit = Self.unit(values.map { $0.0.parameters }.max() ?? 0)
        var panels = [
            Self.panel(curve, y, title: "effective parameters, \(unit.name)", front: curve.sizeFront) { Double($0.parameters) / unit.scale }
        ]
        if values.contains(where: { $0.0.speed != nil }) {
            let front = curve.front { $0.speed.map { -$0 } }
            panels.append(Self.panel(curve, y, title: "decoded tokens per second", front: front) { $0.speed })
        }
        self.panels = panels
    }

    private static func unit(_ largest: Int) -> (name: String, scale: Double) {
        largest >= 1_000_000_000 ? ("billions", 1e9) : largest >= 1_000_000 ? ("millions", 1e6) : ("thousands", 1e3)
    }

    private static func panel(_ curve: Curve, _ y: ChartAxis, title: String, front: [Int], _ cost: (CurvePoint) -> Double?) -> ChartPanel {
        var points: [ChartPanel.Point] = []
        for (index, point) in curve.points.enumerated() {
            guard let cost = cost(point), let value = point.value else { continue }
            points.append(.init(x: cost, y: value, interval: point.interval, name: point.name, frontRank: front.firstIndex(of: index)))
        }
        return ChartPanel(x: ChartAxis(points.map(\.x), title: title, bounds: 0...Double.infinity), y: y, points: points)
    }

    private var heading: String { "\(curve.measure == .perplexity ? "Perplexity" : "Right answers") against size: \(curve.model)" }

    private var subheading: String {
        let what = curve.measure == .perplexity ? "tokens" : "questions"
        return "\(curve.judged < curve.total ? "\(curve.judged) of \(curve.total)" : "\(curve.total)") \(what) of \(curve.data), \(curve.points.count) slices of one file"
    }

    /// The picture in words, for those who do not see it.
    private var description: String {
        let list = curve.points.compactMap { point -> String? in
            guard let value = point.value else { return nil }
            let speed = point.speed.map { ", \(fixed($0, $0 < 100 ? 1 : 0)) tokens per second" } ?? ""
            return "\(point.name): \(Curve.parameters(point.parameters)), \(fixed(value, 1))\(curve.measure == .perplexity ? "" : " %")\(speed)"
        }
        return "\(subheading). \(list.joined(separator: "; "))."
    }

    var svg: String {
        let width = Self.margin + Double(panels.count) * (ChartPanel.width + Self.margin)
        let height = 500.0
        var body = ""
        for (index, panel) in panels.enumerated() {
            body += "<g transform=\"translate(\(fixed(Self.margin + Double(index) * (ChartPanel.width + Self.margin), 0)) 74)\">\n\(panel.svg)</g>\n"
        }
        let legend = height - 22
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(fixed(width, 0)) \(fixed(height, 0))" width="\(fixed(width, 0))" height="\(fixed(height, 0))" role="img" aria-labelledby="title desc">
            <title id="title">\(xml(heading))</title>
            <desc id="desc">\(xml(description))</desc>
            <style>
            \(Self.style)
            </style>
            <rect class="paper" width="100%" height="100%"/>
            <text class="heading" x="\(fixed(Self.margin, 0))" y="30">\(xml(heading))</text>
            <text class="quiet" x="\(fixed(Self.margin, 0))" y="50">\(xml(subheading))</text>
            \(body)<circle class="best" cx="\(fixed(Self.margin + 5, 0))" cy="\(fixed(legend - 4, 0))" r="4.5"/>
            <text class="quiet" x="\(fixed(Self.margin + 16, 0))" y="\(fixed(legend, 0))">nothing cheaper is as good</text>
            <circle class="other" cx="\(fixed(Self.margin + 205, 0))" cy="\(fixed(legend - 4, 0))" r="4.5"/>
            <text class="quiet" x="\(fixed(Self.margin + 216, 0))" y="\(fixed(legend, 0))">something cheaper is\(curve.measure == .perplexity ? "" : "; whiskers: 95 % intervals")</text>
            </svg>

            """
    }

    private static let margin = 64.0

    private static let style = """
        text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; }
        .heading { font-size: 17px; font-weight: 600; }
        .label { font-size: 11px; }
        .front, .leader { fill: none; }
        .front { stroke-width: 2; }
        .best, .other { stroke-width: 1.5; }
        .whisker, .leader { opacity: 0.6; }
        \(Palette.light.rules)
        @media (prefers-color-scheme: dark) {
        \(Palette.dark.rules)
        }
        """
}

/// Colours of a chart. Written out in every rule: not all programs that show SVG know variables.
private struct Palette {
    let paper, ink, quiet, grid, best, other: String

    static let light = Palette(paper: "#ffffff", ink: "#1f2328", quiet: "#59636e", grid: "#d8dee4", best: "#0b62c4", other: "#8c959f")
    static let dark = Palette(paper: "#0d1117", ink: "#e6edf3", quiet: "#9198a1", grid: "#30363d", best: "#58a6ff", other: "#8b949e")

    var rules: String {
        """
        text { fill: \(ink); }
        .quiet { fill: \(quiet); }
        .paper { fill: \(paper); }
        .grid { stroke: \(grid); }
        .axis { stroke: \(quiet); }
        .whisker, .leader { stroke: \(other); }
        .front { stroke: \(best); }
        .best { fill: \(best); stroke: \(paper); }
        .other { fill: \(paper); stroke: \(other); }
        """
    }
}

/// Text as XML holds it.
func xml(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "&": result += "&amp;"
        case "<": result += "&lt;"
        case ">": result += "&gt;"
        case "\"": result += "&quot;"
        // XML has no place for other control characters, nor for these two.
        case _ where scalar.value < 32 || scalar.value == 0xFFFE || scalar.value == 0xFFFF: result += " "
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result
}
