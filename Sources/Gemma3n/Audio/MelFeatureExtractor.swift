internal import CKernels
public import Tensors

/// What the audio tower takes of one clip: log-mel features and which frames are real.
public struct AudioFeatures: Sendable {
    public let frameCount: Int
    /// Mel bins of a frame.
    public let featureCount: Int
    /// `[frameCount, featureCount]`, row-major.
    public let values: [Float]
    /// Per frame: whether its first sample belongs to the clip rather than to padding.
    public let mask: [Bool]

    /// - Precondition: `values` holds `mask.count` frames of `featureCount`.
    public init(values: [Float], mask: [Bool], featureCount: Int) {
        precondition(values.count == mask.count * featureCount, "\(values.count) values are no \(mask.count) frames of \(featureCount)")
        frameCount = mask.count
        self.featureCount = featureCount
        self.values = values
        self.mask = mask
    }
}

/// Makes log-mel features of clips, as the released processor does.
///
/// Frames of 32 ms every 10 ms, not centred; pre-emphasis within a frame; periodic Hann window; magnitudes of a transform
/// of 1024 samples; 128 triangular mel filters; natural logarithm with a floor. Pre-emphasis, window and spectrum are rounded to
/// float32 where the reference rounds them.
///
/// - Source: `Gemma3nAudioFeatureExtractor` in transformers 5.23.0.
public struct MelFeatureExtractor: Sendable {
    public let configuration: AudioFeatureConfiguration
    private let window: [Float]
    private let transform: FourierTransform
    private let filterBank: MelFilterBank

    public init(_ configuration: AudioFeatureConfiguration) {
        self.configuration = configuration
        let length = configuration.frameLength
        window = (0..<length).map { HannWindow.value($0, length: length) }
        transform = FourierTransform(length: max(2, configuration.fftLength))
        filterBank = MelFilterBank(
            count: configuration.featureSize, bins: transform.binCount,
            binWidth: Double(configuration.samplingRate) / Double(transform.length),
            range: configuration.minFrequency...configuration.maxFrequency)
    }

    /// Features of all clips of a prompt, which are padded together to the longest, rounded up to a multiple of 128 samples.
    ///
    /// Padded frames hold the logarithm of the floor, not zeros. Padding can be seen in the last soft token of a clip, so the clips
    /// of one prompt belong into one call. A clip shorter than a frame is welcome beside a longer one.
    ///
    /// - Returns: As many as `clips`, all of the same number of frames.
    /// - Throws: `emptyClip`, `badSample`, `clipTooLong` (beyond 480,000 samples; nothing is cut silently), `clipTooShort` if
    ///   not even the longest clip fills a frame.
    public func features(of clips: [AudioClip], _ parallelism: Parallelism = .serial, length: Int = 0) throws(AudioError) -> [AudioFeatures] {
        for (index, clip) in clips.enumerated() { try check(clip, number: index + 1) }
        let longest = max(length, clips.map { $0.samples.count }.max() ?? 0)
        let padded = configuration.paddedSampleCount(longest: longest)
        let frames = configuration.frameCount(samples: padded)
        if !clips.isEmpty && frames == 0 {
            let needed = configuration.frameLength / AudioFeatureConfiguration.paddingMultiple * AudioFeatureConfiguration.paddingMultiple + 1
            throw AudioError(
                .clipTooShort,
                "a clip of \(longest) samples (\(longest * 1000 / AudioClip.sampleRate) ms) is shorter than a frame; the audio encoder needs at least \(needed) samples. Append silence, or leave the clip out.")
        }
        return clips.map { features(of: $0, paddedTo: padded, frames: frames, parallelism) }
    }

    private func check(_ clip: AudioClip, number: Int) throws(AudioError) {
        if clip.samples.isEmpty { throw AudioError(.emptyClip, "audio clip \(number) has no samples.") }
        if clip.samples.count > AudioFeatureConfiguration.maxSampleCount {
            throw AudioError(
                .clipTooLong,
                "audio clip \(number) has \(clip.samples.count) samples; the encoder takes at most \(AudioFeatureConfiguration.maxSampleCount) (30 s). Split it into windows.")
        }
        let scale = Float(configuration.inputScaleFactor)
        // 1e30 leaves room for the sums of many thousand samples in float32.
        if let bad = clip.samples.firstIndex(where: { !(($0 * scale).magnitude <= 1e30) }) {
            throw AudioError(
                .badSample,
                "audio clip \(number): sample \(bad) is \(clip.samples[bad]); samples must be finite numbers, nominally from -1 to 1.")
        }
    }

    private func features(of clip: AudioClip, paddedTo padded: Int, frames: Int, _ parallelism: Parallelism) -> AudioFeatures {
        let count = clip.samples.count
        let start = configuration.padsLeft ? padded - count : 0
        let bins = configuration.featureSize
        let hop = configuration.hopLength
        let mask = (0..<frames).map { $0 * hop >= start && $0 * hop < start + count }
        let values = [Float](unsafeUninitializedCapacity: frames * bins) { output, initialized in
            clip.samples.withUnsafeBufferPointer { samples in
                parallelism.forEachRange(frames, by: 64) { range in
                    compute(range, samples: samples, start: start, into: output)
                }
            }
            initialized = frames * bins
        }
        return AudioFeatures(values: values, mask: mask, featureCount: bins)
    }

    /// The frames in `range`, four at a time.
    private func compute(
        _ range: Range<Int>, samples: UnsafeBufferPointer<Float>, start: Int, into output: UnsafeMutableBufferPointer<Float>
    ) {
        typealias Lanes = FourierTransform.Lanes
        let length = configuration.frameLength
        let signal = UnsafeMutablePointer<Lanes>.allocate(capacity: transform.length)
        let magnitudes = UnsafeMutablePointer<Lanes>.allocate(capacity: transform.binCount)
        let scratch = UnsafeMutablePointer<Lanes>.allocate(capacity: transform.scratchCount)
        let frame = UnsafeMutablePointer<Float>.allocate(capacity: length + 1)
        defer {
            signal.deallocate()
            magnitudes.deallocate()
            scratch.deallocate()
            frame.deallocate()
        }
        let bins = configuration.featureSize
        let lanes = Lanes.scalarCount
        for first in stride(from: range.lowerBound, to: range.upperBound, by: lanes) {
            let used = min(lanes, range.upperBound - first)
            signal.initialize(repeating: .zero, count: transform.length)
            for lane in 0..<used {
                load(frame, samples: samples, from: (first + lane) * configuration.hopLength - start)
                preemphasize(frame)
                window.withUnsafeBufferPointer { window in
                    for j in 0..<length { signal[j][lane] = Double(frame[j] * window[j]) }
                }
            }
            transform.magnitudes(of: signal, into: magnitudes, scratch: scratch)
            for (bin, filter) in filterBank.filters.enumerated() {
                var sum = Lanes.zero
                filter.weights.withUnsafeBufferPointer { weights in
                    for k in 0..<weights.count { sum += magnitudes[filter.firstBin + k] * weights[k] }
                }
                for lane in 0..<used {
                    var value = ck_log(max(sum[lane], configuration.melFloor))
                    if let mean = configuration.perBinMean { value -= mean[bin] }
                    if let deviation = configuration.perBinStddev { value /= deviation[bin] }
                    output[(first + lane) * bins + bin] = Float(value)
                }
            }
        }
    }

    /// `frameLength + 1` samples from `position` on, scaled; padding where there are none.
    private func load(_ frame: UnsafeMutablePointer<Float>, samples: UnsafeBufferPointer<Float>, from position: Int) {
        let scale = Float(configuration.inputScaleFactor)
        let padding = configuration.paddingValue * scale
        for j in 0...configuration.frameLength {
            let index = position + j
            frame[j] = index >= 0 && index < samples.count ? samples[index] * scale : padding
        }
    }

    /// In place: `frameLength` values remain.
    private func preemphasize(_ frame: UnsafeMutablePointer<Float>) {
        let coefficient = Float(configuration.preemphasis)
        if !(configuration.preemphasis > 0) { return }
        if configuration.preemphasisHTKFlavor {
            for j in stride(from: configuration.frameLength - 1, to: 0, by: -1) { frame[j] = frame[j] - coefficient * frame[j - 1] }
            frame[0] *= Float(1 - configuration.preemphasis)
        } else {
            for j in 0..<configuration.frameLength { frame[j] = frame[j + 1] - coefficient * frame[j] }
        }
    }
}
