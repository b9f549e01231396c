import Checkpoint
import Foundation
import Gemma3n
import Gemma3nHost
import TestSupport
import Testing
import Tokenization

/// How a checkpoint in GGUF files is named, and what is found beside it.
struct GGUFFilesTests {
    private func link(_ names: [String: String], _ directory: String) throws {
        for (name, fixture) in names {
            try FileManager.default.createSymbolicLink(atPath: "\(directory)/\(name)", withDestinationPath: Fixtures.path("gguf/\(fixture)"))
        }
    }

    @Test func aFileOrItsDirectory() throws {
        try withTemporaryDirectory { directory in
            try link(["small.gguf": "tiny-bf16.gguf"], directory)
            for path in [directory, directory + "/", directory + "/small.gguf"] {
                let files = try ModelFiles(path: path)
                #expect(files.gguf?.model == "small.gguf" && files.gguf?.projector == nil)
                #expect(try files.source().configuration.text.numHiddenLayers == 8)
                #expect(try files.tokenizer().vocabularySize > 700)
            }
            #expect(try Gemma3nLanguageModel(files: ModelFiles(path: directory)).model.modalities == [])
        }
    }

    @Test func aProjectorIsFoundOrGiven() throws {
        try withTemporaryDirectory { directory in
            try link(["small.gguf": "tiny-bf16.gguf", "mmproj-small.gguf": "mmproj-tiny-bf16.gguf"], directory)
            let files = try ModelFiles(path: directory)
            #expect(files.gguf?.projector == "mmproj-small.gguf" && files.gguf?.isProjectorGiven == false)
            #expect(try Gemma3nLanguageModel(files: files).model.modalities == .all)
            #expect(try Gemma3nLanguageModel(files: files, modalities: .image).model.modalities == .image)
            // Text alone needs no encoders.
            #expect(try Gemma3nLanguageModel(files: files, modalities: .text).model.configuration.layout == .textOnly)

            try link(["other-MMPROJ.gguf": "tiny-bf16.gguf"], directory)
            let several = #expect(throws: CheckpointError.self) { try ModelFiles(path: directory) }
            #expect(several?.message == "beside it lie 2 projector files (mmproj-small.gguf, other-MMPROJ.gguf). Name one with --mmproj.")
            let given = try ModelFiles(path: directory, projector: directory + "/mmproj-small.gguf")
            #expect(given.gguf?.isProjectorGiven == true)
            #expect(try Gemma3nLanguageModel(files: given).model.modalities == .all)
            let wrong = #expect(throws: SessionError.self) {
                try Gemma3nLanguageModel(files: ModelFiles(path: directory, projector: directory + "/other-MMPROJ.gguf"))
            }
            #expect(wrong?.message == "\(directory)/other-MMPROJ.gguf: general.architecture is \"gemma3n\", expected \"clip\": a projector file (mmproj).")
        }
    }

    /// The projector of another model beside this one is not an error, as nobody asked for it.
    @Test func anotherModelsProjectorIsLeftAlone() throws {
        try withTemporaryDirectory { directory in
            try link(["small.gguf": "tiny-bf16.gguf"], directory)
            try make(directory + "/mmproj.gguf", Array("GGUF".utf8) + [3, 0, 0, 0] + [UInt8](repeating: 0, count: 16))
            let model = try Gemma3nLanguageModel(files: ModelFiles(path: directory))
            #expect(model.model.modalities == [])
            #expect(model.warnings == ["mmproj.gguf beside the model is no projector file of a Gemma 3n and was left alone. Name the right one with --mmproj."])
        }
    }

    @Test func pathsThatAreNone() throws {
        try withTemporaryDirectory { directory in
            func sentence(_ path: String, projector: String? = nil) -> String? {
                #expect(throws: CheckpointError.self) { try ModelFiles(path: path, projector: projector) }?.description
            }
            #expect(sentence(directory + "/none.gguf") == "\(directory)/none.gguf: there is no such file.")
            #expect(sentence(directory + "/none")?.hasPrefix("\(directory)/none: there is no such directory.") == true)
            try link(["a.gguf": "tiny-bf16.gguf", "b.gguf": "tiny-bf16.gguf"], directory)
            #expect(sentence(directory) == "\(directory): the directory holds 2 GGUF files (a.gguf, b.gguf). Give the path of one.")
            #expect(sentence(directory + "/a.gguf", projector: directory + "/none.gguf") == "\(directory)/none.gguf: there is no such file.")
            let tiny = Fixtures.path("checkpoints/tiny")
            #expect(sentence(tiny, projector: "x.gguf") == "x.gguf: a projector file goes with the GGUF file of a model; '\(tiny)' holds its encoders itself.")
            try make(directory + "/text.txt", Array("hello, this is no model".utf8))
            let other = #expect(throws: SessionError.self) { try Gemma3nLanguageModel(files: ModelFiles(path: directory + "/text.txt")) }
            #expect(other?.message == "\(directory)/text.txt: the file does not begin with 'GGUF'. Is it a GGUF file?")
        }
    }
}
