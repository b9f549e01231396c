extension ScalarSet {
    /// The scalars of a Unicode property as `\p{…}` names it: general categories, short or long, and a few binary properties.
    init?(property name: String) {
        var name = name
        for prefix in ["General_Category=", "gc="] where name.utf8.starts(with: prefix.utf8) {
            name = String(name.unicodeScalars.dropFirst(prefix.unicodeScalars.count))
        }
        switch name {
        case "Any": self = ScalarSet([(0, 0x10FFFF)])
        case "ASCII": self = ScalarSet([(0, 0x7F)])
        case "Alphabetic", "Alpha": self = Self.alphabetic
        case "Lowercase", "Lower": self = Self.lowercase
        case "Uppercase", "Upper": self = Self.uppercase
        case "White_Space", "space": self = Self.whiteSpace
        default:
            guard let categories = Self.categories(name) else { return nil }
            var ranges: [(UInt32, UInt32)] = []
            for run in Self.runs where categories.contains(where: { $0 == run.category }) { ranges.append((run.low, run.high)) }
            self.init(ranges)
        }
    }

    // Asking every scalar takes 15 ms: done once, as an expression may name hundreds of properties.

    private static let alphabetic = ScalarSet { $0.properties.isAlphabetic }
    private static let lowercase = ScalarSet { $0.properties.isLowercase }
    private static let uppercase = ScalarSet { $0.properties.isUppercase }
    private static let whiteSpace = ScalarSet { $0.properties.isWhitespace }

    /// Neighbours of one category.
    private static let runs: [(low: UInt32, high: UInt32, category: Unicode.GeneralCategory)] = {
        var runs: [(low: UInt32, high: UInt32, category: Unicode.GeneralCategory)] = []
        for value in UInt32(0)...0x10FFFF {
            guard let category = Unicode.Scalar(value)?.properties.generalCategory else { continue }
            if let last = runs.last, last.category == category, last.high + 1 == value {
                runs[runs.count - 1].high = value
            } else {
                runs.append((value, value, category))
            }
        }
        return runs
    }()

    private init(_ isMember: (Unicode.Scalar) -> Bool) {
        var ranges: [(UInt32, UInt32)] = []
        var low: UInt32? = nil
        for value in UInt32(0)...0x110000 {
            let member = Unicode.Scalar(value).map(isMember) ?? false
            if member, low == nil { low = value }
            if !member, let first = low {
                ranges.append((first, value - 1))
                low = nil
            }
        }
        self.init(ranges)
    }

    private static func categories(_ name: String) -> [Unicode.GeneralCategory]? {
        switch name {
        case "L", "Letter": [.uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter]
        case "LC", "Cased_Letter": [.uppercaseLetter, .lowercaseLetter, .titlecaseLetter]
        case "Lu", "Uppercase_Letter": [.uppercaseLetter]
        case "Ll", "Lowercase_Letter": [.lowercaseLetter]
        case "Lt", "Titlecase_Letter": [.titlecaseLetter]
        case "Lm", "Modifier_Letter": [.modifierLetter]
        case "Lo", "Other_Letter": [.otherLetter]
        case "M", "Mark", "Combining_Mark": [.nonspacingMark, .spacingMark, .enclosingMark]
        case "Mn", "Nonspacing_Mark": [.nonspacingMark]
        case "Mc", "Spacing_Mark": [.spacingMark]
        case "Me", "Enclosing_Mark": [.enclosingMark]
        case "N", "Number": [.decimalNumber, .letterNumber, .otherNumber]
        case "Nd", "Decimal_Number", "digit": [.decimalNumber]
        case "Nl", "Letter_Number": [.letterNumber]
        case "No", "Other_Number": [.otherNumber]
        case "P", "Punctuation", "punct":
            [
                .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation, .finalPunctuation,
                .otherPunctuation,
            ]
        case "Pc", "Connector_Punctuation": [.connectorPunctuation]
        case "Pd", "Dash_Punctuation": [.dashPunctuation]
        case "Ps", "Open_Punctuation": [.openPunctuation]
        case "Pe", "Close_Punctuation": [.closePunctuation]
        case "Pi", "Initial_Punctuation": [.initialPunctuation]
        case "Pf", "Final_Punctuation": [.finalPunctuation]
        case "Po", "Other_Punctuation": [.otherPunctuation]
        case "S", "Symbol": [.mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol]
        case "Sm", "Math_Symbol": [.mathSymbol]
        case "Sc", "Currency_Symbol": [.currencySymbol]
        case "Sk", "Modifier_Symbol": [.modifierSymbol]
        case "So", "Other_Symbol": [.otherSymbol]
        case "Z", "Separator": [.spaceSeparator, .lineSeparator, .paragraphSeparator]
        case "Zs", "Space_Separator": [.spaceSeparator]
        case "Zl", "Line_Separator": [.lineSeparator]
        case "Zp", "Paragraph_Separator": [.paragraphSeparator]
        case "C", "Other": [.control, .format, .surrogate, .privateUse, .unassigned]
        case "Cc", "Control", "cntrl": [.control]
        case "Cf", "Format": [.format]
        case "Co", "Private_Use": [.privateUse]
        case "Cn", "Unassigned": [.unassigned]
        default: nil
        }
    }
}
