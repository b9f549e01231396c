/// What stands behind the question mark of a path: `limit=20&order=asc`.
package struct Query: Sendable {
    private let members: [(key: String, value: String)]

    package init(_ text: String = "") {
        members = text.split(separator: "&").map { member in
            let parts = member.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (Self.decoded(parts[0]), parts.count > 1 ? Self.decoded(parts[1]) : "")
        }
    }

    private static func decoded(_ text: Substring) -> String { percentDecoded(String(text.map { $0 == "+" ? " " : $0 })) }

    /// The last value counts; an empty one is missing.
    package subscript(key: String) -> String? {
        guard let value = members.last(where: { $0.key == key })?.value, !value.isEmpty else { return nil }
        return value
    }

    /// - Throws: 400 naming the parameter.
    package func int(_ key: String, _ range: ClosedRange<Int>) throws(Refusal) -> Int? {
        guard let text = self[key] else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw wrong(key, text, range.upperBound == Int.max ? "a whole number, \(range.lowerBound) or more" : "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// - Throws: 400 naming the parameter.
    package func bool(_ key: String) throws(Refusal) -> Bool? {
        guard let text = self[key] else { return nil }
        guard let value = Bool(text) else { throw wrong(key, text, "true or false") }
        return value
    }

    /// - Throws: 400 naming the parameter.
    package func word(_ key: String, of words: [String]) throws(Refusal) -> String? {
        guard let text = self[key] else { return nil }
        guard words.contains(text) else { throw wrong(key, text, words.map { "\"\($0)\"" }.joined(separator: " or ")) }
        return text
    }

    private func wrong(_ key: String, _ found: String, _ expected: String) -> Refusal {
        Refusal(400, "\(key) is \"\(found.prefix(40))\", expected \(expected).", field: key, code: "invalid_value")
    }
}
