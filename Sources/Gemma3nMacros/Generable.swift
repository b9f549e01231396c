public import Gemma3nHost

/// Makes a struct or an enum something a model can write.
///
///     @Generable(description: "a dish")
///     struct Dish {
///         @Guide(description: "as on the menu")
///         var name: String
///         @Guide(.range(1...5))
///         var spiciness: Int
///         var vegetarian: Bool?
///     }
///     let dish = try await session.respond(to: "Invent a dish.", generating: Dish.self).content
///
/// Properties are written in the order of the source; optional ones may be left out. Every stored property needs a written type that is
/// `Generable`. An enum's cases have no associated values; they are written as their raw strings or names. What is there of a value while
/// it is being written is `PartiallyGenerated`: the same properties, all optional.
@attached(
    extension, conformances: Generable,
    names: named(init(_:)), named(generatedContent), named(generationSchema), named(PartiallyGenerated))
public macro Generable(description: String? = nil) = #externalMacro(module: "Gemma3nMacroPlugin", type: "GenerableMacro")

/// Tells the model what a property is for, or limits its values.
@attached(peer)
public macro Guide(description: String) = #externalMacro(module: "Gemma3nMacroPlugin", type: "GuideMacro")

/// Limits a property's values, and tells the model what it is for.
@attached(peer)
public macro Guide<Value>(description: String? = nil, _ guides: GenerationGuide<Value>...) =
    #externalMacro(module: "Gemma3nMacroPlugin", type: "GuideMacro")
