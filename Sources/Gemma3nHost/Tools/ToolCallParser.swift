internal import Checkpoint

/// Reads an answer as it comes: text, or calls.
///
///     var parser = ToolCallParser(calling)
///     for event in parser.push(text) { … }
///
/// However the answer is cut into pieces, the events put together are the same.
public struct ToolCallParser: Sendable {
    public enum Event: Sendable, Equatable {
        /// More of an answer that calls no tool.
        case text(String)
        case callBegan(index: Int, id: String, name: String)
        /// More of the JSON text of a call's arguments.
        case arguments(index: Int, String)
        case callEnded(index: Int)
    }

    /// The answer's text so far; empty where it is calls.
    public private(set) var text = ""
    /// The calls so far.
    public private(set) var calls: [PartialToolCall] = []

    private enum State: Sendable {
        /// Bytes kept back until it is clear what they begin.
        case undecided([UInt8])
        case text
        case calls(CallScanner)
    }

    private var state: State
    private let form: ToolCalling.Form
    private let names: Set<String>
    private let makeID: @Sendable () -> String

    /// - Parameters:
    ///   - hasShape: Whether the answer is held to a shape where it calls no tool.
    ///   - makeID: What calls are called.
    public init(_ calling: ToolCalling, hasShape: Bool = false, makeID: @escaping @Sendable () -> String = { ToolCall.newID() }) {
        form = calling.form(hasShape: hasShape)
        names = Set(calling.tools.map(\.name))
        self.makeID = makeID
        state = form == .text ? .text : .undecided([])
    }

    /// Takes more of the answer, whole characters.
    public mutating func push(_ more: String) -> [Event] {
        var events: [Event] = []
        let bytes = Array(more.utf8)
        switch state {
        case .text: add(text: more, &events)
        case .calls(var scanner):
            read(bytes, &scanner, &events)
        case .undecided(var held):
            held += bytes
            switch CallBeginning.find(in: held, form, names) {
            case .undecided: state = .undecided(held)
            case .text:
                state = .text
                add(text: String(decoding: held, as: UTF8.self), &events)
            case .calls(let start):
                var scanner = CallScanner()
                read(Array(held[start...]), &scanner, &events)
            }
        }
        return events
    }

    /// The answer has ended: what was kept back is text.
    public mutating func finish() -> [Event] {
        var events: [Event] = []
        if case .undecided(let held) = state {
            state = .text
            add(text: String(decoding: held, as: UTF8.self), &events)
        }
        return events
    }

    /// The calls that are whole.
    public var wholeCalls: [ToolCall] { calls.compactMap(\.whole) }

    private mutating func add(text more: String, _ events: inout [Event]) {
        if more.isEmpty { return }
        text += more
        events.append(.text(more))
    }

    private mutating func read(_ bytes: [UInt8], _ scanner: inout CallScanner, _ events: inout [Event]) {
        var arguments: [UInt8] = []
        func flush(_ calls: inout [PartialToolCall], _ events: inout [Event]) {
            if arguments.isEmpty { return }
            let more = String(decoding: arguments, as: UTF8.self)
            calls[calls.count - 1].argumentsText += more
            events.append(.arguments(index: calls.count - 1, more))
            arguments = []
        }
        for byte in bytes {
            switch scanner.take(byte) {
            case .nothing: break
            case .name(let name):
                let call = PartialToolCall(id: makeID(), name: name)
                calls.append(call)
                events.append(.callBegan(index: calls.count - 1, id: call.id, name: name))
            case .argument: arguments.append(byte)
            case .lastArgument:
                arguments.append(byte)
                flush(&calls, &events)
            case .ended:
                let call = calls[calls.count - 1]
                guard let arguments = try? JSONValue.parse(call.argumentsText, file: "") else { continue }
                calls[calls.count - 1].whole = ToolCall(
                    id: call.id, name: call.name, arguments: arguments, argumentsText: call.argumentsText)
                events.append(.callEnded(index: calls.count - 1))
            }
        }
        flush(&calls, &events)
        state = .calls(scanner)
    }
}

/// Tells from an answer's beginning whether it is calls.
private struct CallBeginning {
    enum Finding {
        case undecided
        case text
        /// Their JSON begins here.
        case calls(at: Int)
    }

    private enum Match { case whole, beginning, none }

    private let bytes: [UInt8]
    private var place = 0

    static func find(in bytes: [UInt8], _ form: ToolCalling.Form, _ names: Set<String>) -> Finding {
        var beginning = CallBeginning(bytes: bytes)
        switch form {
        case .text: return .text
        case .calls: return .calls(at: 0)
        case .fenced: return beginning.finding(beginning.match(ToolCalling.fence))
        case .any: return beginning.anyForm(names)
        }
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private func finding(_ match: Match) -> Finding {
        switch match {
        case .whole: .calls(at: place)
        case .beginning: .undecided
        case .none: .text
        }
    }

    private mutating func skip(_ blanks: [UInt8]) {
        while place < bytes.count, blanks.contains(bytes[place]) { place += 1 }
    }

    /// Goes past a text if it stands here.
    private mutating func match(_ text: String) -> Match {
        let rest = bytes[place...]
        if rest.starts(with: text.utf8) {
            place += text.utf8.count
            return .whole
        }
        return text.utf8.starts(with: rest) ? .beginning : .none
    }

    private mutating func anyForm(_ names: Set<String>) -> Finding {
        skip(CallScanner.blanks)
        guard place < bytes.count else { return .undecided }
        if bytes[place] == UInt8(ascii: "{") || bytes[place] == UInt8(ascii: "[") { return .calls(at: place) }
        let fence = match("```")
        guard fence == .whole else { return finding(fence) }
        if place == bytes.count { return .undecided }
        switch match("tool_code") {
        case .whole: return .calls(at: place)
        case .beginning: return .undecided
        case .none: break
        }
        if match("json") == .beginning { return .undecided }
        skip([0x20, 0x09])
        let line = match("\n")
        guard line == .whole else { return finding(line) }
        // A fence for any JSON holds a call if it begins with a tool's name.
        let start = place
        skip(CallScanner.blanks)
        _ = match("[")
        for text in ["{", "\"name\"", ":", "\""] {
            skip(CallScanner.blanks)
            let found = match(text)
            guard found == .whole else { return finding(found) }
        }
        let rest = bytes[place...]
        guard let quote = rest.firstIndex(of: UInt8(ascii: "\"")) else {
            return names.contains { $0.utf8.starts(with: rest) } ? .undecided : .text
        }
        return names.contains(String(decoding: rest[..<quote], as: UTF8.self)) ? .calls(at: start) : .text
    }
}

/// Reads calls byte by byte. What has no call's form is passed over; an answer that is held to calls has no such thing.
private struct CallScanner: Sendable {
    enum Step {
        case nothing
        case name(String)
        /// A byte of the arguments, and their last one.
        case argument
        case lastArgument
        /// The call is whole.
        case ended
    }

    private enum Place {
        /// Before a call, with what lists and fences put there.
        case outside
        /// In what stands before the name, and between name and arguments, so many bytes in.
        case head(Int)
        case name([UInt8])
        case middle(Int)
        /// Open brackets, and whether in a string and behind a backslash.
        case arguments(depth: Int, inString: Bool, escaped: Bool)
        case tail
        case lost
    }

    static let blanks: [UInt8] = [0x20, 0x09, 0x0A, 0x0D]
    private static let head = Array("{\"name\":\"".utf8)
    private static let middle = Array(",\"parameters\":{".utf8)

    private var place = Place.outside

    mutating func take(_ byte: UInt8) -> Step {
        switch place {
        case .outside:
            if byte == Self.head[0] { place = .head(1) }
        case .head(let count):
            if Self.blanks.contains(byte) { break }
            place = byte != Self.head[count] ? .lost : count + 1 == Self.head.count ? .name([]) : .head(count + 1)
        case .name(let name):
            if byte == UInt8(ascii: "\"") {
                place = .middle(0)
                return .name(String(decoding: name, as: UTF8.self))
            }
            place = .name(name + [byte])
        case .middle(let count):
            if Self.blanks.contains(byte) { break }
            if byte != Self.middle[count] {
                place = .lost
            } else if count + 1 < Self.middle.count {
                place = .middle(count + 1)
            } else {
                place = .arguments(depth: 1, inString: false, escaped: false)
                return .argument
            }
        case .arguments(var depth, var inString, var escaped):
            if escaped {
                escaped = false
            } else if byte == UInt8(ascii: "\"") {
                inString.toggle()
            } else if inString {
                escaped = byte == UInt8(ascii: "\\")
            } else if byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[") {
                depth += 1
            } else if byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]") {
                depth -= 1
            }
            place = depth == 0 ? .tail : .arguments(depth: depth, inString: inString, escaped: escaped)
            return depth == 0 ? .lastArgument : .argument
        case .tail:
            if Self.blanks.contains(byte) { break }
            place = byte == UInt8(ascii: "}") ? .outside : .lost
            if byte == UInt8(ascii: "}") { return .ended }
        case .lost: break
        }
        return .nothing
    }
}
