internal import CKernels
internal import Checkpoint
internal import Tensors

/// The copies in 8 bits of an encoder's matrices: each made when it is first needed, all given up together.
final class EncoderCopies: @unchecked Sendable {
    private let precision: EncoderPrecision
    // Grows while the encoder is read, by one thread; afterwards it is only read.
    private var all: [EncoderPanels] = []

    init(_ precision: EncoderPrecision) { self.precision = precision }

    /// Room for a copy of a matrix; nil where products are computed in float32.
    func panels(columns: Int) -> EncoderPanels? {
        guard precision == .fast, columns % 32 == 0 else { return nil }
        let panels = EncoderPanels()
        all.append(panels)
        return panels
    }

    /// Gives the copies up. Whoever computes with one keeps it; they are made again when they are next needed.
    func release() {
        for panels in all { panels.release() }
    }

    /// Bytes of the copies that are there.
    var byteCount: Int { all.reduce(0) { $0 + $1.byteCount } }

    /// Bytes of the weights of an encoder's tensor while the encoder is used: those of the copy if there is one, whose original is not
    /// read any more.
    static func byteCount(_ tensor: StoredTensor, _ precision: EncoderPrecision) -> Int {
        guard precision == .fast, tensor.shape.count >= 2, let rows = tensor.shape.first, rows > 0 else { return tensor.byteCount }
        let columns = tensor.elementCount / rows
        let format = tensor.format.isQuantized ? tensor.format : .q8_0
        return columns % 32 == 0 ? MatrixLayout.panels.byteCount(format, rows: rows, columns: columns) ?? tensor.byteCount : tensor.byteCount
    }
}

/// Weights in 8 bits, made when they are first needed and shared by everybody who uses the model.
final class EncoderPanels: @unchecked Sendable {
    private let lock: UnsafeMutablePointer<Int32>
    private var made: Matrix?

    init() {
        lock = .allocate(capacity: 1)
        lock.initialize(to: 0)
    }

    deinit { lock.deallocate() }

    func panels(of weight: Matrix, _ parallelism: Parallelism) -> Matrix? {
        ck_lock(lock)
        defer { ck_unlock(lock) }
        if made == nil {
            made = weight.inPanels(parallelism)
            weight.advise(.unused)
        }
        return made
    }

    func release() {
        ck_lock(lock)
        defer { ck_unlock(lock) }
        made = nil
    }

    var byteCount: Int {
        ck_lock(lock)
        defer { ck_unlock(lock) }
        return made?.byteCount ?? 0
    }
}
