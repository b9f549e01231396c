internal import CKernels
internal import Checkpoint
internal import Tensors

/// The part of a stored tensor that a slice keeps: bytes of it, in their order.
///
/// The tensor's bytes are seen as groups of one size (rows, panels, or all of it); of each group the same runs are kept.
struct TensorCut {
    /// In the output.
    let name: String
    let typeName: String
    let format: ElementFormat?
    let shape: [Int]
    let byteCount: Int

    private let region: ByteRegion
    private let start: Int
    private let stride: Int
    /// Of a group; ascending.
    private let runs: [Range<Int>]
    private let groupBytes: Int
    /// Of a group of the output: what is cleared.
    private let cleared: [Range<Int>]

    /// - Parameters:
    ///   - groups: How many there are.
    ///   - stride: Bytes from one to the next.
    private init(
        _ tensor: StoredTensor, name: String, shape: [Int], groups: Int = 1, stride: Int = 0, runs: [Range<Int>], cleared: [Range<Int>] = []
    ) {
        self.name = name
        self.shape = shape
        typeName = tensor.layout.typeName(tensor.format)
        format = tensor.format
        region = tensor.region
        start = tensor.offset
        self.stride = stride
        self.runs = runs
        self.cleared = cleared
        groupBytes = runs.reduce(0) { $0 + $1.count }
        byteCount = groups * groupBytes
    }

    /// All of a tensor.
    init(_ tensor: StoredTensor, name: String) {
        self.init(tensor, name: name, shape: tensor.shape, runs: [0..<tensor.byteCount])
    }

    /// A tensor of another element type than the model computes with, whole.
    init(_ tensor: OtherTensor) {
        name = tensor.name
        typeName = tensor.format
        format = nil
        shape = tensor.shape
        region = ByteRegion(copying: tensor.bytes)
        start = 0
        stride = 0
        runs = [0..<region.count]
        cleared = []
        groupBytes = region.count
        byteCount = region.count
    }

    /// Runs of rows, ascending.
    ///
    /// - Throws: `uncuttable` if panels would have to be opened.
    init(_ tensor: StoredTensor, name: String, rows: [Range<Int>]) throws(SliceCutError) {
        let (rowCount, columns) = (tensor.shape[0], tensor.shape[1])
        let kept = rows.reduce(0) { $0 + $1.count }
        let shape = [kept, columns]
        if rows == [0..<rowCount] {
            self.init(tensor, name: name, shape: shape, runs: [0..<tensor.byteCount])
            return
        }
        switch tensor.layout {
        case .rows:
            let bytes = tensor.format.byteCount(of: columns)
            self.init(tensor, name: name, shape: shape, runs: rows.map { $0.lowerBound * bytes..<$0.upperBound * bytes })
        case .panels:
            let bytes = ck_panel_bytes(ck_format(UInt32(tensor.format.rawValue)), columns)
            guard rows.allSatisfy({ $0.lowerBound % 16 == 0 }), rows.dropLast().allSatisfy({ $0.count % 16 == 0 }) else { throw SliceCutError(unit: 16) }
            self.init(tensor, name: name, shape: shape, runs: rows.map { $0.lowerBound / 16 * bytes..<($0.upperBound + 15) / 16 * bytes })
        case .units, .groups: throw SliceCutError(unit: rowCount)
        }
    }

    /// Runs of columns, ascending; of panels and units the first columns only.
    ///
    /// - Throws: `uncuttable` if blocks would have to be opened.
    init(_ tensor: StoredTensor, name: String, columns: [Range<Int>]) throws(SliceCutError) {
        let (rows, columnCount) = (tensor.shape[0], tensor.shape[1])
        let kept = columns.reduce(0) { $0 + $1.count }
        let format = tensor.format
        let block = format.blockLength
        guard columns.allSatisfy({ $0.lowerBound % block == 0 && $0.upperBound % block == 0 }) else { throw SliceCutError(unit: block) }
        let shape = [rows, kept]
        if columns == [0..<columnCount] {
            self.init(tensor, name: name, shape: shape, runs: [0..<tensor.byteCount])
            return
        }
        let kernel = ck_format(UInt32(format.rawValue))
        switch tensor.layout {
        case .rows:
            self.init(
                tensor, name: name, shape: shape, groups: rows, stride: format.byteCount(of: columnCount),
                runs: columns.map { format.byteCount(of: $0.lowerBound)..<format.byteCount(of: $0.upperBound) })
        case .panels:
            guard columns.count == 1, columns[0].lowerBound == 0 else { throw SliceCutError(unit: columnCount) }
            let bytes = ck_panel_bytes(kernel, kept)
            // Records of two blocks hold scales of 64 bytes and then the halves: without its second block, the last one has zeros there.
            var cleared: [Range<Int>] = []
            if kept % ck_panel_record_columns(kernel) != 0 {
                let record = bytes - ck_panel_record_bytes(kernel)
                cleared = [record + 32..<record + 64, bytes - (ck_panel_record_bytes(kernel) - 64) / 2..<bytes]
            }
            self.init(
                tensor, name: name, shape: shape, groups: (rows + 15) / 16, stride: ck_panel_bytes(kernel, columnCount), runs: [0..<bytes],
                cleared: cleared)
        case .units:
            guard columns.count == 1, columns[0].lowerBound == 0 else { throw SliceCutError(unit: columnCount) }
            self.init(tensor, name: name, shape: shape, runs: [0..<ck_units_bytes(kernel, rows, kept)])
        case .groups: throw SliceCutError(unit: columnCount)
        }
    }

    /// Writes the cut's bytes in `range` to `out`.
    func copy(_ range: Range<Int>, to out: UnsafeMutableRawPointer) {
        guard let base = region.bytes.baseAddress, groupBytes > 0 else { return }
        var position = range.lowerBound
        while position < range.upperBound {
            let group = position / groupBytes
            let groupStart = group * groupBytes
            let source = base + start + group * stride
            var runStart = groupStart
            for run in runs {
                let part = max(position, runStart)..<max(position, runStart, min(range.upperBound, runStart + run.count))
                if !part.isEmpty {
                    (out + (part.lowerBound - range.lowerBound)).copyMemory(from: source + run.lowerBound + (part.lowerBound - runStart), byteCount: part.count)
                }
                runStart += run.count
            }
            for clear in cleared {
                let part = max(range.lowerBound, groupStart + clear.lowerBound)..<max(range.lowerBound, groupStart + clear.lowerBound, min(range.upperBound, groupStart + clear.upperBound))
                (out + (part.lowerBound - range.lowerBound)).initializeMemory(as: UInt8.self, repeating: 0, count: part.count)
            }
            position = groupStart + groupBytes
        }
    }

    /// Lets the system have the pages that `copy` read for `range`.
    func release(_ range: Range<Int>) {
        if range.isEmpty || groupBytes == 0 { return }
        let (first, last) = (source(of: range.lowerBound), source(of: range.upperBound - 1))
        region.advise(.unused, first..<last + 1)
    }

    /// Where in the region a byte of the cut comes from.
    private func source(of position: Int) -> Int {
        var rest = position % groupBytes
        for run in runs {
            if rest < run.count { return start + position / groupBytes * stride + run.lowerBound + rest }
            rest -= run.count
        }
        return start
    }
}

/// A tensor can be cut at multiples of `unit` only.
struct SliceCutError: Error {
    let unit: Int
}
