import Foundation
import TestSupport
import Testing

/// `gemma3n batch` as a process.
@Suite(.serialized) struct BatchTests {
    private static let usual = ["batch", Program.tiny, "--max-tokens", "6"]

    private struct Outcome {
        let code: Int32
        let text: String
        let error: String
        /// Everything printed is a line of JSON.
        var records: [[String: Any]] {
            text.split(separator: "\n").compactMap { (try? JSONSerialization.jsonObject(with: Data($0.utf8))) as? [String: Any] }
        }

        func code(_ index: Int) -> String? { (records[index]["error"] as? [String: Any])?["code"] as? String }
        func message(_ index: Int) -> String { (records[index]["error"] as? [String: Any])?["message"] as? String ?? "" }
    }

    /// Input and output are files: neither fills a pipe.
    private func batch(_ input: Data, _ arguments: [String] = []) throws -> Outcome {
        try withTemporaryDirectory { folder in
            let process = Process()
            process.executableURL = URL(fileURLWithPath: Program.path)
            process.arguments = Self.usual + arguments
            for name in ["in", "out", "error"] { try (name == "in" ? input : Data()).write(to: URL(fileURLWithPath: "\(folder)/\(name)")) }
            process.standardInput = FileHandle(forReadingAtPath: folder + "/in")
            process.standardOutput = FileHandle(forWritingAtPath: folder + "/out")
            process.standardError = FileHandle(forWritingAtPath: folder + "/error")
            try process.run()
            process.waitUntilExit()
            func read(_ name: String) throws -> String { String(decoding: try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)")), as: UTF8.self) }
            return Outcome(code: process.terminationStatus, text: try read("out"), error: try read("error"))
        }
    }

    private func batch(_ lines: [String], _ arguments: [String] = []) throws -> Outcome {
        try batch(Data(lines.map { $0 + "\n" }.joined().utf8), arguments)
    }

    /// Lines whose answers differ in length, drawn, some of them failures.
    private static let mixed: [String] = (0..<40).map { index in
        switch index % 8 {
        case 3: #"{"id": \#(index), "prompt": "the water", "max_tokens": 60}"#
        case 5: #"{"custom_id": "c\#(index)", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": [{"role": "user", "content": "river"}], "temperature": 2}}"#
        case 6: "no JSON"
        default: "\"hello \(index)\""
        }
    }

    @Test func everyKindOfLine() throws {
        let outcome = try batch([
            #""hello""#,
            #"{"prompt": "hello", "id": "b"}"#,
            #"{"messages": [{"role": "user", "content": "hello"}], "id": 7}"#,
            #"{"custom_id": "r-4", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "any", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 3}}"#,
        ], ["--temperature", "0"])
        #expect(outcome.code == 0 && outcome.error.isEmpty)
        let records = outcome.records
        try #require(records.count == 4)
        #expect(records.map { $0["line"] as? Int } == [1, 2, 3, 4])
        #expect(records[0]["id"] is NSNull && records[1]["id"] as? String == "b" && records[2]["id"] as? Int == 7 && records[3]["id"] as? String == "r-4")
        let texts = records.map { $0["text"] as? String }
        #expect(texts[0] != nil && texts[0] == texts[1] && texts[1] == texts[2])
        let run = try Program.run(["run", Program.tiny, "hello", "--max-tokens", "6", "--temperature", "0", "--json"])
        #expect(texts[0] == run.json["text"] as? String)
        let usage = try #require(records[3]["usage"] as? [String: Int])
        #expect(usage["completion_tokens"] ?? 9 <= 3)
        #expect(usage["total_tokens"] == (usage["prompt_tokens"] ?? 0) + (usage["completion_tokens"] ?? 0))
        #expect(["stop", "length"].contains(records[3]["finish_reason"] as? String))
    }

    @Test func aLineSaysItsOwnOptions() throws {
        let outcome = try batch([
            #"{"prompt": "hello", "seed": 5, "temperature": 3, "max_tokens": 20}"#,
            #"{"prompt": "hello", "seed": 5, "temperature": 3, "max_tokens": 20}"#,
            #"{"prompt": "hello", "temperature": 3, "max_tokens": 20}"#,
            #"{"prompt": "hello", "max_tokens": 400, "response_format": {"type": "json_schema", "json_schema": {"schema": {"enum": ["red", "green"]}}}}"#,
            #"{"prompt": "hello", "regex": "[ab]{3}"}"#,
            #"{"prompt": "hello", "size": "half"}"#,
            #"{"prompt": "what?", "image": "\#(Fixtures.path("media/rgb.png"))", "audio": ["\#(Fixtures.path("media/16k.wav"))"]}"#,
        ])
        #expect(outcome.code == 0, "\(outcome.text)")
        let texts = outcome.records.map { $0["text"] as? String ?? "" }
        try #require(texts.count == 7)
        #expect(texts[0] == texts[1] && texts[0] != texts[2])
        #expect(["\"red\"", "\"green\""].contains(texts[3].trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(texts[4].wholeMatch(of: /[ab]{3}/) != nil)
        #expect((outcome.records[6]["usage"] as? [String: Int])?["prompt_tokens"] ?? 0 > 28)
    }

    /// Line n draws with the seed and n - 1, as `run` would.
    @Test func seedsAreThoseOfLines() throws {
        let outcome = try batch(["\"hello\"", "\"hello\""], ["--seed", "3", "--temperature", "3"])
        for (index, record) in outcome.records.enumerated() {
            let run = try Program.run(["run", Program.tiny, "hello", "--max-tokens", "6", "--temperature", "3", "--seed", "\(3 + index)", "--json"])
            #expect(record["text"] as? String == run.json["text"] as? String)
        }
    }

    @Test func outputDoesNotDependOnWhatIsComputedTogether() throws {
        let alone = try batch(Self.mixed, ["--parallel", "1", "--seed", "11", "--system", "be good"])
        #expect(alone.code == 2 && alone.records.count == 40)
        for parallel in ["2", "8", "16"] {
            let together = try batch(Self.mixed, ["--parallel", parallel, "--seed", "11", "--system", "be good"])
            #expect(together.text == alone.text && together.code == 2)
        }
    }

    @Test func hostileLines() throws {
        var input = Data()
        func add(_ line: Data) { input += line + Data("\n".utf8) }
        let texts = [
            "", "   ", "not JSON", "[1, 2]", "17", "null", "{}", #"{"prompt": 3}"#, #"{"prompt": "a", "messages": []}"#, #"{"id": "x", "messages": []}"#,
            #"{"id": "u", "url": "/v1/embeddings", "body": {"input": "a"}}"#, #"{"custom_id": "m", "method": "GET", "url": "/v1/chat/completions", "body": {}}"#,
            #"{"prompt": "a", "max_tokens": -1}"#, #"{"prompt": "a", "temperature": "hot"}"#, #"{"prompt": "a", "size": "enormous"}"#,
            #"{"prompt": "a", "response_format": {"type": "json_schema", "json_schema": {"schema": {"minimum": "x"}}}}"#,
            #"{"prompt": "a", "image": "/nowhere.png"}"#, #"{"prompt": "a", "image": "https://example.org/a.png"}"#, #"{"prompt": ""}"#,
            #"{"prompt": "a", "n": 2}"#, #"{"prompt": "a", "tools": [{}]}"#, String(repeating: "[", count: 100_000), #"{"prompt": "a", "id": [1]}"#,
        ]
        for text in texts { add(Data(text.utf8)) }
        add(Data("\"a\u{0}b\"".utf8))
        add(Data([0x22, 0xFF, 0xFE, 0x22]))
        add(Data(repeating: UInt8(ascii: "x"), count: 10_000_000))
        input += Data("\"the last, without an end\"".utf8)
        let outcome = try batch(input, ["--max-line", "1MB"])
        let expected: [String?] = [
            "empty_line", "empty_line", "invalid_json", "invalid_request", "invalid_request", "invalid_request", "invalid_request", "invalid_request",
            "invalid_request", "decoding_failure", "unsupported_url", "invalid_request", "invalid_request", "invalid_request", "invalid_request",
            "unsupported_guide", "unreadable_media", "unreadable_media", "invalid_request", "unsupported_parameter", "unsupported_parameter", "invalid_json",
            nil, "invalid_json", "invalid_json", "line_too_long", nil,
        ]
        #expect(outcome.code == 2 && outcome.error.isEmpty)
        try #require(outcome.records.count == expected.count)
        for (index, code) in expected.enumerated() { #expect(outcome.code(index) == code, "line \(index + 1): \(outcome.records[index])") }
        #expect(outcome.records[9]["id"] as? String == "x" && outcome.records[10]["id"] as? String == "u")
        #expect(outcome.message(10) == "url is \"/v1/embeddings\"; a batch answers \"/v1/chat/completions\" only.")
        #expect(outcome.message(25) == "The line has 10000000 bytes, and at most 1000000 are read. Give a larger --max-line.")
        // 10 MB are read where they are allowed, and are no JSON.
        #expect(try batch(Data(repeating: UInt8(ascii: "x"), count: 10_000_000)).code(0) == "invalid_json")
    }

    @Test func nothingInNothingOut() throws {
        let outcome = try batch(Data())
        #expect(outcome.code == 0 && outcome.text.isEmpty && outcome.error.isEmpty)
    }

    /// Each answer is written when it is there: a program that waits for it before it asks on is answered.
    @Test func answersAtOnceAndWithoutEnd() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Program.path)
        process.arguments = Self.usual
        let (input, output) = (Pipe(), Pipe())
        (process.standardInput, process.standardOutput) = (input, output)
        try process.run()
        for line in 1...5 {
            input.fileHandleForWriting.write(Data("\"hello \(line)\"\n".utf8))
            var record = Data()
            while record.last != UInt8(ascii: "\n") {
                let more = output.fileHandleForReading.availableData
                if more.isEmpty { break }
                record += more
            }
            #expect(String(decoding: record, as: UTF8.self).hasPrefix(#"{"line":\#(line),"#))
        }
        // Ctrl-C while it waits for input.
        process.interrupt()
        process.waitUntilExit()
        #expect(process.terminationStatus == 130 && process.terminationReason == .exit)
    }

    /// `yes | gemma3n batch | head`
    @Test func inputWithoutEndAndAReaderThatGoesAway() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "yes '\"hello\"' | '\(Program.path)' batch '\(Program.tiny)' --max-tokens 2 | head -n 50"]
        let (output, error) = (Pipe(), Pipe())
        (process.standardOutput, process.standardError) = (output, error)
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        #expect(text.split(separator: "\n").count == 50)
        #expect(!String(decoding: error.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self).contains("gemma3n"))
        process.waitUntilExit()
    }

    // MARK: --output

    /// Killed with so many bytes in the file, and begun again until it is done: the file is that of a run nobody disturbed.
    @Test func goesOnWhereItWasKilled() throws {
        try withTemporaryDirectory { folder in
            let (whole, file) = (folder + "/whole.jsonl", folder + "/file.jsonl")
            let input = Data(Self.mixed.map { $0 + "\n" }.joined().utf8)
            let undisturbed = try batch(input, ["--seed", "4", "--output", whole])
            #expect(undisturbed.code == 2 && undisturbed.text.isEmpty)
            let expected = try Data(contentsOf: URL(fileURLWithPath: whole))
            try input.write(to: URL(fileURLWithPath: folder + "/in"))
            for moment in [1, expected.count / 4, expected.count / 2, expected.count - 100] {
                let process = Process()
                process.executableURL = URL(fileURLWithPath: Program.path)
                process.arguments = Self.usual + ["--seed", "4", "--output", file, "--parallel", "3"]
                process.standardInput = FileHandle(forReadingAtPath: folder + "/in")
                try process.run()
                while process.isRunning, (try? Data(contentsOf: URL(fileURLWithPath: file)).count) ?? 0 < moment { usleep(500) }
                if process.isRunning { kill(process.processIdentifier, SIGKILL) }
                process.waitUntilExit()
            }
            let last = try batch(input, ["--seed", "4", "--output", file])
            #expect(last.code == 2)
            let isSame = try Data(contentsOf: URL(fileURLWithPath: file)) == expected
            #expect(isSame)
        }
    }

    /// Wherever the file was cut.
    @Test func tornRecordsAreMadeAgain() throws {
        try withTemporaryDirectory { folder in
            let file = folder + "/out.jsonl"
            let lines = ["\"a\"", "no JSON", "\"b\""]
            #expect(try batch(lines, ["--output", file]).code == 2)
            let expected = try Data(contentsOf: URL(fileURLWithPath: file))
            for count in [0, 1, 9, 40, expected.count / 2, expected.count - 1, expected.count] {
                try expected.prefix(count).write(to: URL(fileURLWithPath: file))
                // A failure before the cut counts, too.
                #expect(try batch(lines, ["--output", file]).code == 2)
                let isSame = try Data(contentsOf: URL(fileURLWithPath: file)) == expected
                #expect(isSame, "cut at \(count)")
            }
            let shorter = try batch(["\"a\""], ["--output", file])
            #expect(shorter.code == 1)
            #expect(shorter.error == "error: the output holds records of 3 lines, but the input has 1. Give the same input, or another --output.\n")
        }
    }

    @Test(arguments: ["notes\n", "notes", "{\"line\":2,\"id\":null}\n", "{\"line\":12", "\n"]) func otherFilesStayAsTheyAre(contents: String) throws {
        try withTemporaryDirectory { folder in
            let file = folder + "/out.jsonl"
            try Data(contents.utf8).write(to: URL(fileURLWithPath: file))
            let outcome = try batch(["\"a\""], ["--output", file])
            #expect(outcome.code == 1)
            #expect(outcome.error == "error: \(file): line 1 is not the record of input line 1, so this file is of no such run. Give another --output.\n")
            #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == Data(contents.utf8))
            #expect(try batch(["\"a\""], ["--output", folder]).code == 1)
        }
    }

    @Test func figures() throws {
        let outcome = try batch(["\"a\"", ""], ["--stats"])
        #expect(outcome.code == 2 && outcome.error.contains("2 lines in ") && outcome.error.contains(" s, 1 failed, ") && outcome.error.contains("peak memory"))
        #expect(try Program.run(["batch", Program.tiny, "--parallel", "0"]).code == 64)
    }

    #if os(Linux)
    @Test func aFullDiskIsReported() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "echo '\"a\"' | '\(Program.path)' batch '\(Program.tiny)' --max-tokens 2 > /dev/full"]
        let error = Pipe()
        process.standardError = error
        try process.run()
        let said = error.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 1)
        #expect(String(decoding: said, as: UTF8.self) == "error: cannot write the output: no space left on device.\n")
    }
    #endif
}
