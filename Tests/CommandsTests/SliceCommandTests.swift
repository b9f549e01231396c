import Foundation
import TestSupport
import Testing

/// `gemma3n slice` as its users meet it.
@Suite(.serialized) struct SliceCommandTests {
    @Test func slicesAndReports() throws {
        try withTemporaryDirectory { folder in
            let outcome = try Program.run(["slice", Program.tiny, "\(folder)/half", "--size", "half", "--json"])
            #expect(outcome.code == 0, "\(outcome.error)")
            #expect(outcome.json["slice"] as? String == "half" && outcome.json["widths"] as? [Int] == [128, 112, 96, 64, 48, 36, 44, 32])
            #expect(outcome.json["skip_layers"] as? [Int] == [] && outcome.json["resumed_at"] as? Int == 0)
            let answer = try Program.run(["run", "\(folder)/half", "hello", "--max-tokens", "3", "--image", Fixtures.path("media/rgb.png")])
            #expect(answer.code == 0, "\(answer.error)")
            let again = try Program.run(["slice", Program.tiny, "\(folder)/half", "--widths", "64", "--skip-layers", "6-7"])
            #expect(again.code == 1 && again.error.contains("exists already. Give another name, or pass --force to replace it."))
            let forced = try Program.run(["slice", Program.tiny, "\(folder)/half", "--widths", "64", "--skip-layers", "6-7", "--force"])
            #expect(forced.code == 0 && forced.output.contains("million effective parameters") && forced.output.contains("MB written in"), "\(forced.error)")
            try #"{"widths": [1, 2, 3, 4, 5, 6, 7], "skip_layers": 7}"#.write(toFile: "\(folder)/slice.json", atomically: true, encoding: .utf8)
            let file = try Program.run(["slice", Program.tiny, "\(folder)/file", "--slice", "\(folder)/slice.json"])
            #expect(file.code == 0, "\(file.error)")
            let gguf = try Program.run(["slice", Fixtures.path("gguf/tiny-bf16.gguf"), "\(folder)/m.gguf", "--skip-layers", "5"])
            #expect(gguf.code == 0 && gguf.output.contains("note: the projector file mmproj-tiny-bf16.gguf goes with the slice as it is"), "\(gguf.error)")
        }
    }

    @Test(arguments: [
        ([], 64, "Say which part is to be written: --size, --widths, --skip-layers or --slice."),
        (["--size", "E2B"], 1, "E2B is a slice of Gemma 3n E4B (35 layers of one width), but this model has 8 layers, the widest 256 wide."),
        (["--skip-layers", "4"], 1, "Layer 4 cannot be left out: it makes keys and values that other layers read. Only layers 5 to 7 can."),
        (["--widths", "64,64"], 1, "The slice has widths for 2 layers, but the model has 8. Give one for each."),
    ] as [([String], Int32, String)])
    func refuses(arguments: [String], code: Int32, sentence: String) throws {
        let outcome = try Program.run(["slice", Program.tiny, "nowhere"] + arguments)
        #expect(outcome.code == code && outcome.error.contains(sentence), "\(outcome.error)")
        #expect(!FileManager.default.fileExists(atPath: "nowhere"))
    }

    @Test func containersAreKept() throws {
        let directory = try Program.run(["slice", Program.tiny, "nowhere.gguf", "--size", "half"])
        #expect(directory.code == 1 && directory.error.contains("OUT is 'nowhere.gguf', but a slice of a checkpoint directory is one, too."))
        let file = try Program.run(["slice", Fixtures.path("gguf/tiny-bf16.gguf"), "nowhere", "--size", "half"])
        #expect(file.code == 1 && file.error.contains("OUT is 'nowhere', but a slice of a GGUF file is one, too. Give a name that ends in .gguf."))
    }

    /// Killed without a word at many moments: nothing stands under the name before it is whole, and the bytes come out the same.
    @Test func killedRunsGoOn() throws {
        try withTemporaryDirectory { folder in
            let arguments = { (name: String) in ["slice", Program.tiny, "\(folder)/\(name)", "--size", "half"] }
            #expect(try Program.run(arguments("once")).code == 0)
            var kills = 0
            for attempt in 0..<40 {
                let process = Process()
                process.executableURL = URL(fileURLWithPath: Program.path)
                process.arguments = arguments("killed")
                process.standardError = FileHandle.nullDevice
                process.standardOutput = FileHandle.nullDevice
                try process.run()
                usleep(UInt32(2000 * attempt))
                kill(process.processIdentifier, SIGKILL)
                process.waitUntilExit()
                if FileManager.default.fileExists(atPath: "\(folder)/killed") { break }
                kills += 1
            }
            if !FileManager.default.fileExists(atPath: "\(folder)/killed") { #expect(try Program.run(arguments("killed")).code == 0) }
            #expect(kills > 0)
            for name in try FileManager.default.contentsOfDirectory(atPath: "\(folder)/once") {
                let same = FileManager.default.contentsEqual(atPath: "\(folder)/once/\(name)", andPath: "\(folder)/killed/\(name)")
                #expect(same, "\(name)")
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(folder)/killed").count == FileManager.default.contentsOfDirectory(atPath: "\(folder)/once").count)
        }
    }
}
