import Checkpoint
import Gemma3n
import Gemma3nHost
import Tensors
import Testing
import Tokenization

@Suite struct TranscriptTests {
    private func messages(_ json: String) throws -> [MessageInput] {
        try MessageInput.parse(JSONValue.parse(json, file: "m.json"), file: "m.json")
    }

    @Test func survivesJSON() async throws {
        let model = try tinyModel()
        let session = LanguageModelSession(model: model, instructions: "be good")
        _ = try await session.respond(
            to: Prompt(parts: [.text("look"), .image(.pixels(testPicture(0, width: 7, height: 5))), .audio(.samples(testClip(0, samples: 2000)))]),
            options: exactly(4))
        let json = JSONValue.array(session.transcript.messages.map(\.json)).serialized()
        let restored = try Transcript(messages: try messages(json))
        #expect(JSONValue.array(restored.messages.map(\.json)).serialized() == json)
        // Pixels and samples come back as they were.
        let decoded = try restored.messages[1].content.decoded(by: model.decoder)
        #expect(decoded == [.text("look"), .image(testPicture(0, width: 7, height: 5)), .audio(testClip(0, samples: 2000))])
        // A restored session goes on from the whole conversation.
        let next = LanguageModelSession(model: model, transcript: restored)
        let log = FeedingLog(next)
        let answer = try await next.respond(to: "more", options: exactly(4))
        var whole = try restored.messages.map { ModelMessage($0.role, try $0.content.decoded(by: model.decoder)) }
        whole.append(ModelMessage(.user, "more"))
        #expect(log.last.whole == (try PromptEncoder(model.model).encode(whole)).tokens)
        #expect(answer.tokens.count == 4)
        #expect(next.transcript.entries.count == 5)
    }

    @Test func readsEveryShape() throws {
        let list = try messages(
            """
            [{"role": "developer", "content": "a"},
             {"role": "user", "content": [{"type": "text", "text": "b"}, "c", {"type": "image_url", "image_url": {"url": "x.png"}},
               {"type": "image_url", "image_url": "file:///tmp/y%20z.png"}, {"type": "audio_url", "audio_url": {"url": "data:audio/wav;base64,UklGRg=="}},
               {"type": "input_audio", "input_audio": {"data": "AAEC", "format": "wav"}}, {"type": "video_url", "video_url": {"url": "v.mp4"}},
               {"type": "image", "image": "i.png"}]},
             {"role": "model", "content": "d"}, {"role": "assistant", "content": null}, {"role": "tool", "content": "e"}]
            """)
        #expect(list.map(\.role) == [.system, .user, .assistant, .assistant, .tool])
        let parts = list[1].content.parts
        #expect(parts.count == 8)
        guard case .image(.encoded(.file("x.png"))) = parts[2], case .image(.encoded(.file("/tmp/y z.png"))) = parts[3],
            case .audio(.encoded(.bytes(let wav, _))) = parts[4], case .audio(.encoded(.bytes(let raw, _))) = parts[5],
            case .video(.encoded(.file("v.mp4"), _)) = parts[6], case .image(.encoded(.file("i.png"))) = parts[7]
        else { Issue.record("\(parts)"); return }
        #expect(wav.count == 4 && raw.count == 3)
    }

    @Test(arguments: [
        ("{}", "m.json holds an object, expected an array of messages."),
        ("[]", "m.json is an empty array; give at least one message."),
        ("[3]", "messages[0] is a number, expected an object with role and content."),
        (#"[{"content": "x"}]"#, #"messages[0].role is missing, expected "system", "user", "assistant" or "tool"."#),
        (#"[{"role": "king", "content": "x"}]"#, #"messages[0].role is "king", expected "system", "user", "assistant" or "tool"."#),
        (#"[{"role": "user"}]"#, "messages[0].content is missing, expected a string or an array of parts."),
        (#"[{"role": "user", "content": 1}]"#, "messages[0].content is a number, expected a string or an array of parts."),
        (#"[{"role": "user", "content": [7]}]"#, "messages[0].content[0] is a number, expected an object with a type."),
        (#"[{"role": "user", "content": [{"type": "text"}]}]"#, "messages[0].content[0].text is missing, expected a string."),
        (#"[{"role": "user", "content": [{"type": "image_url", "image_url": 5}]}]"#,
         "messages[0].content[0].image_url is a number, expected a path, a URL, or an object with a url."),
        (#"[{"role": "user", "content": [{"type": "hologram"}]}]"#,
         #"messages[0].content[0].type is "hologram"; known are "text", "image_url", "audio_url", "input_audio", "video_url" and "input_video"."#),
    ])
    func saysWhatIsWrong(json: String, sentence: String) throws {
        let error = #expect(throws: SessionError.self) { try messages(json) }
        #expect(error?.message == sentence)
        #expect(error?.code == .decodingFailure)
    }

    @Test func base64IsTheStandardOne() {
        #expect(base64([]) == "")
        #expect(base64(Array("f".utf8)) == "Zg==")
        #expect(base64(Array("fo".utf8)) == "Zm8=")
        #expect(base64(Array("foo".utf8)) == "Zm9v")
        #expect(base64([0xFF, 0xEF, 0xBE]) == "/+++")
    }

    /// A prompt's texts become lines; a video its frames with their times and its sound.
    @Test func promptsAreBuilt() throws {
        let prompt = Prompt {
            "one"
            if prompt0 { "two" }
            testPicture(0)
            for word in ["three", "four"] { word }
        }
        #expect(prompt.parts.count == 3)
        #expect(prompt.text == "one\ntwo\nthree\nfour")
        let clip = VideoClip(
            frames: [VideoFrame(time: 0, image: testPicture(0)), VideoFrame(time: 61.9, image: testPicture(1))], sound: testClip(0), duration: 63)
        let parts = try Prompt(parts: [.video(.frames(clip)), .text("what?")]).decoded(by: FFmpegDecoder())
        #expect(parts == [.text("[0:00]"), .image(testPicture(0)), .text("[1:01]"), .image(testPicture(1)), .audio(testClip(0)), .text("what?")])
    }

    private let prompt0 = true
}
