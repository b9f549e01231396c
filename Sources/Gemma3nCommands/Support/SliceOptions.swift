internal import ArgumentParser
internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost

/// Which part of a nested model runs: options of every command that runs one.
struct SliceOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Part of the model: whole, half, a published slice of E4B such as E2B or E2.69B, a budget such as 2.7B or 900M; auto, in commands that answer, chooses for every answer.", valueName: "size"),
        transform: SizeList.init)
    var size: SizeList?

    @Option(
        help: ArgumentHelp("Feed-forward widths: one for all layers, or one for each.", valueName: "list"),
        transform: { try WholeNumbers($0).values })
    var widths: [Int]?

    @Option(
        help: ArgumentHelp("Layers left out, such as 20-24,30; only those that make no keys and values.", valueName: "list"),
        transform: { try WholeNumbers($0, ranges: true).values })
    var skipLayers: [Int]?

    @Option(name: .customLong("slice"), help: ArgumentHelp("A slice from a file: {\"widths\": [...], \"skip_layers\": [...]}.", valueName: "file"))
    var file: String?

    /// Whether anything was said about the size.
    var isGiven: Bool { size != nil || widths != nil || skipLayers != nil || file != nil }

    func validate() throws {
        let vector = widths != nil ? "--widths" : skipLayers != nil ? "--skip-layers" : nil
        if size != nil, let other = file != nil ? "--slice" : vector {
            throw ValidationError("--size and \(other) both say which part of the model runs. Give one of them.")
        }
        if file != nil, let vector { throw ValidationError("--slice and \(vector) both say which part of the model runs. Give one of them.") }
    }

    /// What a model is opened with; nil if nothing was said, or what was said can only be understood beside the opened model.
    var atOpening: ModelSize? { size?.values.count == 1 ? size?.values[0] : nil }

    /// What a session of `model` is to answer with; nil if nothing was said.
    ///
    /// - Throws: As `slice(of:grain:)`.
    func choice(_ model: Gemma3nLanguageModel) throws -> SizeChoice? {
        if size?.isAutomatic == true { return .automatic }
        return try slice(of: model.model.text.configuration, grain: model.model.text.widthGrain).map { .slice($0) }
    }

    /// The slice that was asked for; nil if nothing was said.
    ///
    /// - Parameter grain: `TextModel.widthGrain`.
    /// - Throws: `SliceError`, `FileError`, `CheckpointError` for bad JSON, `CommandError` if there are several.
    func slice(of c: TextConfiguration, grain: Int) throws -> ModelSlice? {
        let all = try slices(of: c, grain: grain)
        if all.count > 1 { throw CommandError("--size names \(all.count) sizes, expected one.") }
        return all.first
    }

    /// The slices that were asked for, for commands that measure several; none if nothing was said.
    ///
    /// - Throws: As `slice(of:grain:)`.
    func slices(of c: TextConfiguration, grain: Int) throws -> [ModelSlice] {
        if let file {
            let json = try JSONValue.parse(try readFile(file), file: file)
            do throws(SliceError) {
                return [try ModelSlice(json: json, of: c)]
            } catch {
                throw SliceError(error.code, "\(file): \(error.message)")
            }
        }
        if let size {
            if size.isAutomatic { throw CommandError("--size auto chooses for the answers of run, chat, demo and evaluate. Name a size here.") }
            return try size.values.map { try $0.slice(of: c, grain: grain) }
        }
        guard widths != nil || skipLayers != nil else { return [] }
        return [try ModelSlice(widths: widths ?? c.intermediateSize, skipping: skipLayers ?? [], of: c)]
    }
}

/// Sizes with commas between: one, but for commands that measure several; or `auto`.
struct SizeList {
    let values: [ModelSize]
    let isAutomatic: Bool

    /// - Throws: `ValidationError`.
    init(_ text: String) throws {
        isAutomatic = text == "auto" || text == "automatic"
        do throws(SliceError) {
            if isAutomatic {
                values = []
                return
            }
            var values: [ModelSize] = []
            for part in text.split(separator: ",", omittingEmptySubsequences: false) { values.append(try ModelSize(String(part))) }
            self.values = values
        } catch {
            throw ValidationError(error.message)
        }
    }
}

/// Whole numbers with commas between, and where they may be, ranges such as 20-24.
private struct WholeNumbers {
    let values: [Int]

    /// - Throws: `ValidationError`.
    init(_ text: String, ranges: Bool = false) throws {
        var values: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Self.number($0) }
            guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count == 1 || (ranges && ends.count == 2), first <= last,
                values.count + last - first < 1 << 16
            else { throw ValidationError("Expected whole numbers with commas between\(ranges ? ", or ranges such as 20-24" : "").") }
            values += first...last
        }
        self.values = values
    }

    private static func number(_ text: Substring) -> Int? {
        text.count <= 9 && text.allSatisfy { $0.isASCII && $0.isNumber } ? Int(text) : nil
    }
}
