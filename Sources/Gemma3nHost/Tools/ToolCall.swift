public import Checkpoint

/// One call that a model made.
public struct ToolCall: Sendable, Equatable {
    /// What its output refers to; made here, not by the model.
    public let id: String
    public let name: String
    public let arguments: JSONValue
    /// The arguments' JSON as the model wrote it.
    public let argumentsText: String

    /// - Parameter id: A new one by default.
    public init(id: String = ToolCall.newID(), name: String, arguments: JSONValue) {
        self.init(id: id, name: name, arguments: arguments, argumentsText: SpacedJSON.text(arguments))
    }

    init(id: String, name: String, arguments: JSONValue, argumentsText: String) {
        self.id = id
        self.name = name
        self.arguments = arguments
        self.argumentsText = argumentsText
    }

    /// - Throws: `decodingFailure` if the text is no JSON.
    public init(id: String = ToolCall.newID(), name: String, argumentsText: String) throws(SessionError) {
        do throws(CheckpointError) {
            self.init(id: id, name: name, arguments: try JSONValue.parse(argumentsText, file: "the arguments"), argumentsText: argumentsText)
        } catch {
            throw SessionError(.decodingFailure, error.description)
        }
    }

    /// `call_` and 24 random letters and digits.
    public static func newID() -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)
        return String(decoding: Array("call_".utf8) + (0..<24).map { _ in alphabet[Int.random(in: 0..<alphabet.count)] }, as: UTF8.self)
    }

    /// As chat messages hold it, the arguments as text.
    public var json: JSONValue {
        ["id": .string(id), "type": "function", "function": ["name": .string(name), "arguments": .string(argumentsText)]]
    }

    /// Calls as the model is to write them, and wrote them unless it fenced them.
    static func text(of calls: [ToolCall]) -> String {
        let texts = calls.map { "{\"name\": \(JSONValue.string($0.name).serialized()), \"parameters\": \($0.argumentsText)}" }
        return texts.count == 1 ? texts[0] : "[\(texts.joined(separator: ", "))]"
    }
}

/// A call while it is being written.
public struct PartialToolCall: Sendable, Equatable {
    public let id: String
    public let name: String
    /// As much of the arguments' JSON as there is.
    public internal(set) var argumentsText = ""
    /// The call, once it is whole.
    public internal(set) var whole: ToolCall?

    init(id: String, name: String) {
        self.id = id
        self.name = name
    }

    init(_ call: ToolCall) {
        self.init(id: call.id, name: call.name)
        argumentsText = call.argumentsText
        whole = call
    }
}

/// JSON with one space after colons and commas, as calls are written.
enum SpacedJSON {
    static func text(_ value: JSONValue) -> String {
        switch value {
        case .array(let elements): "[" + elements.map(text).joined(separator: ", ") + "]"
        case .object(let object):
            "{" + object.members.map { "\(JSONValue.string($0.key).serialized()): \(text($0.value))" }.joined(separator: ", ") + "}"
        default: value.serialized()
        }
    }
}
