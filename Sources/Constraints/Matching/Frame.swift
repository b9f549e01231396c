/// A rule that waits for another to end: where it goes on, with its counter. Frames are shared and never changed.
final class Frame {
    let parent: Frame?
    let node: Int32
    let depth: Int32
    let counter: UInt64
    /// Equal frames of one machine have one number (until the machine forgets; then some have two, which only costs time).
    let id: UInt64

    init(parent: Frame?, node: Int32, counter: UInt64, id: UInt64) {
        self.parent = parent
        self.node = node
        self.counter = counter
        self.id = id
        depth = (parent?.depth ?? 0) + 1
    }
}

/// One way to read what has been written so far.
struct Reading {
    var node: Int32
    var counter: UInt64
    var stack: Frame?

    var depth: Int32 { stack?.depth ?? 0 }
    var stackID: UInt64 { stack?.id ?? 0 }
}

/// All readings of what has been written so far, at nodes that take a byte; and whether it could end here.
final class Position {
    let readings: [Reading]
    let isAccepting: Bool

    init(readings: [Reading], isAccepting: Bool) {
        self.readings = readings
        self.isAccepting = isAccepting
    }
}
