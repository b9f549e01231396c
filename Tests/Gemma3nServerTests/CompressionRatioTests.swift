import Testing

import Gemma3nServer

@Suite struct CompressionRatioTests {
    /// What zlib's own level 6 gives is within a tenth: it may choose other codes.
    @Test(arguments: [
        ("the red circle is left of the blue square and it is loud", 1.0182), (String(repeating: "no ", count: 20), 4.2857),
        (String(repeating: "The quick brown fox jumps over the lazy dog. ", count: 3) + "äöü", 2.2742), (String(repeating: "a", count: 1000), 58.82),
    ])
    func isThatOfZlib(text: String, ratio: Double) {
        let found = CompressionRatio.of(Array(text.utf8))
        #expect(abs(found / ratio - 1) < 0.1, "\(found) beside \(ratio)")
    }

    @Test func nothingIsNotDividedBy() { #expect(CompressionRatio.of([]) == 1) }
}
