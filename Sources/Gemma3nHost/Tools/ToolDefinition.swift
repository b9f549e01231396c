public import Checkpoint
internal import Constraints

/// A function that a model may call.
public struct ToolDefinition: Sendable, Equatable {
    public let name: String
    /// What it does and when to use it: all that the model knows of it besides the parameters.
    public let description: String
    /// The JSON Schema of the arguments, an object's.
    public let parameters: JSONValue
    /// Objects that fit the parameters.
    let arguments: Constraint

    /// - Parameters:
    ///   - name: 1 to 64 of letters, digits, `_` and `-`.
    ///   - parameters: A JSON Schema of type object; nil for none. docs/constraints.md lists the keywords.
    /// - Throws: `invalidOption` for the name; `unsupportedGuide` that names the tool and the place if arguments cannot be held to the
    ///   schema.
    public init(name: String, description: String = "", parameters: JSONValue? = nil) throws(SessionError) {
        guard Self.isName(name) else {
            throw SessionError(.invalidOption, "A tool is named '\(name)'; a name is 1 to 64 letters, digits, '_' and '-'.")
        }
        self.name = name
        self.description = description
        self.parameters = parameters ?? ["type": "object", "properties": [:]]
        arguments = try Self.constraint(self.parameters, tool: name, .spaced)
    }

    static func isName(_ name: String) -> Bool {
        (1...64).contains(name.utf8.count)
            && name.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    /// The arguments with white space wherever JSON allows it, as in a fenced call.
    func looseArguments() throws(SessionError) -> Constraint {
        try Self.constraint(parameters, tool: name, .free(maximumRun: ToolCalling.maximumBlanks))
    }

    private static func constraint(
        _ parameters: JSONValue, tool: String, _ whitespace: SchemaOptions.Whitespace
    ) throws(SessionError) -> Constraint {
        guard var members = parameters.object?.members else {
            throw SessionError(.unsupportedGuide, "Tool '\(tool)': its parameters are \(parameters.kind), expected a JSON Schema of type object.")
        }
        switch parameters["type"] {
        case nil: members.append(.init(key: "type", value: "object"))
        case .string("object")?: break
        case let other?:
            throw SessionError(
                .unsupportedGuide,
                "Tool '\(tool)': #/type of its parameters is \(other.string.map { "\"\($0)\"" } ?? other.kind), expected \"object\".")
        }
        // Named none: there are none. As a schema alone it would allow any.
        if parameters["properties"]?.object?.count == 0, parameters["additionalProperties"] == nil, parameters["patternProperties"] == nil {
            members.append(.init(key: "additionalProperties", value: false))
        }
        var options = SchemaOptions()
        options.whitespace = whitespace
        do throws(ConstraintError) {
            return try Constraint(jsonSchema: .object(JSONObject(members)), options: options)
        } catch {
            throw SessionError(.unsupportedGuide, "Tool '\(tool)': its parameters: \(error)")
        }
    }

    public static func == (a: ToolDefinition, b: ToolDefinition) -> Bool {
        a.name == b.name && a.description == b.description && a.parameters == b.parameters
    }

    /// As the model is told.
    var json: JSONValue { ["name": .string(name), "description": .string(description), "parameters": parameters] }
}

// MARK: Reading

extension ToolDefinition {
    /// Reads tools as chat messages' programs give them: `{"type": "function", "function": {"name", "description", "parameters"}}`, or
    /// the same without the inner object.
    ///
    /// - Throws: `decodingFailure` that says which entry is wrong; as `init`.
    public static func parse(_ json: JSONValue, at place: String = "tools") throws(SessionError) -> [ToolDefinition] {
        guard let list = json.array else { throw SessionError(.decodingFailure, "\(place) is \(json.kind), expected an array of functions.") }
        var tools: [ToolDefinition] = []
        for (index, tool) in list.enumerated() {
            let place = "\(place)[\(index)]"
            if let type = tool["type"], type.string != "function" {
                throw SessionError(
                    .decodingFailure, "\(place).type is \(type.string.map { "\"\($0)\"" } ?? type.kind), expected \"function\".")
            }
            let inner = tool["function"] ?? tool
            let innerPlace = tool["function"] == nil ? place : place + ".function"
            guard let name = inner["name"]?.string else {
                throw SessionError(.decodingFailure, "\(innerPlace).name is \(inner["name"]?.kind ?? "missing"), expected a string.")
            }
            var description = ""
            if let given = inner["description"], !given.isNull {
                guard let text = given.string else {
                    throw SessionError(.decodingFailure, "\(innerPlace).description is \(given.kind), expected a string.")
                }
                description = text
            }
            if let parameters = inner["parameters"], !parameters.isNull {
                tools.append(try ToolDefinition(name: name, description: description, parameters: parameters))
            } else {
                tools.append(try ToolDefinition(name: name, description: description))
            }
        }
        return tools
    }
}
