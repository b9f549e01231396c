internal import Checkpoint

/// A type whose values a model can be made to write.
///
/// The macro `@Generable` (module `Gemma3nMacros`) writes the conformance; by hand it is
///
///     struct Person: Generable {
///         var name: String
///         var age: Int
///         static var generationSchema: GenerationSchema {
///             GenerationSchema(type: Person.self, properties: [
///                 .init(name: "name", type: String.self),
///                 .init(name: "age", type: Int.self, guides: [.range(0...150)]),
///             ])
///         }
///         init(_ content: GeneratedContent) throws {
///             name = try content.value(forProperty: "name")
///             age = try content.value(forProperty: "age")
///         }
///         var generatedContent: GeneratedContent { GeneratedContent(properties: ["name": name, "age": age]) }
///     }
public protocol Generable: ConvertibleFromGeneratedContent, ConvertibleToGeneratedContent {
    /// What is there of a value while it is being written: every part optional. By default the type itself, which then appears once
    /// it is whole.
    associatedtype PartiallyGenerated: ConvertibleFromGeneratedContent = Self

    static var generationSchema: GenerationSchema { get }
}

extension Bool: Generable {
    public static var generationSchema: GenerationSchema { GenerationSchema(node: .plain(["type": "boolean"])) }

    public init(_ content: GeneratedContent) throws {
        guard let value = content.json.bool else { throw content.mismatch("true or false") }
        self = value
    }

    public var generatedContent: GeneratedContent { GeneratedContent(.bool(self)) }
}

extension String: Generable {
    public static var generationSchema: GenerationSchema { GenerationSchema(node: .plain(["type": "string"])) }

    public init(_ content: GeneratedContent) throws {
        guard let value = content.json.string else { throw content.mismatch("a string") }
        self = value
    }

    public var generatedContent: GeneratedContent { GeneratedContent(.string(self)) }
}

extension Int: Generable {
    public static var generationSchema: GenerationSchema { GenerationSchema(node: .plain(["type": "integer"])) }

    public init(_ content: GeneratedContent) throws {
        guard let value = content.json.int else { throw content.mismatch("a whole number that fits 64 bits") }
        self = value
    }

    public var generatedContent: GeneratedContent { GeneratedContent(.number(JSONNumber(self))) }
}

extension Double: Generable {
    public static var generationSchema: GenerationSchema { GenerationSchema(node: .plain(["type": "number"])) }

    public init(_ content: GeneratedContent) throws {
        guard let value = content.json.double else { throw content.mismatch("a number") }
        self = value
    }

    /// JSON has no infinities: they become null.
    public var generatedContent: GeneratedContent { GeneratedContent(isFinite ? .number(JSONNumber(self)) : .null) }
}

extension Float: Generable {
    public static var generationSchema: GenerationSchema { Double.generationSchema }
    public init(_ content: GeneratedContent) throws { self.init(try Double(content)) }
    public var generatedContent: GeneratedContent { Double(self).generatedContent }
}

extension GeneratedContent: Generable {
    /// Any JSON value.
    public static var generationSchema: GenerationSchema { GenerationSchema(node: .plain([:])) }
}

extension Array: ConvertibleFromGeneratedContent where Element: ConvertibleFromGeneratedContent {
    public init(_ content: GeneratedContent) throws {
        guard let elements = content.json.array else { throw content.mismatch("an array") }
        self = []
        reserveCapacity(elements.count)
        for (index, element) in elements.enumerated() {
            let part = content.part(element, isLast: index == elements.count - 1)
            // An element that is being written counts once it makes a value.
            if part.isComplete { append(try Element(part)) } else if let value = try? Element(part) { append(value) }
        }
    }
}

extension Array: ConvertibleToGeneratedContent where Element: ConvertibleToGeneratedContent {
    public var generatedContent: GeneratedContent { GeneratedContent(.array(map { $0.generatedContent.json })) }
}

extension Array: Generable where Element: Generable {
    public typealias PartiallyGenerated = [Element.PartiallyGenerated]

    public static var generationSchema: GenerationSchema { GenerationSchema(node: .array(of: { Element.generationSchema }, [])) }
}

extension Optional: ConvertibleFromGeneratedContent where Wrapped: ConvertibleFromGeneratedContent {
    public init(_ content: GeneratedContent) throws { self = content.json.isNull ? nil : try Wrapped(content) }
}

extension Optional: ConvertibleToGeneratedContent where Wrapped: ConvertibleToGeneratedContent {
    public var generatedContent: GeneratedContent { self?.generatedContent ?? GeneratedContent(.null) }
}

extension Optional: Generable where Wrapped: Generable {
    public typealias PartiallyGenerated = Wrapped.PartiallyGenerated?

    /// As a property it may be missing; elsewhere null stands for nil.
    public static var generationSchema: GenerationSchema { GenerationSchema(node: .optional { Wrapped.generationSchema }) }
}
