public import Checkpoint
public import Tensors

#if canImport(Darwin)
internal import Darwin
#else
internal import Glibc
#endif

/// Reads a whole file.
public func readBytes(_ path: String) throws -> [UInt8] {
    guard let file = fopen(path, "rb") else { throw CheckpointError(.missingFile, file: path, "cannot be opened") }
    defer { fclose(file) }
    fseek(file, 0, SEEK_END)
    let count = ftell(file)
    fseek(file, 0, SEEK_SET)
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, read in read = fread(buffer.baseAddress, 1, count, file) }
}

/// A recorded case: tensors by name.
public struct FixtureFile {
    public let file: SafeTensorsFile

    /// - Parameter path: Below `Tests/Fixtures`.
    public init(_ path: String) throws {
        file = try SafeTensorsFile(bytes: ByteRegion(copying: readBytes(Fixtures.path(path))), name: path)
    }

    /// - Parameter path: Anywhere: for files that are too large for the repository.
    public init(at path: String) throws {
        file = try SafeTensorsFile(bytes: ByteRegion(copying: readBytes(path)), name: path)
    }

    public func contains(_ name: String) -> Bool { file[name] != nil || file.others.contains { $0.name == name } }

    /// Values of a float tensor.
    public func floats(_ name: String) throws -> [Float] {
        guard let tensor = file[name] else { throw CheckpointError(.missingTensor, file: file.name, "no tensor '\(name)'") }
        return tensor.decoded()
    }

    /// Values of an integer tensor.
    public func integers(_ name: String) throws -> [Int] {
        guard let tensor = file.others.first(where: { $0.name == name }), let values = tensor.integers else {
            throw CheckpointError(.missingTensor, file: file.name, "no integer tensor '\(name)'")
        }
        return values
    }

    public func shape(_ name: String) -> [Int] {
        file[name]?.shape ?? file.others.first { $0.name == name }?.shape ?? []
    }
}

/// The largest absolute difference; infinite if the lengths differ or anything is not a number.
public func maxDifference(_ a: [Float], _ b: [Float]) -> Float {
    guard a.count == b.count else { return .infinity }
    var largest: Float = 0
    for i in 0..<a.count {
        let difference = abs(a[i] - b[i])
        if !(difference <= largest) { largest = difference.isNaN ? .infinity : difference }
    }
    return largest
}

/// Opens a fixture checkpoint's file by name.
public func fixtureOpener(_ checkpoint: String) -> (String) throws(CheckpointError) -> ByteRegion? {
    { (name: String) throws(CheckpointError) -> ByteRegion? in
        (try? readBytes(Fixtures.path("checkpoints/\(checkpoint)/\(name)"))).map { ByteRegion(copying: $0) }
    }
}
