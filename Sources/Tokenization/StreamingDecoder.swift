internal import Checkpoint

/// Turns ids into text as they come, never letting out half a character.
///
/// The pieces together are what `Tokenizer.decode` gives, but for one case: characters spelled in byte tokens that were let out
/// whole stay, where `decode` replaces them too if broken bytes follow in the same run.
public struct StreamingDecoder {
    private let tokenizer: Tokenizer
    private let skipSpecialTokens: Bool
    /// Bytes of byte tokens in a row that are not yet known to be text or broken.
    private var pending: [UInt8] = []

    public init(_ tokenizer: Tokenizer, skipSpecialTokens: Bool = true) {
        self.tokenizer = tokenizer
        self.skipSpecialTokens = skipSpecialTokens
    }

    /// The text that became certain with `id`.
    public mutating func push(_ id: Int32) -> String {
        if skipSpecialTokens, tokenizer.isSpecial(id) { return "" }
        if let byte = tokenizer.byte(id) {
            pending.append(byte)
            return takeWholeCharacters()
        }
        return pending.isEmpty ? tokenizer.text(id) : finish() + tokenizer.text(id)
    }

    /// What was held back: a character that never became complete gives one U+FFFD for each of its bytes.
    public mutating func finish() -> String {
        defer { pending.removeAll(keepingCapacity: true) }
        return Self.decode(pending)
    }

    /// Lets out a run of byte tokens once it is whole characters. A run is text only if all of it is valid, so a run that
    /// has turned out broken is held until it ends.
    private mutating func takeWholeCharacters() -> String {
        guard Self.isValidText(pending) else { return "" }
        defer { pending.removeAll(keepingCapacity: true) }
        return String(decoding: pending, as: UTF8.self)
    }

    /// A run of byte tokens: its text, or one U+FFFD for each byte if any of it is broken.
    static func decode(_ run: [UInt8]) -> String {
        if isValidText(run) { return String(decoding: run, as: UTF8.self) }
        return String(repeating: "\u{FFFD}", count: run.count)
    }

    private static func isValidText(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBufferPointer { isValidUTF8($0) } }
}
