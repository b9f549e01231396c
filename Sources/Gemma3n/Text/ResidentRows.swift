internal import Synchronization
package import Tensors

/// Keeps the resident part of a table that is read row by row from a mapped file within a budget.
///
/// Rows are counted as they are read, each with the pages a system may bring in around it. When they come to the budget, the
/// memory of the whole table is given up: rows read again come back from the file or the system's cache of it.
package final class ResidentRows: Sendable {
    private let table: Matrix
    private let bytesPerRow: Int
    private let limit: Atomic<Int>
    /// Bytes brought in since memory was last given up, at most.
    private let held = Atomic<Int>(0)

    /// Systems map up to so many bytes around the page that was asked for (Linux: fault_around_bytes).
    package static let window = 64 << 10
    /// Without a word from the user: some hundred rows.
    package static let defaultBudget = 64 << 20

    package init(_ table: Matrix, budget: Int = ResidentRows.defaultBudget) {
        self.table = table
        // A row may begin at the end of one window, wherever a part of it lies.
        bytesPerRow = table.places.reduce(0) { sum, place in
            let rowBytes = table.rows > 0 ? place.bytes.count / table.rows : 0
            return sum + ((rowBytes + Self.window - 1) / Self.window + 1) * Self.window
        }
        limit = Atomic(max(budget, bytesPerRow))
    }

    package var budget: Int { limit.load(ordering: .relaxed) }

    /// - Parameter bytes: At least one row is always held.
    package func setBudget(_ bytes: Int) { limit.store(max(bytes, bytesPerRow), ordering: .relaxed) }

    /// Before every read of a row, from any thread.
    package func willReadRow() {
        guard table.region.isFileMapping else { return }
        if held.wrappingAdd(bytesPerRow, ordering: .relaxed).newValue > budget { giveUp() }
    }

    private func giveUp() {
        held.store(bytesPerRow, ordering: .relaxed)
        table.advise(.unused)
    }
}
