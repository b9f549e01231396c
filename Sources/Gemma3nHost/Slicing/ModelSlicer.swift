internal import Checkpoint
public import Gemma3n
internal import Tensors

/// Writes a slice of a nested model as an ordinary checkpoint in the container of the source.
///
///     let source = try SlicingSource(ModelFiles(path: "gemma-3n-E4B-it"))
///     let slice = try ModelSize.e2b.slice(of: source.configuration.text, grain: source.widthGrain)
///     let report = try ModelSlicer(source, to: slice).write(to: "gemma-3n-E2B-it")
///
/// Numbers are cut, never computed: every weight that stays has its bytes. Memory is bounded by one buffer, whatever the model's size.
/// Output appears under its name complete or not at all; an interrupted run goes on where it stopped if the same slice of the same files
/// is written to the same name again.
public struct ModelSlicer {
    public let source: SlicingSource
    public let slice: ModelSlice
    /// Of the slice as a model of its own.
    public var configuration: TextConfiguration { plan.configuration }
    /// Bytes of all files to be written.
    public var byteCount: Int { plan.byteCount }
    private let plan: SlicePlan

    private static let bufferBytes = 8 << 20
    /// After so many bytes what was written is made durable, and counts after an interruption.
    package var durableBytes = 256 << 20

    /// Plans the files; nothing is written.
    ///
    /// - Throws: `SliceError` for a slice that is none of the model or cannot be cut, `CheckpointError`.
    public init(_ source: SlicingSource, to slice: ModelSlice) throws {
        self.source = source
        self.slice = slice
        plan = try SlicePlan(source, slice)
    }

    /// Writes the slice.
    ///
    /// - Parameters:
    ///   - path: A file if the source is a GGUF file, else a directory.
    ///   - replace: Whether what stands there may be replaced.
    ///   - progress: Called often with bytes of the output; false stops (`CancellationError`).
    /// - Throws: `FileError`, `CancellationError`. What is durable by then stays beside `path` for the next run.
    public func write(
        to path: String, replace: Bool = false, progress: (ModelConverter.Progress) -> Bool = { _ in true }
    ) throws -> SlicingReport {
        let start = ContinuousClock().now
        let path = try checkedPath(path, replace)
        let work = try WorkFolder(beside: path, identity: identity)
        var done = resumed(work)
        let kept = plan.files[..<done.file].reduce(0) { $0 + $1.byteCount } + done.bytes
        try checkFreeSpace(for: path, bytes: plan.byteCount - kept)
        try work.record(done)
        if isDirectory {
            try makeDirectory(work.content)
            // A run that was killed may have left temporary files.
            AtomicDirectory.removeFiles(in: work.content, except: Set(plan.files.map(\.name)))
            for (name, region) in plan.documents {
                var file = try AtomicFile(path: "\(work.content)/\(name)")
                try file.write(region.bytes)
                try file.commit()
            }
        }
        for index in done.file..<plan.files.count {
            if index > done.file { done = WorkFolder.Progress(file: index) }
            try write(index, from: done.bytes, work, progress)
            try work.record(WorkFolder.Progress(file: index + 1))
        }
        try work.commit(to: path, replaces: replace)
        return SlicingReport(
            notes: plan.notes, fileBytes: plan.byteCount, resumedAt: kept, seconds: start.duration(to: ContinuousClock().now) / .seconds(1))
    }

    private var isDirectory: Bool {
        if case .safeTensors = source.weights { true } else { false }
    }

    private func checkedPath(_ path: String, _ replace: Bool) throws(FileError) -> String {
        if isDirectory { return try AtomicDirectory.check(path: path, replaces: replace) }
        try AtomicFile.check(path: path)
        if !replace, FileStamp(path) != nil {
            throw FileError(.notARegularFile, path: path, "'\(path)' exists already. Give another name, or pass --force to replace it.")
        }
        return path
    }

    /// Where file `index` grows.
    private func place(_ index: Int, _ content: String) -> String {
        isDirectory ? "\(content)/\(plan.files[index].name)" : content
    }

    /// How far an earlier run came, if its files are as long as it noted.
    private func resumed(_ work: borrowing WorkFolder) -> WorkFolder.Progress {
        let found = work.found
        guard found.file <= plan.files.count else { return WorkFolder.Progress() }
        for index in 0..<found.file where FileStamp(place(index, work.content))?.byteCount != plan.files[index].byteCount {
            return WorkFolder.Progress()
        }
        if found.bytes > 0 {
            guard found.file < plan.files.count, found.bytes <= plan.files[found.file].byteCount,
                let stamp = FileStamp(place(found.file, work.content)), stamp.byteCount >= found.bytes
            else { return WorkFolder.Progress(file: found.file) }
        }
        return found
    }

    /// One line that differs if the output would: a hash of all heads, documents and stamps of the source.
    private var identity: String {
        var hash = Fingerprint()
        for file in plan.files {
            hash.add(file.name)
            file.head.withUnsafeBytes { hash.add($0) }
        }
        for (name, region) in plan.documents {
            hash.add(name)
            hash.add(region.bytes)
        }
        hash.add("\(slice.widths)")
        for name in source.weightNames {
            guard let path = source.files.path(name), let stamp = FileStamp(path) else { continue }
            hash.add("\(path) \(stamp.byteCount) \(stamp.seconds) \(stamp.nanoseconds)")
        }
        return "gemma3n slice 1 \(hash.value)"
    }

    // MARK: Writing

    /// Writes a file from an offset to its end.
    private func write(
        _ index: Int, from offset: Int, _ work: borrowing WorkFolder, _ progress: (ModelConverter.Progress) -> Bool
    ) throws {
        let planned = plan.files[index]
        let file = try GrowingFile(path: place(index, work.content), from: offset)
        let before = plan.files[..<index].reduce(0) { $0 + $1.byteCount }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferBytes, alignment: 64)
        defer { buffer.deallocate() }
        guard let out = buffer.baseAddress else { return }
        var (written, durable) = (offset, offset)

        if written < planned.head.count {
            try planned.head.withUnsafeBytes { try file.write(UnsafeRawBufferPointer(rebasing: $0[written...])) }
            written = planned.head.count
        }
        var start = planned.head.count
        for tensor in planned.tensors {
            let size = planned.paddedByteCount(tensor)
            while written < start + size {
                let range = written - start..<min(size, written - start + buffer.count)
                let stored = range.clamped(to: 0..<tensor.byteCount)
                if !stored.isEmpty { tensor.copy(stored, to: out) }
                let zeros = range.count - stored.count
                (out + stored.count).initializeMemory(as: UInt8.self, repeating: 0, count: zeros)
                try file.write(UnsafeRawBufferPointer(start: out, count: range.count))
                tensor.release(stored)
                written += range.count
                let isLast = !progress(ModelConverter.Progress(tensor: tensor.name, done: before + written, total: plan.byteCount))
                if isLast || written - durable >= durableBytes {
                    try file.synchronize()
                    try work.record(WorkFolder.Progress(file: index, bytes: written))
                    durable = written
                }
                if isLast { throw CancellationError() }
            }
            start += size
        }
        try file.synchronize()
    }
}

/// What slicing did.
public struct SlicingReport: Sendable {
    /// What the user should know, one sentence each.
    public let notes: [String]
    /// Bytes of all files.
    public let fileBytes: Int
    /// Bytes that an earlier run had written already.
    public let resumedAt: Int
    public let seconds: Double
}

/// FNV-1a of 64 bits: tells different inputs apart, not forged ones.
private struct Fingerprint {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
        // Ends every part, so that no two lists of parts are one text.
        value = (value ^ UInt64(bytes.count)) &* 0x100_0000_01B3
    }

    mutating func add(_ text: String) {
        var text = text
        text.withUTF8 { add(UnsafeRawBufferPointer($0)) }
    }
}
