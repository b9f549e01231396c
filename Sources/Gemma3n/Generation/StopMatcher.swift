/// Holds back the end of a streamed text while it could still become a stop string.
///
/// Works on UTF-8 bytes. A stop string is never part of the text that is let out.
public struct StopMatcher: Sendable {
    /// The shortest first: which one is found does not depend on the pieces the text comes in.
    private let stops: [[UInt8]]
    private var held: [UInt8] = []
    /// The stop string that was found.
    private var foundStop: [UInt8]?
    /// Whether a stop string was found; nothing more comes out then.
    public var isStopped: Bool { foundStop != nil }
    /// The stop string that was found; of several at one place the shortest.
    public var found: String? { foundStop.map { String(decoding: $0, as: UTF8.self) } }

    /// - Parameter stops: Empty strings are ignored.
    public init(_ stops: [String]) {
        self.stops = stops.map { Array($0.utf8) }.filter { !$0.isEmpty }.sorted { $0.count < $1.count }
    }

    /// Whether there is nothing to look for.
    var isEmpty: Bool { stops.isEmpty }

    /// Takes the next bytes and gives those that can be let out.
    public mutating func push(_ bytes: [UInt8]) -> [UInt8] {
        if isStopped { return [] }
        if stops.isEmpty { return bytes }
        held += bytes
        // The earliest stop string; of two at one place either ends the text there.
        var start = 0
        while start < held.count {
            var couldContinue = false
            for stop in stops {
                let length = min(stop.count, held.count - start)
                if held[start..<start + length].elementsEqual(stop[..<length]) {
                    if length == stop.count {
                        foundStop = stop
                        let out = Array(held[..<start])
                        held = []
                        return out
                    }
                    couldContinue = true
                }
            }
            if couldContinue { break }
            start += 1
        }
        let out = Array(held[..<start])
        held.removeFirst(start)
        return out
    }

    /// What was held back, at the end of the text.
    public mutating func finish() -> [UInt8] {
        defer { held = [] }
        return isStopped ? [] : held
    }
}
