/// How the encoders of pictures and sound compute their matrix products.
public enum EncoderPrecision: String, Sendable, CaseIterable {
    /// In float32, with the weights as they are stored.
    case exact
    /// In 8 bits: weights in blocks of 32 columns that share a scale (Q8_0), inputs quantised likewise before every product. About
    /// one and a half times as fast; the weights' copy in 8 bits takes half the bytes of bfloat16. Convolutions of single channels,
    /// norms, attention itself and products whose columns are no multiple of 32 stay float32.
    case fast
}
