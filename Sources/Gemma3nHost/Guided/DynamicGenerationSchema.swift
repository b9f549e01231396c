internal import Checkpoint

/// A schema put together at run time, by name.
///
///     let person = DynamicGenerationSchema(name: "Person", properties: [
///         .init(name: "name", schema: DynamicGenerationSchema(type: String.self)),
///         .init(name: "friends", schema: DynamicGenerationSchema(arrayOf: .init(referenceTo: "Person"), maximumElements: 3)),
///     ])
///     let schema = try GenerationSchema(root: person, dependencies: [])
public struct DynamicGenerationSchema: Sendable {
    /// Nil for arrays, references and types.
    let name: String?
    let schema: GenerationSchema
    /// Names that must be defined.
    let references: Set<String>

    private init(_ name: String?, _ schema: GenerationSchema, _ references: Set<String>) {
        self.name = name
        self.schema = schema
        self.references = references
    }

    public struct Property: Sendable {
        let property: GenerationSchema.Property
        let references: Set<String>

        public init(name: String, description: String? = nil, schema: DynamicGenerationSchema, isOptional: Bool = false) {
            property = GenerationSchema.Property(name: name, description: description, isOptional: isOptional, schema: schema.schema)
            references = schema.references
        }
    }

    /// An object with properties, written in this order.
    public init(name: String, description: String? = nil, properties: [Property]) {
        self.init(
            name, GenerationSchema(node: .object(name: name, description: description, properties.map(\.property))),
            properties.reduce(into: []) { $0.formUnion($1.references) })
    }

    /// One of some schemas.
    public init(name: String, description: String? = nil, anyOf choices: [DynamicGenerationSchema]) {
        self.init(
            name, GenerationSchema(node: .anyOf(name: name, description: description, choices.map { choice in { @Sendable in choice.schema } })),
            choices.reduce(into: []) { $0.formUnion($1.references) })
    }

    /// One of some strings.
    public init(name: String, description: String? = nil, anyOf choices: [String]) {
        self.init(name, GenerationSchema(type: String.self, description: description, anyOf: choices), [])
    }

    /// An array.
    public init(arrayOf element: DynamicGenerationSchema, minimumElements: Int? = nil, maximumElements: Int? = nil) {
        var keywords: [(key: String, value: JSONValue)] = []
        if let minimumElements { keywords.append(("minItems", .number(JSONNumber(minimumElements)))) }
        if let maximumElements { keywords.append(("maxItems", .number(JSONNumber(maximumElements)))) }
        let inner = element.schema
        self.init(nil, GenerationSchema(node: .array(of: { inner }, keywords)), element.references)
    }

    /// A Swift type.
    public init<Value: Generable>(type: Value.Type, guides: [GenerationGuide<Value>] = []) {
        self.init(
            nil,
            GenerationSchema(node: .guided({ Value.generationSchema }, guides.flatMap(\.keywords), elements: guides.flatMap(\.elementKeywords))), [])
    }

    /// A schema that stands elsewhere: the root, or one of the dependencies.
    public init(referenceTo name: String) { self.init(nil, GenerationSchema(node: .reference(name)), [name]) }
}

extension GenerationSchema {
    /// - Parameter dependencies: Named schemas that others refer to.
    /// - Throws: `unsupportedGuide` for a name that is defined twice, or referred to and not defined.
    public init(root: DynamicGenerationSchema, dependencies: [DynamicGenerationSchema]) throws(SessionError) {
        var defined: Set<String> = []
        for schema in [root] + dependencies {
            guard let name = schema.name else { continue }
            if !defined.insert(name).inserted { throw SessionError(.unsupportedGuide, "The schema '\(name)' is defined twice. Give each a name of its own.") }
        }
        for schema in [root] + dependencies {
            if let missing = schema.references.subtracting(defined).sorted().first {
                throw SessionError(.unsupportedGuide, "A schema refers to '\(missing)', which is not defined. Add it to the dependencies.")
            }
        }
        self.init(node: root.schema.node, dependencies: dependencies.compactMap { schema in schema.name.map { ($0, schema.schema) } })
    }
}
