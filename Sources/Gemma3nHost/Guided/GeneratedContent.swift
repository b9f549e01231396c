public import Checkpoint

/// A structured value that a model wrote: JSON, whole or as far as it has come.
///
///     let content = try GeneratedContent(json: #"{"name": "Ada", "age": 36}"#)
///     let age = try content.value(Int.self, forProperty: "age")
public struct GeneratedContent: Sendable, Equatable {
    /// The value; of an unfinished one, what is certain of it so far.
    public let json: JSONValue
    /// Whether nothing of the value is missing.
    public let isComplete: Bool

    public init(_ json: JSONValue, isComplete: Bool = true) {
        self.json = json
        self.isComplete = isComplete
    }

    public init(_ value: some ConvertibleToGeneratedContent) { self = value.generatedContent }

    /// An object with these members in this order.
    public init(properties: KeyValuePairs<String, any ConvertibleToGeneratedContent>) {
        self.init(.object(JSONObject(properties.map { .init(key: $0.key, value: $0.value.generatedContent.json) })))
    }

    /// An array.
    public init(elements: [any ConvertibleToGeneratedContent]) {
        self.init(.array(elements.map { $0.generatedContent.json }))
    }

    /// Reads JSON text.
    ///
    /// - Throws: `decodingFailure` with place and problem.
    public init(json text: String) throws(SessionError) {
        do throws(CheckpointError) {
            self.init(try JSONValue.parse(text, file: "the answer"))
        } catch {
            throw SessionError(.decodingFailure, error.description)
        }
    }

    /// The value as compact JSON text.
    public var jsonString: String { json.serialized() }

    // MARK: Looking in

    /// The whole value as a type.
    ///
    /// - Throws: `decodingFailure` if it is another kind of value, or, for a type of your own, what its `init(_:)` throws.
    public func value<Value: ConvertibleFromGeneratedContent>(_ type: Value.Type = Value.self) throws -> Value { try Value(self) }

    /// A member of an object as a type.
    ///
    /// - Throws: `decodingFailure` if this is no object, the member is missing, or is another kind of value.
    public func value<Value: ConvertibleFromGeneratedContent>(_ type: Value.Type = Value.self, forProperty name: String) throws -> Value {
        guard let object = json.object else { throw mismatch("an object with a member '\(name)'") }
        guard let member = object[name] else {
            throw SessionError(.decodingFailure, "The generated object has no member '\(name)'; it has \(object.count == 0 ? "none" : object.keys.joined(separator: ", ")).")
        }
        return try Value(part(member, isLast: object.members.last?.key == name))
    }

    /// A member of an object that may be missing or null.
    ///
    /// - Throws: `decodingFailure` if this is no object or the member is another kind of value.
    public func value<Value: ConvertibleFromGeneratedContent>(_ type: Value?.Type = Value?.self, forProperty name: String) throws -> Value? {
        guard let object = json.object else { throw mismatch("an object") }
        guard let member = object[name], !member.isNull else { return nil }
        return try Value(part(member, isLast: object.members.last?.key == name))
    }

    /// A member of an object that may not have been written yet; one that is being written counts once it makes a value.
    ///
    /// - Throws: `decodingFailure` if this is no object, or a member that is whole is another kind of value.
    public func partialValue<Value: ConvertibleFromGeneratedContent>(_ type: Value.Type = Value.self, forProperty name: String) throws -> Value? {
        guard let object = json.object else { throw mismatch("an object") }
        guard let member = object[name], !member.isNull else { return nil }
        let part = part(member, isLast: object.members.last?.key == name)
        return part.isComplete ? try Value(part) : try? Value(part)
    }

    /// - Throws: `decodingFailure` if this is no object.
    public func requireObject() throws(SessionError) {
        if json.object == nil { throw mismatch("an object") }
    }

    /// The error for a string that is none of an enum's.
    public func unknownChoice(_ found: String, of choices: [String]) -> SessionError {
        SessionError(.decodingFailure, "The generated value is \"\(found)\", expected one of \(choices.joined(separator: ", ")).")
    }

    /// Of an unfinished value only the last part is unfinished.
    func part(_ value: JSONValue, isLast: Bool) -> GeneratedContent { GeneratedContent(value, isComplete: isComplete || !isLast) }

    func mismatch(_ expected: String) -> SessionError {
        SessionError(.decodingFailure, "The generated value is \(json.kind), expected \(expected).")
    }
}

/// A type that can be made of a value a model wrote.
public protocol ConvertibleFromGeneratedContent: Sendable {
    init(_ content: GeneratedContent) throws
}

/// A type that can be written as a value of that kind: in a prompt, an example, or as a tool's output.
public protocol ConvertibleToGeneratedContent: Sendable {
    var generatedContent: GeneratedContent { get }
}

extension GeneratedContent: ConvertibleFromGeneratedContent, ConvertibleToGeneratedContent {
    public init(_ content: GeneratedContent) { self = content }
    public var generatedContent: GeneratedContent { self }
}
