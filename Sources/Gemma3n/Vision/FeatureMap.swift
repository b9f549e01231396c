internal import Tensors

/// A picture of features inside the tower: `height × width` pixels, row by row, each with `channels` float32 in a row.
///
/// Channels lie together (the reference's lie apart): the norms run over channels and every 1x1 convolution is then a
/// matrix product over pixels.
final class FeatureMap {
    let height: Int
    let width: Int
    let channels: Int
    var values: UnsafeMutablePointer<Float> { block.pointer }
    private let block: EncoderMemory.Loan

    var pixelCount: Int { height * width }

    /// Not initialised; goes back to `memory` when nothing uses it any more.
    init(height: Int, width: Int, channels: Int, _ memory: EncoderMemory) {
        self.height = height
        self.width = width
        self.channels = channels
        block = memory.lend(height * width * channels)
    }

    @inline(__always)
    func pixel(_ index: Int) -> UnsafeMutablePointer<Float> { block.pointer + index * channels }

    func record(_ name: String, _ taps: Taps?) {
        taps?.recordChannelsFirst(name, shape: [channels, height, width], channelsLast: values)
    }
}
