public import Checkpoint

/// How large a part of a model is wanted: what a user says, before it is known which model it is said of.
public enum ModelSize: Sendable, Hashable {
    /// All of it.
    case whole
    /// Half of every feed-forward block, no layer left out.
    case half
    /// A published slice of E4B (`PublishedSlice`), such as `E2B`.
    case named(String)
    /// At most so many effective parameters (`TextConfiguration.effectiveParameterCount`).
    case parameters(Int)
    /// Exactly this.
    case slice(ModelSlice)

    public static let e2b = ModelSize.named("E2B")
    public static let e4b = ModelSize.named("E4B")

    /// Reads `whole`, `half`, a published name (`E2B`, `e2.69b`), or a budget (`2.7B`, `900M`).
    ///
    /// - Throws: `unknownSize`.
    public init(_ text: String) throws(SliceError) {
        let word = lowercase(text)
        switch word {
        case "whole", "full": self = .whole
        case "half": self = .half
        default:
            if let known = PublishedSlice.all.first(where: { lowercase($0.name) == word || lowercase($0.name) == word + "-block" }) {
                self = .named(known.name)
            } else if let count = Self.budget(word) {
                self = .parameters(count)
            } else {
                throw SliceError(
                    .unknownSize,
                    "The size is '\(text)', expected whole, half, a number of parameters such as 2.7B or 900M, or one of \(Self.names).")
            }
        }
    }

    private static var names: String { PublishedSlice.all.map { $0.name }.joined(separator: ", ") }

    private static func budget(_ word: String) -> Int? {
        let units: [UInt8: Int] = [UInt8(ascii: "b"): 1_000_000_000, UInt8(ascii: "m"): 1_000_000, UInt8(ascii: "k"): 1000]
        guard let last = word.utf8.last, let unit = units[last] else { return nil }
        let parts = word.utf8.dropLast().split(separator: UInt8(ascii: "."), maxSplits: 1, omittingEmptySubsequences: false)
        // Thousandths of the unit; more digits say nothing of a model.
        guard let first = parts.first, first.count <= 6, let whole = Int(String(decoding: first, as: UTF8.self)), whole >= 0 else { return nil }
        var digits = parts.count > 1 ? Array(parts[1].prefix(3)) : []
        if parts.count > 1, digits.isEmpty || !parts[1].allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) { return nil }
        while digits.count < 3 { digits.append(UInt8(ascii: "0")) }
        let thousandths = digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
        let count = whole * unit + thousandths * (unit / 1000)
        return count > 0 ? count : nil
    }

    /// The slice of a model that this means.
    ///
    /// A budget takes the published slice of the best score within it (the smaller of equals); of other models than E4B, and below the
    /// smallest published one, the most even widths.
    ///
    /// - Parameter grain: What widths must be multiples of; see `TextModel.widthGrain`.
    /// - Throws: `unknownSize` if the model has no such part; what `ModelSlice.validate` throws.
    public func slice(of c: TextConfiguration, grain: Int = 1) throws(SliceError) -> ModelSlice {
        let whole = ModelSlice(wholeOf: c)
        switch self {
        case .whole: return whole
        case .half:
            let half = ModelSlice(widths: c.intermediateSize.map { max(min(grain, $0), $0 / 2 / grain * grain) })
            return half
        case .slice(let slice):
            try slice.validate(c)
            return slice
        case .named(let name):
            guard let known = PublishedSlice.all.first(where: { $0.name == name }) else {
                throw SliceError(.unknownSize, "The size is '\(name)', expected one of \(Self.names).")
            }
            if let slice = known.slice(of: c) { return slice }
            // A released E2B file is that slice already.
            if (known.name == "E2B" || known.name == "E4B"), c.effectiveParameterCount / 10_000_000 == Int(known.billions * 100) { return whole }
            if known.name == "E2B", c.numHiddenLayers == 30, c.firstSharedLayer == 20 { return whole }
            throw SliceError(
                .unknownSize,
                "\(name) is a slice of Gemma 3n E4B (35 layers of one width), but this model has \(c.numHiddenLayers) layers, the widest \(c.intermediateSize.max() ?? 0) wide. Give whole, half, a number of parameters, or widths.")
        case .parameters(let budget):
            return try Self.slice(of: c, budget: budget, grain: grain)
        }
    }

    private static func slice(of c: TextConfiguration, budget: Int, grain: Int) throws(SliceError) -> ModelSlice {
        let whole = ModelSlice(wholeOf: c)
        if c.effectiveParameterCount <= budget { return whole }
        var best: (slice: ModelSlice, mmlu: Double)?
        for known in PublishedSlice.all {
            guard let slice = known.slice(of: c), try c.sliced(slice).effectiveParameterCount <= budget else { continue }
            if known.mmlu > best?.mmlu ?? 0 { best = (slice, known.mmlu) }
        }
        if let best { return best.slice }
        return try even(c, leftOut: PublishedSlice.fits(c) ? [20, 21, 22, 23, 24] : [], budget: budget, grain: grain)
    }

    /// The same share of every layer, in steps of a 32nd, and one step more for as many layers as there is room for: those of full attention
    /// first, the last ones first, as the published slices do.
    private static func even(_ c: TextConfiguration, leftOut: [Int], budget: Int, grain: Int) throws(SliceError) -> ModelSlice {
        let steps = c.intermediateSize.map { max(grain, $0 / 32 / grain * grain) }
        func slice(_ counts: [Int]) -> ModelSlice {
            ModelSlice(widths: counts.indices.map { min(c.intermediateSize[$0], counts[$0] * steps[$0]) }, leavingOut: leftOut)
        }
        func fits(_ counts: [Int]) throws(SliceError) -> Bool { try c.sliced(slice(counts)).effectiveParameterCount <= budget }
        var counts = [Int](repeating: 1, count: c.numHiddenLayers)
        guard try fits(counts) else {
            let smallest = try c.sliced(slice(counts)).effectiveParameterCount
            throw SliceError(
                .unknownSize, "No slice of this model has \(budget) effective parameters or fewer; the smallest that is tried has \(smallest).")
        }
        while try fits(counts.map { $0 + 1 }), counts[0] < 1 << 16 { counts = counts.map { $0 + 1 } }
        let order = counts.indices.reversed().filter { c.layerTypes[$0] == .full } + counts.indices.reversed().filter { c.layerTypes[$0] == .sliding }
        for layer in order where !leftOut.contains(layer) {
            var wider = counts
            wider[layer] += 1
            if try fits(wider) { counts = wider }
        }
        return slice(counts)
    }
}

extension ModelSlice {
    /// Reads `{"widths": [16384, 8192, …], "skip_layers": [20, 21]}`: a width for every layer of the whole model, for every layer that is
    /// not left out, or one number for all.
    ///
    /// - Throws: `malformed`, and what `validate` throws.
    public init(json: JSONValue, of c: TextConfiguration) throws(SliceError) {
        guard let object = json.object else {
            throw SliceError(.malformed, "The slice is \(json.summary), expected an object with widths and skip_layers.")
        }
        for member in object.members where member.key != "widths" && member.key != "skip_layers" && member.key != "name" {
            throw SliceError(.malformed, "The slice has the key '\(member.key)', expected widths, skip_layers or name.")
        }
        func integers(_ key: String) throws(SliceError) -> [Int]? {
            guard let value = json[key], !value.isNull else { return nil }
            var result: [Int] = []
            for element in value.array ?? [value] {
                guard let number = element.int else {
                    throw SliceError(.malformed, "\(key) of the slice holds \(element.summary), expected whole numbers.")
                }
                result.append(number)
            }
            return result
        }
        let widths = try integers("widths")
        try self.init(widths: widths ?? c.intermediateSize, skipping: integers("skip_layers") ?? [], of: c)
    }

    /// As command lines write it: a width for every layer of the whole model, for every layer that is not left out, or one for all.
    ///
    /// - Throws: `wrongLayerCount`, `wrongWidth`, `ownsKeyValues`.
    public init(widths: [Int], skipping skipped: [Int], of c: TextConfiguration) throws(SliceError) {
        for layer in skipped where !(0..<c.numHiddenLayers).contains(layer) {
            throw SliceError(.wrongLayerCount, "Layer \(layer) is to be left out, but the model's layers are 0 to \(c.numHiddenLayers - 1).")
        }
        if let bad = widths.first(where: { $0 < 1 }) {
            throw SliceError(.wrongWidth, "A width of the slice is \(bad), expected at least 1; layers are left out by skip_layers.")
        }
        let left = Set(skipped)
        var all = widths
        if widths.count == 1 {
            all = c.intermediateSize.map { min($0, widths[0]) }
            if let width = widths.first, width > c.intermediateSize.max() ?? 0 { all = Array(repeating: width, count: c.numHiddenLayers) }
        } else if widths.count == c.numHiddenLayers - left.count, !left.isEmpty {
            var rest = widths[...]
            all = (0..<c.numHiddenLayers).map { left.contains($0) ? 0 : rest.removeFirst() }
        }
        self.init(widths: all, leavingOut: skipped)
        try validate(c)
    }

    /// The slice as such an object: a width for every layer that runs.
    public var json: JSONValue {
        [
            "widths": .array(layers.map { .number(JSONNumber(widths[$0])) }),
            "skip_layers": .array(leftOut.map { .number(JSONNumber($0)) }),
        ]
    }

    /// Its published name, `whole` or `half`; else its effective parameters: "E2.7B".
    public func name(in c: TextConfiguration) -> String {
        if let known = PublishedSlice.all.first(where: { $0.slice(of: c) == self }) { return known.name }
        if self == ModelSlice(wholeOf: c) { return "whole" }
        if self == ModelSlice(widths: c.intermediateSize.map { $0 / 2 }) { return "half" }
        guard let count = try? c.sliced(self).effectiveParameterCount else { return "none of this model" }
        let (unit, letter) = count >= 1_000_000_000 ? (10_000_000, "B") : count >= 1_000_000 ? (10_000, "M") : (10, "k")
        let hundredths = (count + unit / 2) / unit
        return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)\(letter)"
    }
}

/// ASCII letters in lower case.
private func lowercase(_ text: String) -> String {
    String(decoding: text.utf8.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 + 32 : $0 }, as: UTF8.self)
}
