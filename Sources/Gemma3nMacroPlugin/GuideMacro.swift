import SwiftSyntax
import SwiftSyntaxMacros

/// `@Guide`: read by `@Generable`; writes nothing itself.
struct GuideMacro: PeerMacro {
    static func expansion(
        of node: AttributeSyntax, providingPeersOf declaration: some DeclSyntaxProtocol, in context: some MacroExpansionContext
    ) throws -> [DeclSyntax] { [] }
}
