public import Tensors

/// A JSON document as a tree.
///
///     let json = try JSONValue.parse(bytes, file: "config.json")
///     let size = json["text_config"]?["hidden_size"]?.int
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(JSONNumber)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    /// Parses a whole document (RFC 8259, UTF-8).
    ///
    /// - Parameter file: The name that errors carry.
    /// - Throws: `malformedJSON` with line, column and byte offset: for anything the grammar does not allow, invalid UTF-8,
    ///   unpaired surrogates, numbers beyond the range of `Double`, nesting beyond 128 levels.
    public static func parse(_ bytes: UnsafeRawBufferPointer, file: String) throws(CheckpointError) -> JSONValue {
        var scanner = JSONScanner(bytes, file: file)
        let value = try scanner.value()
        try scanner.expectEnd()
        return value
    }

    public static func parse(_ region: ByteRegion, file: String) throws(CheckpointError) -> JSONValue {
        try parse(region.bytes, file: file)
    }

    public static func parse(_ bytes: [UInt8], file: String) throws(CheckpointError) -> JSONValue {
        try parse(ByteRegion(copying: bytes), file: file)
    }

    public static func parse(_ text: String, file: String) throws(CheckpointError) -> JSONValue {
        try parse([UInt8](text.utf8), file: file)
    }

    // MARK: Looking in

    /// The value of a key; nil if this is no object or has no such key.
    public subscript(_ key: String) -> JSONValue? {
        if case .object(let object) = self { object[key] } else { nil }
    }

    /// The element at an index; nil if this is no array or is shorter.
    public subscript(_ index: Int) -> JSONValue? {
        if case .array(let elements) = self, index >= 0, index < elements.count { elements[index] } else { nil }
    }

    public var isNull: Bool { if case .null = self { true } else { false } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    /// The number, if it is a whole one that fits an `Int` (`2`, `2.0` and `2e0` alike).
    public var int: Int? { if case .number(let number) = self { number.int } else { nil } }
    public var double: Double? { if case .number(let number) = self { number.double } else { nil } }
    public var string: String? { if case .string(let text) = self { text } else { nil } }
    public var array: [JSONValue]? { if case .array(let elements) = self { elements } else { nil } }
    public var object: JSONObject? { if case .object(let object) = self { object } else { nil } }

    /// What kind of value this is, for error sentences: "null", "a number", …
    public var kind: String {
        switch self {
        case .null: "null"
        case .bool: "true or false"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

/// A number: always a `Double`, and the exact `Int` where it is one.
public struct JSONNumber: Sendable, Equatable {
    public let double: Double
    public let int: Int?
    /// Whether it was written with a decimal point or an exponent.
    let isFraction: Bool

    public init(_ value: Int) {
        double = Double(value)
        int = value
        isFraction = false
    }

    public init(_ value: Double) { self.init(value, isFraction: false) }

    /// One that counts as written with a decimal point.
    package init(fraction value: Double) { self.init(value, isFraction: true) }

    private init(_ value: Double, isFraction: Bool) {
        double = value
        // From 2^53 on, a literal with a fraction or exponent may have been rounded.
        int = value.magnitude <= 0x1p53 && value == value.rounded(.towardZero) ? Int(value) : nil
        self.isFraction = isFraction
    }

    /// However they were written.
    public static func == (a: JSONNumber, b: JSONNumber) -> Bool { a.double == b.double && a.int == b.int }
}

/// Members in their written order. Of members with one key, the last value counts, in the place of the first.
public struct JSONObject: Sendable, Equatable {
    public struct Member: Sendable, Equatable {
        public let key: String
        public let value: JSONValue

        public init(key: String, value: JSONValue) {
            self.key = key
            self.value = value
        }

        public static func == (a: Member, b: Member) -> Bool { Key(text: a.key) == Key(text: b.key) && a.value == b.value }
    }

    /// A string compared by its bytes: `String` itself takes canonically equal texts for one key.
    struct Key: Hashable, Sendable {
        let text: String
        static func == (a: Key, b: Key) -> Bool {
            a.text.utf8.count == b.text.utf8.count && a.text.utf8.elementsEqual(b.text.utf8)
        }
        func hash(into hasher: inout Hasher) {
            if text.utf8.withContiguousStorageIfAvailable({ hasher.combine(bytes: UnsafeRawBufferPointer($0)) }) == nil {
                for byte in text.utf8 { hasher.combine(byte) }
            }
        }
    }

    public private(set) var members: [Member]
    /// Where each key is; only kept for more members than a search in order is good for.
    private let places: [Key: Int]?

    public init(_ written: [Member]) {
        var places: [Key: Int] = [:]
        var members: [Member] = []
        members.reserveCapacity(written.count)
        for member in written {
            let key = Key(text: member.key)
            if let place = places[key] {
                members[place] = member
            } else {
                places[key] = members.count
                members.append(member)
            }
        }
        self.members = members
        self.places = members.count > 8 ? places : nil
    }

    public static func == (a: JSONObject, b: JSONObject) -> Bool { a.members == b.members }

    public var keys: [String] { members.map { $0.key } }
    public var count: Int { members.count }

    public subscript(_ key: String) -> JSONValue? {
        let wanted = Key(text: key)
        if let places { return places[wanted].map { members[$0].value } }
        return members.first { Key(text: $0.key) == wanted }?.value
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int) { self = .number(JSONNumber(value)) }
    public init(floatLiteral value: Double) { self = .number(JSONNumber(value)) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(JSONObject(elements.map { JSONObject.Member(key: $0.0, value: $0.1) }))
    }
    public init(nilLiteral: ()) { self = .null }
}
