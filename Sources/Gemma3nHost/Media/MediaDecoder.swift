public import Gemma3n
public import Tensors

/// Where encoded media come from.
public enum MediaSource: Sendable {
    /// A regular file.
    case file(String)
    /// An encoded file in memory, and what messages call it.
    case bytes(ByteRegion, name: String)

    /// An encoded file in memory.
    public static func bytes(_ bytes: [UInt8], name: String) -> MediaSource {
        .bytes(ByteRegion(copying: bytes), name: name)
    }

    /// What messages call it.
    public var name: String {
        switch self {
        case .file(let path): path
        case .bytes(_, let name): name
        }
    }
}

/// What a decoder refuses, so that a hostile file cannot take all memory or time.
public struct MediaLimits: Sendable, Equatable {
    /// Pixels of a picture or video frame.
    public var maxPixels = 120_000_000
    /// Seconds of sound.
    public var maxSoundSeconds = 3600.0
    /// Seconds of video.
    public var maxVideoSeconds = 4 * 3600.0

    public init() {}
}

/// Which frames of a video are taken.
public struct VideoSampling: Sendable, Equatable {
    /// Frames per second of video. Frame `k` is the one that is shown at `k / framesPerSecond` seconds.
    public var framesPerSecond: Double
    /// At most so many frames. A video that would give more is sampled evenly instead: it is cut into `maxFrames` equal parts
    /// and the frame shown in the middle of each part is taken.
    public var maxFrames: Int
    /// Whether the sound track is decoded too.
    public var includesSound: Bool

    /// - Parameters:
    ///   - framesPerSecond: 1 by default: each frame costs as many tokens as an image.
    ///   - maxFrames: 16 by default.
    public init(framesPerSecond: Double = 1, maxFrames: Int = 16, includesSound: Bool = true) {
        self.framesPerSecond = framesPerSecond
        self.maxFrames = maxFrames
        self.includesSound = includesSound
    }
}

/// A picture of a video and when it is shown.
public struct VideoFrame: Sendable, Equatable {
    /// Seconds from the start of the video.
    public let time: Double
    public let image: RGBImage

    public init(time: Double, image: RGBImage) {
        self.time = time
        self.image = image
    }
}

/// What the model is shown of a video.
public struct VideoClip: Sendable, Equatable {
    /// In order of time, at least one.
    public let frames: [VideoFrame]
    /// The sound track, nil if there is none or it was not asked for.
    public let sound: AudioClip?
    /// Seconds.
    public let duration: Double

    public init(frames: [VideoFrame], sound: AudioClip?, duration: Double) {
        self.frames = frames
        self.sound = sound
        self.duration = duration
    }
}

/// Turns files into pixels and samples.
///
/// `FFmpegDecoder` does it with FFmpeg's libraries; another implementation may use what its system offers.
/// Decoders are stateless: one may be used from several threads at once. `isCancelled` is asked now and then; when it says
/// true the call ends with `MediaError.Code.cancelled`.
public protocol MediaDecoder: Sendable {
    /// The first picture of a PNG, JPEG, WebP, GIF, BMP or TIFF file: upright (EXIF orientation applied) and opaque
    /// (transparency composited over white).
    func image(_ source: MediaSource, isCancelled: @Sendable () -> Bool) throws(MediaError) -> RGBImage

    /// The sound of a WAV, FLAC, MP3, Ogg (Vorbis, Opus), M4A or video file: one channel (the mean of all) at 16 kHz.
    func audio(_ source: MediaSource, isCancelled: @Sendable () -> Bool) throws(MediaError) -> AudioClip

    /// Frames of an MP4, MOV or WebM file, upright, and its sound track.
    func video(_ source: MediaSource, sampling: VideoSampling, isCancelled: @Sendable () -> Bool) throws(MediaError) -> VideoClip
}

extension MediaDecoder {
    /// Decodes a picture without a way to cancel.
    public func image(_ source: MediaSource) throws(MediaError) -> RGBImage {
        try image(source, isCancelled: { false })
    }

    /// Decodes a sound without a way to cancel.
    public func audio(_ source: MediaSource) throws(MediaError) -> AudioClip {
        try audio(source, isCancelled: { false })
    }

    /// Decodes a video without a way to cancel.
    public func video(_ source: MediaSource, sampling: VideoSampling = VideoSampling()) throws(MediaError) -> VideoClip {
        try video(source, sampling: sampling, isCancelled: { false })
    }
}

extension MediaSource {
    /// The bytes: a file is mapped, or read whole if `copied`.
    func region(copied: Bool) throws(MediaError) -> ByteRegion {
        let region: ByteRegion
        switch self {
        case .bytes(let bytes, _): region = bytes
        case .file(let path):
            do throws(FileError) {
                region = copied ? try readRegion(path) : try MappedFile(path: path).region
            } catch {
                throw MediaError(error.code == .tooLarge ? .tooLarge : .unreadable, name: "", error.message)
            }
        }
        guard region.count > 0 else { throw MediaError(.empty, name: name, "the file is empty.") }
        return region
    }
}
