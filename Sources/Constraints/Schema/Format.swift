/// What `format` asks of texts, and of numbers.
struct Format {
    var strings: StringSet?
    var numbers: NumberSet?

    /// Names of all formats that are kept to.
    static let known = [
        "date", "time", "date-time", "duration", "uuid", "email", "hostname", "ipv4", "ipv6", "uri", "uri-reference", "json-pointer",
        "relative-json-pointer", "byte", "int32", "int64", "float", "double", "binary", "password",
    ]

    /// Nil for a format that is not known.
    init?(_ name: String, _ limits: ConstraintLimits) throws(ConstraintError) {
        switch name {
        case "int32": numbers = try Self.range(Decimal("-2147483648"), Decimal("2147483647"), limits)
        case "int64": numbers = try Self.range(Decimal("-9223372036854775808"), Decimal("9223372036854775807"), limits)
        case "float", "double", "binary", "password": break
        default:
            guard let expression = Self.expression(name) else { return nil }
            var automaton = try ExpressionParser.parse("^(?:" + expression + ")$").automaton(anywhere: true, limits: limits)
            if name == "date" || name == "date-time" {
                // There is no year 0 in most calendars of computers.
                let zero = try ExpressionParser.parse("^0000").automaton(anywhere: true, limits: limits)
                automaton = try automaton.combined(.minus, zero, limit: limits.automatonStates)
            }
            if name == "hostname" || name == "email" {
                // Labels with hyphens at the third and fourth place are punycode, which has rules of its own.
                let reserved = try ExpressionParser.parse("(^|[.@])[a-zA-Z0-9]{2}--").automaton(anywhere: true, limits: limits)
                automaton = try automaton.combined(.minus, reserved, limit: limits.automatonStates)
            }
            strings = StringSet(automaton: automaton)
        }
    }

    private static func range(_ low: Decimal, _ high: Decimal, _ limits: ConstraintLimits) throws(ConstraintError) -> NumberSet {
        let atLeast = try NumberSet.compared(low, [0, 1], limits)
        // Numbers with a fraction are no integers, so they are not asked to fit.
        return try atLeast.intersection(try NumberSet.compared(high, [-1, 0], limits), limits)
            .union(try NumberSet.integers.complement(limits), limits)
    }

    private static func expression(_ name: String) -> String? {
        switch name {
        case "date": date
        case "time": time
        case "date-time": date + "[Tt]" + time
        case "duration": duration
        case "uuid": "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
        case "email": atom + #"(?:\."# + atom + ")*@(?:" + hostname + #"|\[(?:"# + ipv4 + "|IPv6:" + ipv6 + #")\])"#
        case "hostname": hostname
        case "ipv4": ipv4
        case "ipv6": ipv6
        case "uri": uri
        case "uri-reference": uri + "|" + relative
        case "json-pointer": pointer
        case "relative-json-pointer": "(?:0|[1-9][0-9]{0,9})(?:#|" + pointer + ")"
        case "byte": "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
        default: nil
        }
    }

    // RFC 3339, section 5.6: with the days each month has.
    private static let date =
        "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
        + "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
    /// Leap seconds only where they can be: before midnight in Greenwich, written in its time.
    private static let time =
        #"(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,15})?(?:[Zz]|[+\-](?:[01][0-9]|2[0-3]):[0-5][0-9])"#
        + #"|23:59:60(?:\.[0-9]{1,15})?(?:[Zz]|[+\-]00:00))"#
    // RFC 3339, appendix A.
    private static let clock = "T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)"
    private static let duration =
        "P(?:[0-9]+W|(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)(?:" + clock + ")?|" + clock + ")"
    // RFC 5321 without quoted local parts.
    private static let atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\-]+"
    /// RFC 1123 with labels up to 30 characters, so that eight of them are within the 253 of a whole name.
    private static let hostname = "(?:" + label + #"(?:\."# + label + "){0,7})"
    private static let label = #"[A-Za-z0-9](?:[A-Za-z0-9\-]{0,28}[A-Za-z0-9])?"#
    private static let byte = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
    private static let ipv4 = "(?:" + byte + #"\."# + byte + #"\."# + byte + #"\."# + byte + ")"
    // RFC 4291.
    private static let group = "[0-9a-fA-F]{1,4}"
    private static let last = "(?:" + group + ":" + group + "|" + ipv4 + ")"
    private static let ipv6: String = {
        var forms = ["(?:\(group):){6}\(last)", "::(?:\(group):){5}\(last)"]
        for n in 0...4 {
            let before = n == 0 ? "(?:\(group))?" : "(?:(?:\(group):){0,\(n)}\(group))?"
            let count = 4 - n
            forms.append("\(before)::" + (count > 0 ? "(?:\(group):){\(count)}" : "") + last)
        }
        forms.append("(?:(?:\(group):){0,5}\(group))?::\(group)")
        forms.append("(?:(?:\(group):){0,6}\(group))?::")
        return "(?:" + forms.joined(separator: "|") + ")"
    }()
    // RFC 3986.
    private static let unreserved = #"A-Za-z0-9._~!$&'()*+,;=\-"#
    private static let escape = "%[0-9A-Fa-f]{2}"
    private static let segmentCharacter = "(?:[" + unreserved + ":@]|" + escape + ")"
    private static let authority =
        "(?:(?:[" + unreserved + ":]|" + escape + #")*@)?(?:\[(?:"# + ipv6 + #")\]|(?:["# + unreserved + "]|" + escape + ")*)(?::[0-9]*)?"
    private static let tail = #"(?:\?(?:[/?]|"# + segmentCharacter + ")*)?(?:#(?:[/?]|" + segmentCharacter + ")*)?"
    private static let segments = "(?:/" + segmentCharacter + "*)*"
    private static let rooted = "/(?:" + segmentCharacter + "+" + segments + ")?"
    private static let uri =
        "(?:[A-Za-z][A-Za-z0-9+.\\-]*:(?://" + authority + segments + "|" + rooted + "|" + segmentCharacter + "+" + segments + "|)" + tail + ")"
    private static let relative =
        "(?:(?://" + authority + segments + "|" + rooted + "|(?:[" + unreserved + "@]|" + escape + ")+" + segments + "|)" + tail + ")"
    // RFC 6901.
    private static let pointer = "(?:/(?:[^~/]|~[01])*)*"
}
