import SwiftDiagnostics
import SwiftSyntax
import SwiftSyntaxBuilder
import SwiftSyntaxMacros

/// `@Generable`: an extension with the schema, the way from and to generated content, and the partial form.
struct GenerableMacro: ExtensionMacro {
    static func expansion(
        of node: AttributeSyntax, attachedTo declaration: some DeclGroupSyntax, providingExtensionsOf type: some TypeSyntaxProtocol,
        conformingTo protocols: [TypeSyntax], in context: some MacroExpansionContext
    ) throws -> [ExtensionDeclSyntax] {
        let access = declaration.modifiers.contains { $0.name.text == "public" || $0.name.text == "package" } ? "public " : ""
        let description = argument("description", of: node) ?? "nil"
        let body: String
        if let declaration = declaration.as(StructDeclSyntax.self) {
            body = members(ofStruct: try properties(of: declaration), description, access)
        } else if let declaration = declaration.as(EnumDeclSyntax.self) {
            body = members(ofEnum: try cases(of: declaration), description, access)
        } else {
            throw DiagnosticsError(node, "@Generable goes with a struct or an enum")
        }
        return [try ExtensionDeclSyntax("extension \(type.trimmed): Generable {\n\(raw: body)\n}")]
    }

    // MARK: Structs

    private struct Property {
        let name: String
        /// Without the question mark of an optional.
        let type: String
        let isOptional: Bool
        let description: String?
        let guides: [String]
    }

    private static func properties(of declaration: StructDeclSyntax) throws -> [Property] {
        var result: [Property] = []
        for member in declaration.memberBlock.members {
            guard let variable = member.decl.as(VariableDeclSyntax.self) else { continue }
            if variable.modifiers.contains(where: { ["static", "class", "lazy"].contains($0.name.text) }) { continue }
            let isConstant = variable.bindingSpecifier.text == "let"
            for binding in variable.bindings {
                if let accessors = binding.accessorBlock, !observes(accessors) { continue }
                if isConstant, binding.initializer != nil { continue }
                guard let identifier = binding.pattern.as(IdentifierPatternSyntax.self)?.identifier else {
                    throw DiagnosticsError(binding, "a property of a @Generable struct has a name of its own")
                }
                guard let type = binding.typeAnnotation?.type.trimmed else {
                    throw DiagnosticsError(binding, "write the type of '\(identifier.text)': @Generable sees the source only")
                }
                let guide = variable.attributes.lazy.compactMap { $0.as(AttributeSyntax.self) }.first { $0.attributeName.trimmedDescription == "Guide" }
                let wrapped = wrapped(type)
                result.append(
                    Property(
                        name: identifier.text, type: (wrapped ?? type).trimmedDescription, isOptional: wrapped != nil,
                        description: guide.flatMap { argument("description", of: $0) }, guides: guide.map(unlabeled) ?? []))
            }
        }
        return result
    }

    /// Whether a property's braces hold observers, not a getter: then it is stored.
    private static func observes(_ block: AccessorBlockSyntax) -> Bool {
        guard case .accessors(let list) = block.accessors else { return false }
        return list.allSatisfy { ["willSet", "didSet"].contains($0.accessorSpecifier.text) }
    }

    private static func wrapped(_ type: TypeSyntax) -> TypeSyntax? {
        if let optional = type.as(OptionalTypeSyntax.self) { return optional.wrappedType }
        if let named = type.as(IdentifierTypeSyntax.self), named.name.text == "Optional", case .type(let wrapped)? = named.genericArgumentClause?.arguments.first?.argument {
            return wrapped
        }
        return nil
    }

    private static func members(ofStruct properties: [Property], _ description: String, _ access: String) -> String {
        func key(_ property: Property) -> String { "\"\(property.name.filter { $0 != "`" })\"" }
        let schema = properties.map { property in
            let type = property.isOptional ? "Optional<\(property.type)>.self" : "(\(property.type)).self"
            let guides = property.guides.isEmpty ? "" : ", guides: [\(property.guides.joined(separator: ", "))]"
            return "            .init(name: \(key(property)), description: \(property.description ?? "nil"), type: \(type)\(guides)),"
        }
        let reading = properties.map { "        self.\($0.name) = try content.value(forProperty: \(key($0)))" }
        let writing = properties.map { "\(key($0)): self.\($0.name)" }
        let parts = properties.map { "        \(access)var \($0.name): (\($0.type)).PartiallyGenerated?" }
        let readingParts = properties.map { "            self.\($0.name) = try content.partialValue(forProperty: \(key($0)))" }
        return """
                \(access)static var generationSchema: GenerationSchema {
                    GenerationSchema(type: Self.self, description: \(description), properties: [
            \(schema.joined(separator: "\n"))
                    ])
                }

                \(access)init(_ content: GeneratedContent) throws {
                    try content.requireObject()
            \(reading.joined(separator: "\n"))
                }

                \(access)var generatedContent: GeneratedContent {
                    GeneratedContent(properties: [\(writing.isEmpty ? ":" : writing.joined(separator: ", "))])
                }

                \(access)struct PartiallyGenerated: ConvertibleFromGeneratedContent {
            \(parts.joined(separator: "\n"))
                    \(access)init(_ content: GeneratedContent) throws {
                        try content.requireObject()
            \(readingParts.joined(separator: "\n"))
                    }
                }
            """
    }

    // MARK: Enums

    private static func cases(of declaration: EnumDeclSyntax) throws -> [(name: String, text: String)] {
        var result: [(name: String, text: String)] = []
        for member in declaration.memberBlock.members {
            guard let list = member.decl.as(EnumCaseDeclSyntax.self) else { continue }
            for element in list.elements {
                if element.parameterClause != nil {
                    throw DiagnosticsError(element, "a case of a @Generable enum has no associated values; use a struct with optional properties")
                }
                let name = element.name.text
                let raw = element.rawValue?.value.as(StringLiteralExprSyntax.self)?.trimmedDescription
                result.append((name, raw ?? "\"\(name.filter { $0 != "`" })\""))
            }
        }
        if result.isEmpty { throw DiagnosticsError(declaration, "a @Generable enum has at least one case") }
        return result
    }

    private static func members(ofEnum cases: [(name: String, text: String)], _ description: String, _ access: String) -> String {
        """
            \(access)static var generationSchema: GenerationSchema {
                GenerationSchema(type: Self.self, description: \(description), anyOf: [\(cases.map(\.text).joined(separator: ", "))])
            }

            \(access)init(_ content: GeneratedContent) throws {
                switch try content.value(String.self) {
        \(cases.map { "        case \($0.text): self = .\($0.name)" }.joined(separator: "\n"))
                case let other: throw content.unknownChoice(other, of: [\(cases.map(\.text).joined(separator: ", "))])
                }
            }

            \(access)var generatedContent: GeneratedContent {
                switch self {
        \(cases.map { "        case .\($0.name): GeneratedContent(\($0.text))" }.joined(separator: "\n"))
                }
            }
        """
    }

    // MARK: Attributes

    /// The source of a labelled argument.
    private static func argument(_ label: String, of node: AttributeSyntax) -> String? {
        guard case .argumentList(let list)? = node.arguments else { return nil }
        return list.first { $0.label?.text == label }?.expression.trimmedDescription
    }

    private static func unlabeled(_ node: AttributeSyntax) -> [String] {
        guard case .argumentList(let list)? = node.arguments else { return [] }
        return list.filter { $0.label == nil }.map { $0.expression.trimmedDescription }
    }
}

extension DiagnosticsError {
    init(_ node: some SyntaxProtocol, _ sentence: String) {
        self.init(diagnostics: [Diagnostic(node: node, message: Complaint(message: sentence))])
    }
}

private struct Complaint: DiagnosticMessage {
    let message: String
    var diagnosticID: MessageID { MessageID(domain: "Gemma3nMacros", id: "generable") }
    var severity: DiagnosticSeverity { .error }
}
