internal import Checkpoint

/// An object of a line and where it stands in it: names what has the wrong type. `null` counts as missing.
struct BatchFields {
    let object: JSONObject
    /// `body`; empty for the line itself.
    var place = ""

    subscript(_ key: String) -> JSONValue? {
        guard let value = object[key], !value.isNull else { return nil }
        return value
    }

    func name(_ key: String) -> String { place.isEmpty ? key : "\(place).\(key)" }

    func failure(_ key: String, _ message: String) -> BatchFailure { BatchFailure(.invalidRequest, "\(name(key)) \(message)") }

    private func read<T>(_ key: String, _ expected: String, _ value: (JSONValue) -> T?) throws(BatchFailure) -> T? {
        guard let json = self[key] else { return nil }
        guard let value = value(json) else { throw failure(key, "is \(json.kind), expected \(expected).") }
        return value
    }

    func string(_ key: String) throws(BatchFailure) -> String? { try read(key, "a string") { $0.string } }

    func object(_ key: String) throws(BatchFailure) -> BatchFields? {
        try read(key, "an object") { $0.object.map { BatchFields(object: $0, place: name(key)) } }
    }

    func int(_ key: String, _ range: ClosedRange<Int>) throws(BatchFailure) -> Int? {
        guard let int = try read(key, "a whole number", { $0.int }) else { return nil }
        guard range.contains(int) else {
            throw failure(key, "is \(int), expected \(range.upperBound == .max ? "\(range.lowerBound) or more" : "\(range.lowerBound) to \(range.upperBound)").")
        }
        return int
    }

    func number(_ key: String, _ range: ClosedRange<Double>) throws(BatchFailure) -> Double? {
        guard let number = try read(key, "a number", { $0.double }) else { return nil }
        guard range.contains(number) else { throw failure(key, "is \(number), expected \(range.lowerBound) to \(range.upperBound).") }
        return number
    }

    /// A string, or an array of them.
    func strings(_ key: String) throws(BatchFailure) -> [String]? {
        try read(key, "a string or an array of strings") { json in
            if let text = json.string { return [text] }
            guard let array = json.array else { return nil }
            let texts = array.compactMap(\.string)
            return texts.count == array.count ? texts : nil
        }
    }
}
