/// A slice of Gemma 3n E4B that Google published, with its score.
///
/// E4B has 35 layers of width 16,384; in every slice a layer has that width or half of it.
///
/// - Source: the data set `google/gemma3n-slicing-configs`.
public struct PublishedSlice: Sendable {
    /// `E2B`, `E2.69B`; those that Google made block by block end in `-block`.
    public let name: String
    /// Effective parameters as published, in billions.
    public let billions: Double
    /// MMLU of the pre-trained model in percent.
    public let mmlu: Double
    /// Layers of full width, by their numbers in E4B.
    let wide: Set<Int>
    let leftOut: [Int]

    private init(_ name: String, _ billions: Double, mmlu: Double, wide: [ClosedRange<Int>], leftOut: [Int] = []) {
        self.name = name
        self.billions = billions
        self.mmlu = mmlu
        self.wide = Set(wide.flatMap { Array($0) })
        self.leftOut = leftOut
    }

    /// All of them, the smallest first.
    public static let all = [
        PublishedSlice("E2B", 1.91, mmlu: 50.9, wide: [], leftOut: [20, 21, 22, 23, 24]),
        PublishedSlice("E1.96B", 1.96, mmlu: 53.4, wide: [4...4], leftOut: [20, 21, 22, 23, 24]),
        PublishedSlice("E2.49B-block", 2.49, mmlu: 54.5, wide: [20...24]),
        PublishedSlice("E2.54B", 2.54, mmlu: 55.4, wide: [4...4, 20...24]),
        PublishedSlice("E2.69B", 2.69, mmlu: 57.7, wide: [4...4, 9...9, 14...14, 19...24]),
        PublishedSlice("E2.73B-block", 2.73, mmlu: 57.1, wide: [15...24]),
        PublishedSlice("E2.98B", 2.98, mmlu: 59.5, wide: [15...24, 30...34]),
        PublishedSlice("E2.98B-block", 2.98, mmlu: 59.5, wide: [10...24]),
        PublishedSlice("E3.18B", 3.18, mmlu: 61.8, wide: [4...4, 9...24, 29...29, 34...34]),
        PublishedSlice("E3.24B-block", 3.24, mmlu: 60.7, wide: [10...29]),
        PublishedSlice("E3.39B", 3.39, mmlu: 63.0, wide: [4...4, 9...29, 34...34]),
        PublishedSlice("E3.49B-block", 3.49, mmlu: 61.4, wide: [5...29]),
        PublishedSlice("E3.59B", 3.59, mmlu: 63.4, wide: [4...29, 34...34]),
        PublishedSlice("E3.79B-block", 3.74, mmlu: 62.0, wide: [5...34]),
        PublishedSlice("E3.79B", 3.79, mmlu: 63.4, wide: [4...34]),
        PublishedSlice("E4B", 3.98, mmlu: 62.3, wide: [0...34]),
    ]

    /// The slice of a model like E4B: 35 layers of one even width, keys and values shared from layer 20 on. Nil for others.
    public func slice(of c: TextConfiguration) -> ModelSlice? {
        guard Self.fits(c) else { return nil }
        let full = c.intermediateSize[0]
        return ModelSlice(widths: (0..<c.numHiddenLayers).map { wide.contains($0) ? full : full / 2 }, leavingOut: leftOut)
    }

    static func fits(_ c: TextConfiguration) -> Bool {
        let full = c.intermediateSize[0]
        return c.numHiddenLayers == 35 && c.firstSharedLayer == 20 && full % 2 == 0 && c.intermediateSize.allSatisfy { $0 == full }
    }
}
