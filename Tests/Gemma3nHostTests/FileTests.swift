import Checkpoint
import Foundation
import Gemma3nHost
import Tensors
import Testing

/// A copy of the bytes; the region lives until it is made.
private func contents(_ region: ByteRegion) -> [UInt8] {
    withExtendedLifetime(region) { Array(region.bytes) }
}

@Suite struct MappedFileTests {
    @Test func mapsAFile() throws {
        try withTemporaryDirectory { directory in
            let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 * 7) }
            try make(directory + "/a", bytes)
            let file = try MappedFile(path: directory + "/a")
            #expect(contents(file.region) == bytes)
            // The mapping outlives the name.
            try FileManager.default.removeItem(atPath: directory + "/a")
            file.region.advise(.random, 0..<10_000)
            file.region.advise(.unused, 5000..<5000)
            file.region.advise(.unused, 0..<10_000)
            #expect(contents(file.region) == bytes)
        }
    }

    @Test func anEmptyFileIsAnEmptyRegion() throws {
        try withTemporaryDirectory { directory in
            try make(directory + "/a", [])
            #expect(try MappedFile(path: directory + "/a").region.count == 0)
            #expect(try readFile(directory + "/a") == [])
        }
    }

    @Test func whatIsNoFileIsRefused() throws {
        try withTemporaryDirectory { directory in
            #expect(throws: FileError(.notFound, path: "\(directory)/a", "cannot open '\(directory)/a': no such file or directory.")) {
                try MappedFile(path: directory + "/a")
            }
            #expect(throws: FileError(.isDirectory, path: directory, "'\(directory)' is a directory; a file is needed here.")) {
                try MappedFile(path: directory)
            }
            // A pipe nobody writes to: no waiting.
            #expect(mkfifo(directory + "/pipe", 0o600) == 0)
            let error = #expect(throws: FileError.self) { try MappedFile(path: directory + "/pipe") }
            #expect(error?.code == .notARegularFile)
            #expect(throws: FileError.self) { try MappedFile(path: "a\u{0}b") }
            try make(directory + "/b", [1, 2, 3])
            #expect(throws: FileError(.tooLarge, path: "\(directory)/b", "'\(directory)/b' has 3 bytes; at most 2 are accepted here.")) {
                try readFile(directory + "/b", limit: 2)
            }
        }
    }

    @Test(.enabled(if: geteuid() != 0, "root may read everything")) func whatMayNotBeReadIsRefused() throws {
        try withTemporaryDirectory { directory in
            try make(directory + "/a", [1])
            #expect(chmod(directory + "/a", 0) == 0)
            let error = #expect(throws: FileError.self) { try MappedFile(path: directory + "/a") }
            #expect(error?.code == .permissionDenied)
        }
    }
}

@Suite struct AtomicFileTests {
    @Test func appearsWhenCommitted() throws {
        try withTemporaryDirectory { directory in
            let path = directory + "/state.bin"
            try AtomicFile.write([1, 2, 3], to: path)
            #expect(try readFile(path) == [1, 2, 3])
            try AtomicFile.write([4], to: path)
            #expect(try readFile(path) == [4])
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["state.bin"])
        }
    }

    @Test func nothingIsLeftWithoutCommit() throws {
        try withTemporaryDirectory { directory in
            let path = directory + "/state.bin"
            try AtomicFile.write([1, 2, 3], to: path)
            func abandon() throws {
                var file = try AtomicFile(path: path)
                try file.write([9, 9])
                #expect(try FileManager.default.contentsOfDirectory(atPath: directory).count == 2)
            }
            try abandon()
            #expect(try readFile(path) == [1, 2, 3])
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["state.bin"])
        }
    }

    @Test func whatCannotBeWrittenIsRefused() throws {
        try withTemporaryDirectory { directory in
            let error = #expect(throws: FileError.self) { try AtomicFile.write([1], to: directory + "/none/a") }
            #expect(error?.code == .notFound)
            #expect(throws: FileError.self) { try AtomicFile.write([1], to: directory + "/") }
            #expect(throws: FileError.self) { try AtomicFile.write([1], to: "") }
            // A directory stands under the name.
            try FileManager.default.createDirectory(atPath: directory + "/d", withIntermediateDirectories: false)
            let taken = #expect(throws: FileError.self) { try AtomicFile.write([1], to: directory + "/d") }
            #expect(taken?.code == .isDirectory)
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["d"])
        }
    }

    /// Renaming would put a regular file in the place of `/dev/null`.
    @Test func devicesAndPipesAreNotReplaced() throws {
        try withTemporaryDirectory { directory in
            let pipe = directory + "/pipe", link = directory + "/link"
            try #require(mkfifo(pipe, 0o600) == 0)
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: pipe)
            for path in [pipe, link] {
                let error = #expect(throws: FileError.self) { try AtomicFile.write([1], to: path) }
                #expect(error?.code == .notARegularFile)
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory).sorted() == ["link", "pipe"])
            #expect(try FileManager.default.attributesOfItem(atPath: pipe)[.type] as? FileAttributeType != .typeRegular)
            // Nothing is written to the links of /dev either.
            #expect(throws: FileError.self) { try AtomicFile.check(path: "/dev/null") }
        }
    }

    #if os(Linux)
        @Test func aFullDiskIsReported() throws {
            let full = open("/dev/full", O_WRONLY)
            try #require(full >= 0)
            defer { close(full) }
            let bytes: [UInt8] = [1, 2, 3]
            #expect(throws: FileError(.diskFull, path: "state.bin", "cannot write 'state.bin': the disk is full.")) {
                try bytes.withUnsafeBytes { try writeAll($0, to: full, path: "state.bin") }
            }
        }
    #endif
}

@Suite struct ModelFilesTests {
    @Test func readsADirectory() throws {
        try withTemporaryDirectory { directory in
            try make(directory + "/config.json", Array("{}".utf8))
            try make(directory + "/model.safetensors", [1, 2, 3])
            let files = try ModelFiles(directory: directory)
            #expect(files.names == ["config.json", "model.safetensors"])
            #expect(files.contains("config.json") && !files.contains("tokenizer.json"))
            #expect(contents(try files.region("config.json")) == Array("{}".utf8))
            #expect(contents(try files.region("model.safetensors")) == [1, 2, 3])
            #expect(try files.regionIfPresent("tokenizer.json") == nil)
            // A trailing slash, as shells complete it.
            #expect(try ModelFiles(directory: directory + "/").region("config.json").count == 2)
        }
    }

    @Test func readsMemory() throws {
        let files = ModelFiles(name: "demo", files: ["config.json": ByteRegion(copying: [7])])
        #expect(files.names == ["config.json"])
        #expect(contents(try files.region("config.json")) == [7])
        let error = #expect(throws: CheckpointError.self) { try files.region("tokenizer.json") }
        #expect(error?.code == .missingFile)
        #expect(error?.description.hasPrefix("tokenizer.json: not found in 'demo'. A checkpoint holds config.json") == true)
    }

    @Test func directoriesThatAreNone() throws {
        try withTemporaryDirectory { directory in
            let missing = #expect(throws: CheckpointError.self) { try ModelFiles(directory: directory + "/none") }
            #expect(
                missing?.description
                    == "\(directory)/none: there is no such directory. Give the directory that holds the checkpoint's config.json.")
            try make(directory + "/file", [])
            let file = #expect(throws: CheckpointError.self) { try ModelFiles(directory: directory + "/file") }
            #expect(
                file?.description
                    == "\(directory)/file: this is a file, not a directory. Give the directory that holds config.json, the tokenizer and the weights.")
            #expect(throws: CheckpointError.self) { try ModelFiles(directory: "") }
        }
    }

    @Test(arguments: ["../secret", "/etc/passwd", "a/../../b", "", "a\u{0}", "a//b", ".."])
    func namesStayInside(_ name: String) throws {
        let files = ModelFiles(name: "demo", files: [:])
        let error = #expect(throws: CheckpointError.self) { try files.region(name) }
        #expect(error?.code == .unsupportedValue)
    }
}
