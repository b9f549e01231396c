import Checkpoint
import Constraints
import TestSupport
import Testing

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// The JSON Schema test suite, restated by `Oracle/schema_suite.py`: properties in any order, undeclared ones too, numbers without
/// exponents, no white space.
@Suite struct SuiteTests {
    struct Row {
        var groups = 0
        var supported = 0
        var instances = 0
        var leftOut = 0
        var reasons: [String] = []
    }

    /// Valid instances that are never written, on purpose. Never the other way round.
    static let leftOut: [String: Int] = [
        "format": 13,  // `format` is kept to, though it need not be
        "vocabulary": 1,  // own vocabularies are not read
        "optional/bignum": 6, "optional/float-overflow": 1,  // numbers have up to 15 digits
        "optional/format/date-time": 1, "optional/format/time": 4,  // leap seconds only as 23:59:60Z
        "optional/format/email": 3,  // no quoted local parts
        "optional/format/hostname": 16,  // no punycode, labels up to 61 characters
    ]

    @Test func suite() throws {
        let json = try JSONValue.parse(try readBytes(Fixtures.path("constraints/suite.json")), file: "suite.json")
        var options = SchemaOptions()
        options.anyPropertyOrder = true
        options.undeclaredProperties = true
        var rows: [(String, Row)] = []
        for group in try #require(json["groups"]?.array) {
            let name = try #require(group["file"]?.string)
            if rows.last?.0 != name { rows.append((name, Row())) }
            var row = rows[rows.count - 1].1
            row.groups += 1
            let tests = try #require(group["tests"]?.array)
            let constraint: Constraint?
            do {
                constraint = try Constraint(jsonSchema: try #require(group["schema"]), options: options)
            } catch let error as ConstraintError {
                constraint = nil
                if error.code != .contradictory {
                    let reason = "\(error.code.rawValue.replacing("_", with: " "))"
                    if !row.reasons.contains(reason) { row.reasons.append(reason) }
                    rows[rows.count - 1].1 = row
                    continue
                }
            }
            row.supported += 1
            let machine = constraint.map { SmallVocabulary.machine($0) }
            for test in tests {
                let text = try plainText(try #require(test[1]))
                var isAccepted = false
                if let machine {
                    var matcher = ConstraintMatcher(machine)
                    isAccepted = matcher.advance(text.utf8) && matcher.isAccepting
                }
                let isValid = try #require((test[0]?.bool) as Bool?)
                row.instances += 1
                if isValid, !isAccepted { row.leftOut += 1 }
                #expect(isValid || !isAccepted, "\(name), \(group["description"]?.string ?? ""): accepts \(text)")
            }
            rows[rows.count - 1].1 = row
        }
        for (name, row) in rows { #expect(row.leftOut == (Self.leftOut[name] ?? 0), "\(name): valid instances left out") }
        try compareTable(rows)
    }

    /// `docs/constraints.md` shows this run. `GEMMA3N_WRITE_TABLE=1 swift test --filter SuiteTests` writes it there.
    private func compareTable(_ rows: [(String, Row)]) throws {
        var table = "| file of the suite | schemas compiled | instances | valid ones left out | errors of the others |\n| --- | ---: | ---: | ---: | --- |\n"
        var total = Row()
        for (name, row) in rows {
            table += "| \(name) | \(row.supported) of \(row.groups) | \(row.instances) | \(row.leftOut) | \(row.reasons.joined(separator: ", ")) |\n"
            total.groups += row.groups
            total.supported += row.supported
            total.instances += row.instances
            total.leftOut += row.leftOut
        }
        table += "| **all** | \(total.supported) of \(total.groups) | \(total.instances) | \(total.leftOut) | |\n"
        let path = Fixtures.path("../../docs/constraints.md")
        let page = String(decoding: try readBytes(path), as: UTF8.self)
        let (begin, end) = ("<!-- suite -->\n", "<!-- /suite -->\n")
        let start = try #require(page.firstRange(of: begin)).upperBound
        let stop = try #require(page.firstRange(of: end)).lowerBound
        if getenv("GEMMA3N_WRITE_TABLE") != nil {
            let file = try #require(fopen(path, "w"))
            fputs(String(page[..<start]) + table + String(page[stop...]), file)
            fclose(file)
        } else {
            let isSame = page[start..<stop] == table
            #expect(isSame, "docs/constraints.md shows another run")
        }
    }
}

/// JSON text of a value, its numbers without exponents.
func plainText(_ value: JSONValue) throws -> String {
    switch value {
    case .number(let number): number.int.map { "\($0)" } ?? plainDecimal(number.double)
    case .array(let elements): "[" + (try elements.map(plainText)).joined(separator: ",") + "]"
    case .object(let object):
        "{" + (try object.members.map { JSONValue.string($0.key).serialized() + ":" + (try plainText($0.value)) }).joined(separator: ",") + "}"
    default: value.serialized()
    }
}

private func plainDecimal(_ value: Double) -> String {
    let parts = "\(value.magnitude)".split(separator: "e")
    guard parts.count == 2, let exponent = Int(parts[1]) else { return "\(value)" }
    let mantissa = parts[0].split(separator: ".")
    var digits = String(mantissa[0]) + (mantissa.count > 1 && mantissa[1] != "0" ? String(mantissa[1]) : "")
    let sign = value < 0 ? "-" : ""
    if exponent < 0 { return sign + "0." + String(repeating: "0", count: -exponent - 1) + digits }
    let whole = 1 + exponent
    if digits.count <= whole {
        digits += String(repeating: "0", count: whole - digits.count)
        return sign + digits
    }
    return sign + digits.prefix(whole) + "." + digits.dropFirst(whole)
}
