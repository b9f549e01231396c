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
        case "Alphabetic", "Alpha": self = ScalarSet { $0.properties.isAlphabetic }
        case "Lowercase", "Lower": self = ScalarSet { $0.properties.isLowercase }
        case "Uppercase", "Upper": self = ScalarSet { $0.properties.isUppercase }
        case "White_Space", "space": self = ScalarSet { $0.properties.isWhitespace }
        default:
            guard let categories = Self.categories(name) else { return nil }
            self = ScalarSet { scalar in
                let category = scalar.properties.generalCategory
                return categories.contains { $0 == category }
            }
        }
    }

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
