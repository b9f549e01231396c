import Foundation
import Gemma3nHost
import TestSupport
import Testing

/// The program as its users meet it: exit codes, streams, sentences.
@Suite(.serialized) struct ProcessTests {
    private let tiny = Program.tiny

    @Test func versionAndHelp() throws {
        let version = try Program.run(["--version"])
        #expect(version.code == 0 && version.output == "gemma3n 0.1.0\n")
        let help = try Program.run(["--help"])
        #expect(help.code == 0 && help.error.isEmpty)
        for name in ["run", "chat", "batch", "inspect", "tokenize", "detokenize", "trace", "bench", "convert", "demo", "evaluate", "curve"] { #expect(help.output.contains("  \(name) ")) }
    }

    @Test func answers() throws {
        let answer = try Program.run(["run", tiny, "hello", "the water", "--max-tokens", "5", "--seed", "3", "--stats"])
        #expect(answer.code == 0)
        #expect(answer.error.contains("answer") && answer.error.contains("tokens/s"))
        let again = try Program.run(["run", "--model", tiny, "hello the water", "--max-tokens", "5", "--seed", "3", "--threads", "1"])
        #expect(again.output == answer.output && again.error.isEmpty)
        let piped = try Program.run(["run", tiny, "--max-tokens", "5", "--seed", "3"], input: "hello the water")
        #expect(piped.output == answer.output)
        let dash = try Program.run(["run", tiny, "-", "--max-tokens", "5", "--seed", "3"], input: "hello the water")
        #expect(dash.output == answer.output)
        let json = try Program.run(["run", tiny, "hello the water", "--max-tokens", "5", "--seed", "3", "--json"])
        let text = try #require(json.json["text"] as? String)
        #expect(text.trimmingCharacters(in: .newlines) == answer.output.trimmingCharacters(in: .newlines))
        #expect(json.json["finish_reason"] as? String == "length" || json.json["finish_reason"] as? String == "stop")
        #expect((json.json["statistics"] as? [String: Any])?["prompt_tokens"] as? Int ?? 0 > 10)
    }

    /// What the process held at most stays within the plan, and the plan within what was given.
    @Test func memoryStaysWithinThePlan() throws {
        let long = Array(repeating: "the water of the river", count: 60).joined(separator: " ")
        let arguments = ["run", tiny, long, "--max-tokens", "20", "--seed", "3", "--stats", "--context", "1024"]
        let unlimited = try Program.run(arguments)
        let limited = try Program.run(arguments + ["--memory", "400MB"])
        #expect(limited.code == 0 && limited.output == unlimited.output)
        let words = limited.error.split(whereSeparator: { " ,:\n".contains($0) }).map(String.init)
        func size(after word: String) throws -> Int {
            let at = try #require(words.firstIndex(of: word))
            return try #require(MemoryLimit.parse(words[at + (word == "peak" ? 2 : 1)]))
        }
        let (peak, planned) = (try size(after: "peak"), try size(after: "planned"))
        #expect(peak <= planned && planned <= 400_000_000)

        let refused = try Program.run(arguments + ["--memory", "3MB"])
        #expect(refused.code == 1 && refused.output.isEmpty)
        #expect(refused.error.contains("tokens (") && refused.error.contains("but the limit is 3MB. Give --memory "))
        #expect(try Program.run(["run", tiny, "a", "--memory", "much"]).code == 64)
        #expect(try Program.run(["run", tiny, "a", "--kv", "f8"]).code == 64)
        #expect(try Program.run(["run", tiny, "a", "--kv", "q8_0", "--max-tokens", "2"]).code == 0)
    }

    @Test func benchMeasuresEveryPart() throws {
        let bench = try Program.run(["bench", tiny, "-p", "8,20", "-n", "4", "-t", "1,2", "-r", "2", "--image", "--audio", "--json", "--context", "32"])
        #expect(bench.code == 0)
        #expect(bench.error.contains("decode 4, 2 threads"))
        let runs = try #require(bench.json["runs"] as? [[String: Any]])
        let parts = runs.map { "\($0["part"] as? String ?? "") \($0["threads"] as? Int ?? 0) \($0["tokens"] as? Int ?? 0)" }
        #expect(parts == [
            "prefill 1 8", "prefill 1 20", "decode 1 4", "prefill 2 8", "prefill 2 20", "decode 2 4", "image 1 0", "audio 1 0", "image 2 0", "audio 2 0",
        ])
        for run in runs {
            #expect(run["median_seconds"] as? Double ?? 0 > 0)
            #expect((run["limits"] as? [String: Any])?["read_bytes_per_second"] as? Double ?? 0 > 0)
        }
        // More than the matrices of the two layers, less than the whole file.
        let bytes = try #require(bench.json["bytes_per_token"] as? Double)
        #expect(bytes > 100_000 && bytes < 4_000_000)
        #expect(bench.json["context"] as? Int == 32)
        let first = try #require(bench.json["first_token"] as? [String: Any])
        #expect(first["seconds_from_open"] as? Double ?? 0 >= bench.json["open_seconds"] as? Double ?? 1)
        #expect(bench.json["peak_text_bytes"] as? Int ?? 0 > 1_000_000)

        let table = try Program.run(["bench", tiny, "-p", "0", "-n", "2", "-t", "1", "-r", "1"])
        #expect(table.code == 0 && table.output.contains("decode 2, 1 t") && !table.output.contains("prefill"))
    }

    @Test func benchStopsWhenInterrupted() throws {
        // The first rows come before the long part.
        let bench = try Program.run(["bench", tiny, "-p", "0", "-n", "2000", "-t", "1", "-r", "1000"], interruptAfter: 20)
        #expect(bench.code == 130 && !bench.wasKilled && !bench.output.contains("decode 2000"))
    }

    @Test func answersAboutMedia() throws {
        let picture = Fixtures.path("media/rgb.png"), sound = Fixtures.path("media/16k.wav"), video = Fixtures.path("media/clip.mp4")
        let answer = try Program.run(["run", tiny, "what?", "--image", picture, "--audio", sound, "--max-tokens", "3", "--json"])
        #expect(answer.code == 0)
        let count = (answer.json["statistics"] as? [String: Any])?["prompt_tokens"] as? Int ?? 0
        // 4 soft tokens and two marks for the picture, 20 and two for the sound.
        #expect(count > 28 && count < 50)
        let film = try Program.run(["run", tiny, "what?", "--video", video, "--max-frames", "2", "--max-tokens", "3", "--json"])
        #expect(film.code == 0)
        #expect((film.json["statistics"] as? [String: Any])?["prompt_tokens"] as? Int ?? 0 > 20)
        let only = try Program.run(["run", tiny, "--image", picture, "--max-tokens", "3", "--json"])
        #expect(only.code == 0)
    }

    @Test func theDemoModelIsTheDefault() throws {
        let answer = try Program.run(["run", "hello", "--max-tokens", "3", "--json"])
        #expect(answer.code == 0)
        #expect((answer.json["token_ids"] as? [Int])?.count ?? 99 <= 3)
    }

    @Test(arguments: [
        (["run", "./nowhere", "hello"], "error: ./nowhere: there is no such directory. Give the directory that holds the checkpoint's config.json."),
        (["run", "--model", "/nowhere", "hello"], "error: /nowhere: there is no such directory. Give the directory that holds the checkpoint's config.json."),
        (["inspect", "/nowhere"], "error: /nowhere: there is no such directory. Give the directory that holds the checkpoint's config.json."),
        (["run", Fixtures.path("media"), "hello"],
         "error: \(Fixtures.path("media"))/config.json: the checkpoint has no config.json, expected a Hugging Face checkpoint of Gemma 3n."),
        (["run", Program.tiny, " "], "error: the prompt is empty; write something or add a picture, sound or video."),
        (["run", Program.tiny], "error: the prompt is empty; write something or add a picture, sound or video."),
        (["run", Program.tiny, "x", "--image", "/nowhere.png"], "error: cannot open '/nowhere.png': no such file or directory."),
        (["run", Program.tiny, "x", "--image", "https://example.org/x.png"],
         "error: https://example.org/x.png: nothing is fetched from the network. Download the file and give its path, or put its bytes in a data: URL."),
        (["run", Program.tiny, "hello the water and more of it", "--context", "8"],
         "error: The conversation with this prompt needs 25 tokens of context, but the session holds 8."),
        (["run", Program.tiny, "x", "--context", "99999"], "error: the context is 99999 tokens, expected 1 to 2048 (max_position_embeddings in config.json)."),
        (["run", Program.tiny, "x", "--modalities", "text", "--image", Fixtures.path("media/rgb.png")], "error: The prompt needs the vision encoder"),
        (["detokenize", Program.tiny, "12", "x"], "error: 'x' is no token id; ids are whole numbers from 0 to"),
        (["trace", Program.tiny, "--messages", "/nowhere.json", "--output", "/tmp/x"], "error: cannot open '/nowhere.json': no such file or directory."),
        (["demo", "--items", "/nowhere.json"], "error: cannot open '/nowhere.json': no such file or directory."),
    ])
    func mistakesEndWithOne(arguments: [String], sentence: String) throws {
        let outcome = try Program.run(arguments)
        #expect(outcome.code == 1)
        #expect(outcome.output.isEmpty)
        let prefix = sentence.hasSuffix("8.") ? "error: The conversation with this prompt needs " : sentence
        #expect(outcome.error.hasPrefix(prefix), "\(outcome.error)")
        #expect(outcome.error.split(separator: "\n").count == 1)
    }

    @Test(arguments: [
        ["frobnicate"], ["run", "--threads", "0", "x"], ["run", "--temperature", "-1", "x"], ["run", "--top-p", "0", "x"], ["run", "--unknown"],
        ["run", "--max-tokens", "many", "x"], ["run", "--modalities", "smell", "x"], ["trace"], ["run", "--seed", "-3", "x"], ["run", "--fps", "0", "x"],
        ["bench", "-p", "12,x"], ["bench", "-n", "-1"], ["bench", "-r", "0"], ["bench", "-t", "0"],
    ])
    func wrongUsageEndsWith64(arguments: [String]) throws {
        let outcome = try Program.run(arguments)
        #expect(outcome.code == 64)
        #expect(outcome.output.isEmpty)
        #expect(outcome.error.hasPrefix("error: "), "\(outcome.error)")
    }

    /// Ctrl-C: what was said stays printed, and the exit code says how it ended.
    @Test func interrupted() throws {
        let outcome = try Program.run(
            ["run", tiny, "hello", "--seed", "4", "--temperature", "3", "--top-k", "0", "--top-p", "1", "--max-tokens", "1900"], interruptAfter: 12)
        // With this seed the random checkpoint talks for 1900 tokens.
        #expect(outcome.code == 130)
        #expect(!outcome.wasKilled)
        #expect(outcome.output.utf8.count >= 12 && outcome.output.hasSuffix("\n"))
        #expect(outcome.error.isEmpty)
    }

    /// `gemma3n … | head -1`
    @Test func brokenPipeIsQuiet() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "'\(Program.path)' inspect '\(tiny)' --json | head -c 1; '\(Program.path)' run '\(tiny)' hello --max-tokens 200 | true"]
        let error = Pipe()
        process.standardError = error
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        let said = error.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(String(decoding: said, as: UTF8.self) == "")
    }

    #if os(Linux)
    /// A full disk loses the answer: that is no success.
    @Test(arguments: [["inspect", "--json"], ["run", "--max-tokens", "3", "hello"], ["tokenize", "hello"]])
    func fullDiskIsReported(_ words: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Program.path)
        process.arguments = [words[0], tiny] + words.dropFirst()
        let error = Pipe()
        process.standardError = error
        process.standardOutput = FileHandle(forWritingAtPath: "/dev/full")
        try process.run()
        let said = error.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 1)
        #expect(String(decoding: said, as: UTF8.self) == "error: cannot write the output: no space left on device.\n")
    }
    #endif

    @Test func tokens() throws {
        let tokens = try Program.run(["tokenize", tiny, "hello  wörld<end_of_turn>\n", "--json"])
        let ids = try #require(tokens.json["ids"] as? [Int])
        #expect((tokens.json["pieces"] as? [String])?.count == ids.count)
        #expect(ids.contains(10))
        let plain = try Program.run(["tokenize", tiny, "-"], input: "hello  wörld<end_of_turn>\n")
        #expect(plain.output == ids.map { "\($0)" }.joined(separator: " ") + "\n")
        let text = try Program.run(["detokenize", tiny], input: plain.output)
        #expect(text.output == "hello  wörld<end_of_turn>\n\n")
        let skipped = try Program.run(["detokenize", tiny, "--skip-special", "--json"] + ids.map { "\($0)" })
        #expect(skipped.json["text"] as? String == "hello  wörld\n")
    }

    @Test func inspects() throws {
        let json = try Program.run(["inspect", tiny, "--json"])
        let parameters = try #require(json.json["parameters"] as? [String: Int])
        #expect(parameters["total"] == 854_196)
        #expect(parameters["vision_tower"] == 140_304)
        #expect((json.json["architecture"] as? [String: Any])?["num_hidden_layers"] as? Int == 8)
        let shards = try Program.run(["inspect", Fixtures.path("checkpoints/tiny-bf16"), "--json"])
        #expect((shards.json["files"] as? [Any])?.count == 3)
        #expect(((shards.json["parameters"] as? [String: Int])?["unused"] ?? 0) > 0)
        let text = try Program.run(["inspect", Fixtures.path("checkpoints/tiny-text")])
        #expect(text.code == 0 && text.output.contains("text only"))
        #expect(try Program.run(["inspect"]).output.contains("the demo model"))
    }

    @Test func chats() throws {
        try withTemporaryDirectory { folder in
            let save = folder + "/chat.json"
            let script = """
                hello
                /image \(Fixtures.path("media/rgb.png"))
                what is this?
                /save \(save)
                /nonsense
                /image /nowhere.png
                /clear
                /load \(save)
                more
                /exit
                never answered
                """
            let outcome = try Program.run(["chat", tiny, "--max-tokens", "4", "--seed", "1", "--system", "be good", "--stats"], input: script)
            #expect(outcome.code == 0)
            #expect(outcome.error.contains("error: /nonsense is no command; /help lists them."))
            #expect(outcome.error.contains("error: /nowhere.png: there is no such file."))
            #expect(outcome.error.components(separatedBy: "first after").count == 4)
            let saved = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: save))) as? [[String: Any]]
            #expect(saved?.compactMap { $0["role"] as? String } == ["system", "user", "assistant", "user", "assistant"])
            // A whole session: gone back in, tried in two ways, kept, and gone on with.
            let session = folder + "/kept.session"
            let chat = ["chat", tiny, "--max-tokens", "4", "--temperature", "0", "--stats"]
            let kept = try Program.run(
                chat + ["--system", "be good", "--save", session],
                input: "hello\n/rewind\nhello\n/fork\nsomething else\n/back\nthe water\n/rewind 9\n/rewind\n/back\n/rewind x\nhello\n/save \(folder)/two.session\nmore\n")
            #expect(kept.code == 0 && kept.error.components(separatedBy: "first after").count == 7)
            #expect(kept.error.contains("error: There is no prompt to take back.") && kept.error.contains("error: There was no /fork to go back to."))
            #expect(kept.error.contains("error: /rewind takes a number of prompts"))
            let on = try Program.run(chat + ["--restore", session], input: "and?\n/save \(save)\n/restore \(folder)/two.session\nmore\n")
            #expect(on.code == 0)
            #expect(kept.output.hasSuffix(on.output.split(separator: "\n", omittingEmptySubsequences: false).suffix(2).joined(separator: "\n")))
            let messages = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: save))) as? [[String: Any]]
            #expect(messages?.compactMap { $0["role"] as? String } == ["system", "user", "assistant", "user", "assistant", "user", "assistant"])
            let wrong = try Program.run(["chat", Fixtures.path("checkpoints/tiny-bf16"), "--restore", session])
            #expect(wrong.code == 1 && wrong.error.contains("was saved with another model"))
            #expect(try Program.run(chat + ["--restore", session, "--system", "x"]).code == 64)
            try JSONSerialization.data(withJSONObject: saved ?? []).write(to: URL(fileURLWithPath: save))
            // What is saved can be traced.
            let trace = try Program.run(["trace", tiny, "--messages", save, "--output", folder + "/t.safetensors", "--max-tokens", "2"])
            #expect(trace.code == 0 && (trace.json["greedy_ids"] as? [Int])?.count == 2)
        }
    }
}
