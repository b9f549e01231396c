#if os(Linux)
import Foundation
import Gemma3n
import Gemma3nHost
import Tensors
import Testing

/// A table in a file, read row by row: what of it is in memory stays within the budget.
@Suite struct ResidentRowsTests {
    /// Resident bytes of the mapping of the file whose path ends in `name`.
    private func resident(_ name: String) throws -> Int {
        var isMapping = false
        // Foundation believes that files of size 0 are empty.
        let smaps = try #require(FileHandle(forReadingAtPath: "/proc/self/smaps"))
        for line in String(decoding: try smaps.readToEnd() ?? Data(), as: UTF8.self).split(separator: "\n") {
            if line.contains("/") { isMapping = line.hasSuffix(name) }
            if isMapping, line.hasPrefix("Rss:") { return (Int(line.split(separator: " ")[1]) ?? 0) << 10 }
        }
        return 0
    }

    @Test func residentPartStaysWithinItsBudget() throws {
        try withTemporaryDirectory { directory in
            // 30,000 rows of 7,680 bytes: 230 MB of zeros that take no room on the disk.
            let (rows, columns) = (30_000, 1920)
            let path = directory + "/table.resident-rows"
            #expect(FileManager.default.createFile(atPath: path, contents: nil))
            let handle = try #require(FileHandle(forWritingAtPath: path))
            try handle.truncate(atOffset: UInt64(rows * columns * 4))
            try handle.close()
            let region = try MappedFile(path: path).region
            region.advise(.random, 0..<region.count)
            let table = Matrix(region: region, offset: 0, rows: rows, columns: columns, format: .f32)
            let budget = 8 << 20
            let resident = ResidentRows(table, budget: budget)
            #expect(resident.budget == budget)
            func read(_ count: Int, _ each: () -> Void = {}) -> Float {
                var row = [Float](repeating: 0, count: columns)
                var sum: Float = 0
                for i in 0..<count {
                    each()
                    row.withUnsafeMutableBufferPointer { table.decodeRow(i * 7919 % rows, into: $0.baseAddress!) }
                    sum += row[0]
                }
                return sum
            }
            var most = 0
            for _ in 0..<20 {
                #expect(read(211) { resident.willReadRow() } == 0)
                most = max(most, try self.resident("table.resident-rows"))
            }
            #expect(most <= budget, "\(most) bytes")
            #expect(most > 0)
            // Unbounded it would be far more; this is what the budget is for.
            #expect(read(6000) == 0)
            #expect(try self.resident("table.resident-rows") > 2 * budget)
        }
    }
}
#endif
