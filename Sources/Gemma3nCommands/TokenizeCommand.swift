internal import ArgumentParser
internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost
internal import Tokenization

/// `gemma3n tokenize`: text to ids.
struct TokenizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize", abstract: "Shows the tokens of a text.", usage: "gemma3n tokenize [MODEL] TEXT [options]",
        discussion: "`-`, or a pipe and no text, reads the text from standard input. Special tokens in the text are recognised.")

    @Argument(help: ArgumentHelp("The model's directory or GGUF file, if it is not the demo model, and the text.", valueName: "model and text"))
    var words: [String] = []
    @Option(name: .customLong("model"), help: ArgumentHelp("The model's directory or GGUF file, instead of the first argument.", valueName: "path"))
    var directory: String?
    @Flag(help: "Begin with the token that begins every prompt.") var bos = false
    @Flag(help: "Print ids and pieces as JSON.") var json = false

    func run() async throws {
        let (tokenizer, words) = try openTokenizer(directory, words)
        let text = try joined(words, orSay: "The text is missing.")
        let ids = tokenizer.encode(text, addBOS: bos)
        if json {
            let tokens: JSONValue = .array(ids.map { .number(JSONNumber(Int($0))) })
            let pieces: JSONValue = .array(ids.map { .string(tokenizer.shown($0)) })
            Output.line(JSONValue.object(JSONObject([.init(key: "ids", value: tokens), .init(key: "pieces", value: pieces)])).serialized())
        } else if Output.isTerminal {
            for id in ids { Output.line("\(padded("\(id)", 8))  \(visible(tokenizer.shown(id)))") }
            Output.line("\(ids.count) tokens")
        } else {
            Output.line(ids.map { "\($0)" }.joined(separator: " "))
        }
    }
}

/// `gemma3n detokenize`: ids to text.
struct DetokenizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detokenize", abstract: "Shows the text of tokens.", usage: "gemma3n detokenize [MODEL] IDS... [options]",
        discussion: "Ids are separated by spaces or commas; brackets are ignored. `-`, or a pipe and no ids, reads them from standard input.")

    @Argument(help: ArgumentHelp("The model's directory or GGUF file, if it is not the demo model, and the ids.", valueName: "model and ids"))
    var words: [String] = []
    @Option(name: .customLong("model"), help: ArgumentHelp("The model's directory or GGUF file, instead of the first argument.", valueName: "path"))
    var directory: String?
    @Flag(help: "Leave special tokens out.") var skipSpecial = false
    @Flag(help: "Print the text as JSON.") var json = false

    func run() async throws {
        let (tokenizer, words) = try openTokenizer(directory, words)
        let text = try joined(words, orSay: "The ids are missing.")
        var ids: [Int32] = []
        for word in text.split(whereSeparator: { $0.isWhitespace || ",[]".contains($0) }) {
            guard let id = Int32(word), id >= 0, Int(id) < tokenizer.vocabularySize else {
                throw CommandError("'\(word.prefix(40))' is no token id; ids are whole numbers from 0 to \(tokenizer.vocabularySize - 1).")
            }
            ids.append(id)
        }
        let result = tokenizer.decode(ids, skipSpecialTokens: skipSpecial)
        Output.line(json ? (["text": .string(result)] as JSONValue).serialized() : result)
    }
}

/// The words joined by spaces; `-`, or a pipe and no words, reads standard input.
private func joined(_ words: [String], orSay missing: String) throws -> String {
    if words == ["-"] || (words.isEmpty && !Output.isInputTerminal) { return String(decoding: Output.readInput(), as: UTF8.self) }
    if words.isEmpty { throw ValidationError(missing) }
    return words.joined(separator: " ")
}

/// The tokenizer alone: no weights are opened.
private func openTokenizer(_ directory: String?, _ words: [String]) throws -> (Tokenizer, [String]) {
    var (directory, words) = (directory, words)
    if directory == nil, let first = words.first, isModel(first) {
        directory = first
        words.removeFirst()
    }
    let files = try directory.map { directory throws(CheckpointError) in try ModelFiles(path: directory) } ?? ModelOptions.demoModel()
    return (try files.tokenizer(), words)
}

extension Tokenizer {
    /// The text of a token; of a byte token its name.
    fileprivate func shown(_ id: Int32) -> String {
        guard let byte = byte(id) else { return text(id) }
        let digits = String(byte, radix: 16, uppercase: true)
        return "<0x\(digits.count < 2 ? "0" : "")\(digits)>"
    }
}

/// Control characters and line breaks made visible.
package func visible(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\n": result += "\\n"
        case "\t": result += "\\t"
        case "\r": result += "\\r"
        case "\0"..<" ", "\u{7F}"..<"\u{A0}": result += "\\u{\(String(scalar.value, radix: 16))}"
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result
}

/// Right-aligned in so many columns.
func padded(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }
