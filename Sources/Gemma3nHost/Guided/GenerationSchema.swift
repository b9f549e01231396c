public import Checkpoint

/// The shape of a value that a model is to write: a JSON Schema, made of Swift types, put together at run time, or read.
public struct GenerationSchema: Sendable {
    /// A part of a schema. Types are looked at late, so that a type may hold arrays of itself.
    indirect enum Node: Sendable {
        /// Keywords of JSON Schema as they stand.
        case plain(JSONValue)
        case array(of: @Sendable () -> GenerationSchema, [(key: String, value: JSONValue)])
        case optional(@Sendable () -> GenerationSchema)
        /// Named by the type's full name, or as the caller named it.
        case object(name: String, description: String?, [Property])
        case anyOf(name: String, description: String?, [@Sendable () -> GenerationSchema])
        case reference(String)
        /// A schema with keywords added: to it, and to the elements if it is an array.
        case guided(@Sendable () -> GenerationSchema, [(key: String, value: JSONValue)], elements: [(key: String, value: JSONValue)])
    }

    let node: Node
    /// Schemas that references name.
    let dependencies: [(name: String, schema: GenerationSchema)]

    init(node: Node, dependencies: [(name: String, schema: GenerationSchema)] = []) {
        self.node = node
        self.dependencies = dependencies
    }

    /// A JSON Schema as it is; what of it is supported is found out when it is used.
    public init(json: JSONValue) { self.init(node: .plain(json)) }

    /// An object.
    ///
    /// - Parameter properties: In the order in which they are to be written.
    public init<Value: Generable>(type: Value.Type, description: String? = nil, properties: [Property]) {
        self.init(node: .object(name: String(reflecting: type), description: description, properties))
    }

    /// One of some strings.
    public init<Value: Generable>(type: Value.Type, description: String? = nil, anyOf choices: [String]) {
        var members: [JSONObject.Member] = [.init(key: "type", value: "string")]
        if let description { members.append(.init(key: "description", value: .string(description))) }
        members.append(.init(key: "enum", value: .array(choices.map { .string($0) })))
        self.init(node: .plain(.object(JSONObject(members))))
    }

    /// One of some types.
    public init<Value: Generable>(type: Value.Type, description: String? = nil, anyOf types: [any Generable.Type]) {
        self.init(
            node: .anyOf(
                name: String(reflecting: type), description: description, types.map { type in { @Sendable in type.generationSchema } }))
    }

    /// A property of an object.
    public struct Property: Sendable {
        let name: String
        let description: String?
        let isOptional: Bool
        let schema: GenerationSchema

        // An optional type is meant for the other one.
        @_disfavoredOverload
        public init<Value: Generable>(name: String, description: String? = nil, type: Value.Type, guides: [GenerationGuide<Value>] = []) {
            self.init(
                name: name, description: description, isOptional: false,
                schema: GenerationSchema(
                    node: .guided({ Value.generationSchema }, guides.flatMap(\.keywords), elements: guides.flatMap(\.elementKeywords))))
        }

        /// One that may be left out.
        public init<Value: Generable>(name: String, description: String? = nil, type: Value?.Type, guides: [GenerationGuide<Value>] = []) {
            self.init(
                name: name, description: description, isOptional: true,
                schema: GenerationSchema(
                    node: .guided({ Value.generationSchema }, guides.flatMap(\.keywords), elements: guides.flatMap(\.elementKeywords))))
        }

        init(name: String, description: String?, isOptional: Bool, schema: GenerationSchema) {
            self.name = name
            self.description = description
            self.isOptional = isOptional
            self.schema = schema
        }
    }

    /// The schema as JSON Schema, 2020-12. Types of objects stand under `$defs` and are referred to.
    public var json: JSONValue {
        var writer = SchemaWriter()
        let root = writer.write(self)
        if writer.definitions.isEmpty { return root }
        var members = root.object?.members ?? []
        members.append(.init(key: "$defs", value: .object(JSONObject(writer.definitions.map { .init(key: $0.name, value: $0.schema) }))))
        return .object(JSONObject(members))
    }
}

/// Writes a schema out, each named type once.
private struct SchemaWriter {
    private(set) var definitions: [(name: String, schema: JSONValue)] = []
    /// What the schema calls a type: its name without module and enclosing types, and a number where two have the same.
    private var shortNames: [String: String] = [:]

    private mutating func shortName(_ name: String) -> String {
        if let known = shortNames[name] { return known }
        let last = name.split(separator: ".").last.map { String($0) } ?? name
        var short = last
        var count = 1
        while shortNames.values.contains(short) {
            count += 1
            short = "\(last)\(count)"
        }
        shortNames[name] = short
        return short
    }

    mutating func write(_ schema: GenerationSchema) -> JSONValue {
        for (name, dependency) in schema.dependencies { define(name) { $0.writeInPlace(dependency) } }
        switch schema.node {
        case .object(let name, _, _), .anyOf(let name, _, _):
            define(name) { $0.writeInPlace(schema) }
            return reference(name)
        default: return writeInPlace(schema)
        }
    }

    private mutating func define(_ name: String, _ body: (inout SchemaWriter) -> JSONValue) {
        let name = shortName(name)
        if definitions.contains(where: { $0.name == name }) { return }
        // Its place is taken before its parts are written: they may refer to it.
        let index = definitions.count
        definitions.append((name, .null))
        let schema = body(&self)
        definitions[index].schema = schema
    }

    private mutating func reference(_ name: String) -> JSONValue {
        let escaped = shortName(name).unicodeScalars.map { $0 == "~" ? "~0" : $0 == "/" ? "~1" : String($0) }
        return ["$ref": .string("#/$defs/" + escaped.joined())]
    }

    private mutating func writeInPlace(_ schema: GenerationSchema) -> JSONValue {
        switch schema.node {
        case .plain(let json): return json
        case .reference(let name): return reference(name)
        case .optional(let wrapped): return ["anyOf": [write(wrapped()), ["type": "null"]]]
        case .array(let element, let keywords): return adding(keywords, to: ["type": "array", "items": write(element())])
        case .guided(let inner, let keywords, let elementKeywords):
            var json = write(inner())
            if !elementKeywords.isEmpty, let items = json["items"] { json = adding([("items", adding(elementKeywords, to: items))], to: json) }
            return adding(keywords, to: json)
        case .anyOf(_, let description, let choices):
            var members: [(key: String, value: JSONValue)] = []
            if let description { members.append(("description", .string(description))) }
            members.append(("anyOf", .array(choices.map { write($0()) })))
            return adding(members, to: [:])
        case .object(_, let description, let properties):
            var members: [(key: String, value: JSONValue)] = [("type", "object")]
            if let description { members.append(("description", .string(description))) }
            var written: [JSONObject.Member] = []
            for property in properties {
                var json = write(property.schema)
                if let description = property.description { json = adding([("description", .string(description))], to: json) }
                written.append(.init(key: property.name, value: json))
            }
            members.append(("properties", .object(JSONObject(written))))
            members.append(("required", .array(properties.filter { !$0.isOptional }.map { .string($0.name) })))
            members.append(("additionalProperties", false))
            return adding(members, to: [:])
        }
    }

    private func adding(_ keywords: [(key: String, value: JSONValue)], to json: JSONValue) -> JSONValue {
        if keywords.isEmpty { return json }
        return .object(JSONObject((json.object?.members ?? []) + keywords.map { .init(key: $0.key, value: $0.value) }))
    }
}
