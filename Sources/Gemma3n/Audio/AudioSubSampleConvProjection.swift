internal import CKernels
internal import Checkpoint
internal import Tensors

/// Shortens log-mel features fourfold: two strided convolutions over time and frequency, then a projection.
///
/// Time is padded with zeros behind only, so that a step looks ahead; frequency with one zero on either side. Rows are kept channels-last:
/// `[frequency, channel]` is both what a convolution reads and the order in which the projection expects its inputs.
///
/// - Source: `Gemma3nAudioSubSampleConvProjection` in transformers 5.23.0.
struct AudioSubSampleConvProjection: Sendable {
    private let conv0: AudioSSCPConvBlock
    private let conv1: AudioSSCPConvBlock
    private let projection: EncoderMatrix  // [D, F C]

    init(_ scope: WeightScope, _ c: AudioConfiguration, _ copies: EncoderCopies) throws(CheckpointError) {
        conv0 = try AudioSSCPConvBlock(scope["conv_0"], c, index: 0)
        conv1 = try AudioSSCPConvBlock(scope["conv_1"], c, index: 1)
        projection = EncoderMatrix(
            try scope["input_proj_linear"].matrix(
                rows: c.hiddenSize, columns: conv1.rowSize,
                reason: "hidden_size \(c.hiddenSize), \(conv1.outFrequencies) frequencies × \(conv1.outChannels) channels"), copies)
    }

    /// The first `count` outputs, `[count, D]` into `output`.
    ///
    /// Works through time in pieces, so that memory does not grow with the clip.
    ///
    /// - Parameters:
    ///   - features: `[frames, mel bins]`.
    ///   - count: At most the number of outputs that `frames` give.
    func callAsFunction(
        _ features: UnsafePointer<Float>, frames: Int, count: Int, into output: UnsafeMutablePointer<Float>,
        _ memory: EncoderMemory, _ parallelism: Parallelism
    ) {
        if count == 0 { return }
        let piece = 96
        let projection = projection.ready(memory, parallelism)
        let middleFrames = conv0.outputCount(frames)
        let middle = FloatBuffer(count: (conv1.inputCount(piece)) * conv0.rowSize)
        let flat = FloatBuffer(count: piece * conv1.rowSize)
        var norm0 = AudioCumulativeGroupNorm()
        var norm1 = AudioCumulativeGroupNorm()
        var middleStart = 0  // the row of conv0 that lies at the start of `middle`
        var middleEnd = 0  // rows of conv0 computed so far
        for start in stride(from: 0, to: count, by: piece) {
            let end = min(count, start + piece)
            // Rows of conv0 that these outputs read; some may be there from the piece before.
            let needed = conv1.strideTime * start
            for row in needed..<max(needed, middleEnd) {
                let source = middle.pointer + (row - middleStart) * conv0.rowSize
                (middle.pointer + (row - needed) * conv0.rowSize).update(from: source, count: conv0.rowSize)
            }
            middleStart = needed
            let neededEnd = min(middleFrames, needed + conv1.inputCount(end - start))
            if middleEnd < neededEnd {
                conv0.compute(
                    middleEnd..<neededEnd, input: features, inputStart: 0, inputEnd: frames,
                    into: middle.pointer + (middleEnd - middleStart) * conv0.rowSize, norm: &norm0, parallelism)
                middleEnd = neededEnd
            }
            conv1.compute(
                start..<end, input: middle.pointer, inputStart: middleStart, inputEnd: middleEnd, into: flat.pointer, norm: &norm1, parallelism)
            projection.multiply(flat.pointer, tokens: end - start, into: output + start * projection.rows, memory, parallelism)
        }
    }
}

/// What a cumulative group norm carries from one time to the next.
///
/// One group over all channels and frequencies; at each time the statistics of all times up to it. The variance sums each
/// row's squared deviations from *its own* cumulative mean, so it is not the running variance of the textbooks.
///
/// - Source: `Gemma3nAudioCumulativeGroupNorm` in transformers 5.23.0.
struct AudioCumulativeGroupNorm {
    private var sum = 0.0
    private var squaredDeviations = 0.0
    private var meanCount = 0.0
    private var varianceCount = 0.0

    init() {}

    /// Takes the next row's sum of `count` values; returns the mean up to it.
    mutating func mean(addingSum rowSum: Float, count: Int) -> Float {
        sum += Double(rowSum)
        meanCount += Double(count)
        return Float(sum / meanCount)
    }

    /// Takes the next row's squared deviations from its mean; returns `1 / sqrt(variance up to it + epsilon)`.
    mutating func scale(addingSquaredDeviations rowSum: Float, count: Int, epsilon: Float) -> Float {
        squaredDeviations += Double(rowSum)
        varianceCount += Double(count)
        return Float(1 / (squaredDeviations / varianceCount + Double(epsilon)).squareRoot())
    }
}

/// Convolution, cumulative group norm and ReLU.
///
/// - Source: `Gemma3nAudioSSCPConvBlock` in transformers 5.23.0.
struct AudioSSCPConvBlock: Sendable {
    let outChannels: Int
    let outFrequencies: Int
    let strideTime: Int
    /// Values of an output row, `[frequency, channel]`.
    var rowSize: Int { outFrequencies * outChannels }

    private let inChannels: Int
    private let inFrequencies: Int
    private let kernelTime: Int
    private let kernelFrequency: Int
    private let strideFrequency: Int
    private let epsilon: Float
    private let weight: Matrix  // [outChannels, kernelTime kernelFrequency inChannels]
    private let transposed: Vector  // the same, [kernelTime kernelFrequency inChannels, outChannels]
    private let normWeight: Vector  // [outChannels]

    init(_ scope: WeightScope, _ c: AudioConfiguration, index: Int) throws(CheckpointError) {
        inChannels = index == 0 ? 1 : c.sscpConvChannelSize[index - 1]
        outChannels = c.sscpConvChannelSize[index]
        inFrequencies = index == 0 ? c.inputFeatSize : c.sscpFrequencies[index - 1]
        outFrequencies = c.sscpFrequencies[index]
        kernelTime = c.sscpConvKernelSize[index].time
        kernelFrequency = c.sscpConvKernelSize[index].frequency
        strideTime = c.sscpConvStrideSize[index].time
        strideFrequency = c.sscpConvStrideSize[index].frequency
        epsilon = c.sscpConvGroupNormEps
        // Stored [out, in, time, frequency]; channels go last here, as they do in the rows.
        let stored = try scope["conv"].tensor(
            shape: [outChannels, inChannels, kernelTime, kernelFrequency], reason: "sscp_conv_channel_size, sscp_conv_kernel_size"
        ).decoded()
        let taps = kernelTime * kernelFrequency
        var rows = [Float](repeating: 0, count: stored.count)
        var columns = rows
        for o in 0..<outChannels {
            for i in 0..<inChannels {
                for tap in 0..<taps {
                    let value = stored[(o * inChannels + i) * taps + tap]
                    rows[(o * taps + tap) * inChannels + i] = value
                    columns[(tap * inChannels + i) * outChannels + o] = value
                }
            }
        }
        weight = Matrix(rows, rows: outChannels, columns: taps * inChannels)
        transposed = Vector(columns)
        normWeight = try scope["norm"].vector(count: outChannels, reason: "sscp_conv_channel_size")
    }

    /// Output rows for so many input rows: `ceil(n / stride)`.
    func outputCount(_ inputs: Int) -> Int { (inputs + strideTime - 1) / strideTime }
    /// Input rows that so many consecutive outputs read.
    func inputCount(_ outputs: Int) -> Int { strideTime * (outputs - 1) + kernelTime }

    /// The output rows in `range`, the next ones `norm` has not seen, into `output`.
    ///
    /// - Parameter input: Rows `inputStart ..< inputEnd`; those from `inputEnd` on are zeros.
    func compute(
        _ range: Range<Int>, input: UnsafePointer<Float>, inputStart: Int, inputEnd: Int, into output: UnsafeMutablePointer<Float>,
        norm: inout AudioCumulativeGroupNorm, _ parallelism: Parallelism
    ) {
        let statistics = FloatBuffer(count: 2 * range.count)
        let sums = statistics.pointer
        let scales = statistics.pointer + range.count
        parallelism.forEachRange(range.count, by: 2) { part in
            let patches = FloatBuffer(count: outFrequencies * weight.columns)
            for r in part {
                let row = output + r * rowSize
                gather(range.lowerBound + r, input: input, inputStart: inputStart, inputEnd: inputEnd, into: patches.pointer)
                convolve(patches.pointer, into: row)
                sums[r] = ck_sum_f32(row, rowSize)
            }
        }
        for r in 0..<range.count { sums[r] = norm.mean(addingSum: sums[r], count: rowSize) }
        parallelism.forEachRange(range.count, by: 8) { part in
            for r in part { scales[r] = ck_sum_squared_deviations_f32(output + r * rowSize, sums[r], rowSize) }
        }
        for r in 0..<range.count {
            scales[r] = norm.scale(addingSquaredDeviations: scales[r], count: rowSize, epsilon: epsilon)
        }
        parallelism.forEachRange(range.count, by: 8) { part in
            for r in part { normalize(output + r * rowSize, mean: sums[r], scale: scales[r]) }
        }
    }

    /// What every output frequency of row `t` reads, `[outFrequencies, kernelTime kernelFrequency inChannels]`.
    private func gather(
        _ t: Int, input: UnsafePointer<Float>, inputStart: Int, inputEnd: Int, into patches: UnsafeMutablePointer<Float>
    ) {
        for f in 0..<outFrequencies {
            for kt in 0..<kernelTime {
                let row = t * strideTime + kt
                for kf in 0..<kernelFrequency {
                    let patch = patches + f * weight.columns + (kt * kernelFrequency + kf) * inChannels
                    let frequency = f * strideFrequency + kf - 1
                    if row < inputEnd && frequency >= 0 && frequency < inFrequencies {
                        patch.update(from: input + ((row - inputStart) * inFrequencies + frequency) * inChannels, count: inChannels)
                    } else {
                        patch.update(repeating: 0, count: inChannels)
                    }
                }
            }
        }
    }

    private func convolve(_ patches: UnsafePointer<Float>, into row: UnsafeMutablePointer<Float>) {
        if inChannels == 1 {
            // Few inputs, many outputs: vectors over the outputs.
            for f in 0..<outFrequencies {
                ck_weighted_sum_f32(
                    patches + f * weight.columns, weight.columns, transposed.pointer, outChannels, row + f * outChannels, outChannels)
            }
        } else {
            weight.multiplyRows(0..<outChannels, patches, tokens: outFrequencies, xStride: weight.columns, into: row, yStride: outChannels)
        }
    }

    private func normalize(_ row: UnsafeMutablePointer<Float>, mean: Float, scale: Float) {
        for f in 0..<outFrequencies {
            let x = row + f * outChannels
            for channel in 0..<outChannels {
                x[channel] = max((x[channel] - mean) * scale * normWeight.pointer[channel], 0)
            }
        }
    }
}
