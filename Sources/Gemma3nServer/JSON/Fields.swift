package import Checkpoint

/// An object of a request and where it stands in it: reads what it knows, ignores what it does not, and names what has the wrong type.
///
/// `null` counts as missing.
package struct Fields: Sendable {
    package let object: JSONObject
    /// `messages[2]`; empty for the request itself.
    package let place: String

    package init(_ object: JSONObject, at place: String = "") {
        self.object = object
        self.place = place
    }

    package func name(_ key: String) -> String { place.isEmpty ? key : "\(place).\(key)" }

    package subscript(_ key: String) -> JSONValue? {
        guard let value = object[key], !value.isNull else { return nil }
        return value
    }

    private func wrong(_ key: String, _ expected: String, _ found: JSONValue?) -> Refusal {
        Refusal(400, "\(name(key)) must be \(expected), \(found.map { "found \($0.kind)" } ?? "but is missing").", field: name(key), code: "invalid_type")
    }

    /// A refusal about the value of a field.
    package func refusal(_ key: String, _ message: String, code: String = "invalid_value") -> Refusal {
        Refusal(400, "\(name(key)) \(message)", field: name(key), code: code)
    }

    package func string(_ key: String) throws(Refusal) -> String? {
        guard let value = self[key] else { return nil }
        guard let text = value.string else { throw wrong(key, "a string", value) }
        return text
    }

    package func required(_ key: String) throws(Refusal) -> String {
        guard let text = try string(key) else { throw wrong(key, "a string", nil) }
        return text
    }

    package func bool(_ key: String) throws(Refusal) -> Bool? {
        guard let value = self[key] else { return nil }
        guard let bool = value.bool else { throw wrong(key, "true or false", value) }
        return bool
    }

    package func int(_ key: String, _ range: ClosedRange<Int> = Int.min...Int.max) throws(Refusal) -> Int? {
        guard let value = self[key] else { return nil }
        guard let int = value.int else { throw wrong(key, "a whole number", value) }
        guard range.contains(int) else { throw refusal(key, "is \(int), expected \(Self.shown(range)).") }
        return int
    }

    package func number(_ key: String, _ range: ClosedRange<Double> = -1e30...1e30) throws(Refusal) -> Double? {
        guard let value = self[key] else { return nil }
        guard let number = value.double else { throw wrong(key, "a number", value) }
        guard range.contains(number) else { throw refusal(key, "is \(value.serialized()), expected \(JSONValue.number(JSONNumber(range.lowerBound)).serialized()) to \(JSONValue.number(JSONNumber(range.upperBound)).serialized()).") }
        return number
    }

    package func object(_ key: String) throws(Refusal) -> Fields? {
        guard let value = self[key] else { return nil }
        guard let object = value.object else { throw wrong(key, "an object", value) }
        return Fields(object, at: name(key))
    }

    package func array(_ key: String) throws(Refusal) -> [JSONValue]? {
        guard let value = self[key] else { return nil }
        guard let array = value.array else { throw wrong(key, "an array", value) }
        return array
    }

    package func objects(_ key: String) throws(Refusal) -> [Fields]? {
        guard let array = try array(key) else { return nil }
        var all: [Fields] = []
        for (index, value) in array.enumerated() {
            guard let object = value.object else { throw wrong("\(key)[\(index)]", "an object", value) }
            all.append(Fields(object, at: name("\(key)[\(index)]")))
        }
        return all
    }

    /// A string, or an array of at most so many.
    package func strings(_ key: String, atMost limit: Int) throws(Refusal) -> [String]? {
        guard let value = self[key] else { return nil }
        if let text = value.string { return [text] }
        guard let array = value.array else { throw wrong(key, "a string or an array of strings", value) }
        guard array.count <= limit else { throw refusal(key, "holds \(array.count) strings, expected at most \(limit).") }
        var all: [String] = []
        for (index, value) in array.enumerated() {
            guard let text = value.string else { throw wrong("\(key)[\(index)]", "a string", value) }
            all.append(text)
        }
        return all
    }

    /// What a field holds.
    package enum Kind: String {
        case bool = "true or false"
        case number = "a number"
        case int = "a whole number"
        case string = "a string"
        case array = "an array"
        case object = "an object"
    }

    /// Refuses fields that are known but not used where they have the wrong type.
    package func check(_ kind: Kind, _ keys: String...) throws(Refusal) {
        for key in keys {
            guard let value = self[key] else { continue }
            let isRight =
                switch kind {
                case .bool: value.bool != nil
                case .number: value.double != nil
                case .int: value.int != nil
                case .string: value.string != nil
                case .array: value.array != nil
                case .object: value.object != nil
                }
            if !isRight { throw wrong(key, kind.rawValue, value) }
        }
    }

    private static func shown(_ range: ClosedRange<Int>) -> String {
        if range.upperBound == Int.max { return "\(range.lowerBound) or more" }
        return "\(range.lowerBound) to \(range.upperBound)"
    }
}
