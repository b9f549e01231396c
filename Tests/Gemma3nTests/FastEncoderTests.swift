import Checkpoint
import Gemma3n
import Tensors
import TestSupport
import Testing

/// The encoders in 8 bits. In the tiny checkpoints only some of the matrices have columns that fill blocks of 32; the others stay
/// float32 (`EncoderPanelTests` compares whole products).
@Suite struct FastEncoderTests {
    static func model(_ checkpoint: String, _ encoders: EncoderPrecision?) throws -> Gemma3nModel {
        try Gemma3nModel(encoders: encoders, open: fixtureOpener(checkpoint))
    }

    /// Root of the mean squared difference, relative to the expected values'.
    static func error(_ actual: [Float], _ expected: [Float]) -> Double {
        var (difference, size) = (0.0, 0.0)
        for (a, e) in zip(actual, expected) {
            difference += Double(a - e) * Double(a - e)
            size += Double(e) * Double(e)
        }
        return actual.count == expected.count ? (difference / size).squareRoot() : .infinity
    }

    /// Steps of 1/127 of the largest of 32 numbers, in both factors of a product, are an error of about 0.7 % of a product's size;
    /// a dozen of them one after the other, each followed by a norm, make some percent. Measured: pictures 1.9 % (tiny) and
    /// 4.0 % (tiny-bf16), sound 0.6 % and 0.5 %.
    static let (pictureTolerance, soundTolerance) = (0.06, 0.01)

    @Test(arguments: ["tiny", "tiny-bf16"]) func picturesAreTheReferencesWithinEightBits(_ checkpoint: String) throws {
        let fixture = try FixtureTensors("activations/\(checkpoint)/image.safetensors")
        let expected = fixture["image_soft_tokens"].floats
        let image = VisionImageTests.image(fixture["image.0"])
        let fast = try #require(try Self.model(checkpoint, .fast).vision).softTokens(for: [image])[0]
        let exact = try #require(try Self.model(checkpoint, .exact).vision).softTokens(for: [image])[0]
        #expect(fast != exact)
        #expect(Self.error(exact, expected) < 1e-5)
        let error = Self.error(fast, expected)
        #expect(error < Self.pictureTolerance, "\(error)")
    }

    @Test(arguments: ["tiny", "tiny-bf16"]) func soundIsTheReferencesWithinEightBits(_ checkpoint: String) throws {
        let fixture = try FixtureFile("activations/\(checkpoint)/audio.safetensors")
        let expected = try fixture.floats("audio_soft_tokens")
        let clips = try AudioFeatureTests.clips(fixture)
        let fast = try #require(try Self.model(checkpoint, .fast).audio).softTokens(for: clips)[0]
        let exact = try #require(try Self.model(checkpoint, .exact).audio).softTokens(for: clips)[0]
        #expect(fast != exact)
        #expect(Self.error(exact, expected) < 1e-5)
        let error = Self.error(fast, expected)
        #expect(error < Self.soundTolerance, "\(error)")
    }

    @Test(arguments: [2, 3, 8]) func threadCountChangesNoBit(_ count: Int) throws {
        let model = try Self.model("tiny", .fast)
        let image = VisionImageTests.image(try FixtureTensors("activations/tiny/image.safetensors")["image.0"])
        let vision = try #require(model.vision)
        #expect(try vision.softTokens(for: [image], VisionTowerTests.threads(count)) == vision.softTokens(for: [image]))
        let audio = try #require(model.audio)
        let clips = [AudioSamples.voice(seconds: 0.7), AudioSamples.voice(seconds: 3.1, seed: 5)]
        #expect(try audio.softTokens(for: clips, VisionTowerTests.threads(count)) == audio.softTokens(for: clips))
    }

    /// Attention's scratch memory was once that of the 8-bit products, which is less than it needs: what lay behind was overwritten.
    @Test func everyRunIsTheSame() throws {
        let model = try Self.model("tiny", .fast)
        let image = VisionImageTests.image(try FixtureTensors("activations/tiny/image.safetensors")["image.0"])
        let vision = try #require(model.vision)
        let first = try vision.softTokens(for: [image])
        for threads in [1, 2, 3, 1, 2, 3, 1, 2, 3] {
            let isSame = try vision.softTokens(for: [image], VisionTowerTests.threads(threads)) == first
            #expect(isSame)
        }
    }

    /// The copies in 8 bits go when the encoders are given up, and come back the same.
    @Test func copiesAreGivenUp() throws {
        let model = try Self.model("tiny", .fast)
        let image = VisionImageTests.image(try FixtureTensors("activations/tiny/image.safetensors")["image.0"])
        let prompt = EncodedPrompt(tokens: [], images: [image], clips: [AudioSamples.voice(seconds: 1)])
        #expect(model.encoderCopyBytes == 0, "made when they are first needed")
        let first = try model.encodeMedia(prompt)
        let whole = model.encoderCopyBytes
        #expect(whole > 50_000)
        model.releaseEncoders(.image)
        #expect(model.encoderCopyBytes > 0 && model.encoderCopyBytes < whole)
        model.releaseEncoders()
        #expect(model.encoderCopyBytes == 0)
        let second = try model.encodeMedia(prompt, releasesEncoders: true)
        #expect(model.encoderCopyBytes == 0)
        let isSame = second.images == first.images && second.clips == first.clips
        #expect(isSame)
    }

    @Test func plainCheckpointsAreEncodedExactlyByDefault() throws {
        let image = VisionImageTests.image(try FixtureTensors("activations/tiny/image.safetensors")["image.0"])
        let automatic = try #require(try Self.model("tiny", nil).vision).softTokens(for: [image])
        #expect(automatic == (try #require(try Self.model("tiny", .exact).vision).softTokens(for: [image])))
    }

    @Test func encodingStopsWhenAsked() throws {
        let model = try Self.model("tiny", .exact)
        let image = VisionImageTests.image(try FixtureTensors("activations/tiny/image.safetensors")["image.0"])
        for prompt in [
            EncodedPrompt(tokens: [], images: [image], clips: []),
            EncodedPrompt(tokens: [], images: [], clips: [AudioSamples.voice(seconds: 1)]),
        ] {
            var asked = 0
            let error = #expect(throws: GenerationError.self) {
                try model.encodeMedia(prompt) {
                    asked += 1
                    return asked < 2
                }
            }
            #expect(error?.code == .cancelled)
            #expect(asked == 2)
            asked = -100
            _ = try model.encodeMedia(prompt) {
                asked += 1
                return true
            }
            #expect(asked >= -98, "asked at every block")
        }
    }
}
