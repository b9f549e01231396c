internal import Checkpoint

/// A limit on the values of a property, beyond its type.
public struct GenerationGuide<Value>: Sendable {
    /// Keywords of JSON Schema for the value itself, and for the elements of an array.
    let keywords: [(key: String, value: JSONValue)]
    let elementKeywords: [(key: String, value: JSONValue)]

    init(_ keywords: [(key: String, value: JSONValue)], elements: [(key: String, value: JSONValue)] = []) {
        self.keywords = keywords
        elementKeywords = elements
    }
}

extension GenerationGuide where Value == String {
    public static func constant(_ value: String) -> GenerationGuide { GenerationGuide([("const", .string(value))]) }
    public static func anyOf(_ values: [String]) -> GenerationGuide { GenerationGuide([("enum", .array(values.map { .string($0) }))]) }
    /// A regular expression of ECMA-262 that the whole string matches.
    public static func pattern(_ pattern: String) -> GenerationGuide { GenerationGuide([("pattern", .string("^(?:\(pattern))$"))]) }
    /// Length in characters as Unicode counts code points.
    public static func length(_ range: ClosedRange<Int>) -> GenerationGuide {
        GenerationGuide([("minLength", number(range.lowerBound)), ("maxLength", number(range.upperBound))])
    }
}

extension GenerationGuide where Value == Int {
    public static func minimum(_ value: Int) -> GenerationGuide { GenerationGuide([("minimum", number(value))]) }
    public static func maximum(_ value: Int) -> GenerationGuide { GenerationGuide([("maximum", number(value))]) }
    public static func range(_ range: ClosedRange<Int>) -> GenerationGuide {
        GenerationGuide([("minimum", number(range.lowerBound)), ("maximum", number(range.upperBound))])
    }
}

extension GenerationGuide where Value == Double {
    public static func minimum(_ value: Double) -> GenerationGuide { GenerationGuide([("minimum", .number(JSONNumber(value)))]) }
    public static func maximum(_ value: Double) -> GenerationGuide { GenerationGuide([("maximum", .number(JSONNumber(value)))]) }
    public static func range(_ range: ClosedRange<Double>) -> GenerationGuide {
        GenerationGuide([("minimum", .number(JSONNumber(range.lowerBound))), ("maximum", .number(JSONNumber(range.upperBound)))])
    }
}

extension GenerationGuide where Value == Float {
    public static func minimum(_ value: Float) -> GenerationGuide { GenerationGuide([("minimum", .number(JSONNumber(Double(value))))]) }
    public static func maximum(_ value: Float) -> GenerationGuide { GenerationGuide([("maximum", .number(JSONNumber(Double(value))))]) }
    public static func range(_ range: ClosedRange<Float>) -> GenerationGuide {
        GenerationGuide([("minimum", .number(JSONNumber(Double(range.lowerBound)))), ("maximum", .number(JSONNumber(Double(range.upperBound))))])
    }
}

extension GenerationGuide {
    public static func minimumCount<Element>(_ count: Int) -> GenerationGuide where Value == [Element] { GenerationGuide([("minItems", number(count))]) }
    public static func maximumCount<Element>(_ count: Int) -> GenerationGuide where Value == [Element] { GenerationGuide([("maxItems", number(count))]) }
    public static func count<Element>(_ count: Int) -> GenerationGuide where Value == [Element] { .count(count...count) }
    public static func count<Element>(_ range: ClosedRange<Int>) -> GenerationGuide where Value == [Element] {
        GenerationGuide([("minItems", number(range.lowerBound)), ("maxItems", number(range.upperBound))])
    }
    /// A guide for every element of an array.
    public static func element<Element>(_ guide: GenerationGuide<Element>) -> GenerationGuide where Value == [Element] {
        GenerationGuide([], elements: guide.keywords)
    }
}

/// In the attribute `@Guide` the elements' type is not known yet: only `@Generable` reads these, as the ones above.
extension GenerationGuide where Value == [Never] {
    public static func minimumCount(_ count: Int) -> GenerationGuide { GenerationGuide([("minItems", number(count))]) }
    public static func maximumCount(_ count: Int) -> GenerationGuide { GenerationGuide([("maxItems", number(count))]) }
    public static func count(_ count: Int) -> GenerationGuide { .count(count...count) }
    public static func count(_ range: ClosedRange<Int>) -> GenerationGuide {
        GenerationGuide([("minItems", number(range.lowerBound)), ("maxItems", number(range.upperBound))])
    }
}

private func number(_ value: Int) -> JSONValue { .number(JSONNumber(value)) }
