internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost

/// The slices of a model that `curve` measures, the smallest first.
struct Ladder {
    struct Rung {
        let name: String
        let text: TextModel
        var parameters: Int { text.configuration.effectiveParameterCount }
    }

    private(set) var rungs: [Rung] = []
    private let whole: TextModel

    init(_ model: TextModel) { whole = model.whole }

    /// Adds a slice, unless it is there already; `name` is made from its widths by default.
    ///
    /// - Throws: `SliceError`.
    mutating func add(_ slice: ModelSlice, name: String? = nil) throws(SliceError) {
        if rungs.contains(where: { $0.text.slice == slice }) { return }
        rungs.append(Rung(name: name ?? slice.label(in: whole.configuration), text: try whole.sliced(slice)))
        rungs.sort { $0.parameters < $1.parameters }
    }

    /// The published slices of a model like E4B, `steps` even ones of any other.
    ///
    /// - Throws: `SliceError`.
    mutating func addUsual(steps: Int?) throws(SliceError) {
        let c = whole.configuration
        let published = steps == nil ? PublishedSlice.all.compactMap { $0.slice(of: c) } : []
        for slice in published { try add(slice) }
        if published.isEmpty { try addEven(steps ?? Self.usualSteps) }
    }

    /// The same share of every layer, in so many steps up to all of it.
    private mutating func addEven(_ steps: Int) throws(SliceError) {
        let grain = whole.widthGrain
        for step in 1...steps {
            try add(ModelSlice(widths: whole.configuration.intermediateSize.map { min($0, max(grain, $0 * step / steps / grain * grain)) }))
        }
    }

    /// The whole model without the first of its layers that make no keys and values, without the first two, and so on.
    ///
    /// - Throws: `SliceError`; `CommandError` if there are none.
    mutating func addWithoutSharedLayers() throws {
        let c = whole.configuration
        let shared = c.firstSharedLayer..<c.numHiddenLayers
        if shared.isEmpty { throw CommandError("--skip-shared: every layer of the model makes keys and values. Leave the option out.") }
        for layer in shared { try add(ModelSlice(widths: c.intermediateSize, leavingOut: Array(c.firstSharedLayer...layer))) }
    }

    /// The slices of a JSON file: an array of `{"name", "widths", "skip_layers"}`.
    ///
    /// - Throws: `FileError`, `CheckpointError` for bad JSON, `SliceError`, `CommandError` for an empty file.
    mutating func add(file: String) throws {
        let json = try JSONValue.parse(try readFile(file), file: file)
        let list = json.array ?? [json]
        if list.isEmpty { throw CommandError("\(file) holds no slices.") }
        for (index, json) in list.enumerated() {
            do throws(SliceError) {
                try add(try ModelSlice(json: json, of: whole.configuration), name: json["name"]?.string)
            } catch {
                throw SliceError(error.code, "\(file), slice \(index + 1): \(error.message)")
            }
        }
    }

    private static let usualSteps = 8
}

extension ModelSlice {
    /// A name for tables: `half`, `width 96`, `without layers 4-7`.
    fileprivate func label(in c: TextConfiguration) -> String {
        let whole = ModelSlice(wholeOf: c)
        let name = self.name(in: c)
        if leftOut.isEmpty {
            let isUniform = Set(widths).count == 1
            return isUniform && name != "whole" && name != "half" ? "width \(widths[0])" : name
        }
        if layers.allSatisfy({ widths[$0] == whole.widths[$0] }) { return "without \(Self.ranges(leftOut))" }
        return name
    }

    /// `layers 4-6, 9`
    private static func ranges(_ layers: [Int]) -> String {
        var ranges: [ClosedRange<Int>] = []
        for layer in layers {
            if let last = ranges.last, last.upperBound + 1 == layer {
                ranges[ranges.count - 1] = last.lowerBound...layer
            } else {
                ranges.append(layer...layer)
            }
        }
        let text = ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ", ")
        return layers.count == 1 ? "layer \(text)" : "layers \(text)"
    }
}
