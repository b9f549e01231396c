import base64
import io
import pathlib
import re
import tempfile
import unittest
import wave

from browser import PICTURE, SPEECH, VIDEO, PageTest, expect


class MediaTests(PageTest):
    def parts(self):
        return {part["type"]: part for part in self.server.requests[-1]["messages"][0]["content"]}

    def choose(self, *files):
        with self.page.expect_file_chooser() as chooser:
            self.button("Add pictures, sound or video").click()
        chooser.value.set_files([str(file) for file in files])

    def test_picture(self):
        self.choose(PICTURE)
        expect(self.page.get_by_role("list", name="Attachments").get_by_text("picture.png")).to_be_visible()
        self.ask("What is this?")
        self.answer()
        url = self.parts()["image_url"]["image_url"]["url"]
        self.assertEqual(base64.b64decode(url.removeprefix("data:image/png;base64,")), PICTURE.read_bytes())
        self.assertEqual(self.parts()["text"]["text"], "What is this?")
        shown = self.page.get_by_role("article", name="You").get_by_role("img", name="picture.png")
        self.assertGreater(shown.evaluate("node => node.naturalWidth"), 0)

    def test_sound_and_video_files(self):
        self.choose(SPEECH, VIDEO)
        expect(self.page.get_by_role("list", name="Attachments").get_by_role("listitem")).to_have_count(2)
        self.page.keyboard.press("Enter")
        self.answer()
        audio = self.parts()["input_audio"]["input_audio"]
        self.assertEqual((base64.b64decode(audio["data"]), audio["format"]), (SPEECH.read_bytes(), "wav"))
        self.assertEqual(base64.b64decode(self.parts()["input_video"]["input_video"]["data"]), VIDEO.read_bytes())
        self.assertGreater(self.page.locator(".question audio").evaluate(
            "node => new Promise(done => { node.duration ? done(node.duration) : node.onloadedmetadata = () => done(node.duration); })"), 0.5)

    def test_attachment_is_removed(self):
        self.choose(PICTURE)
        self.button("Remove picture.png").click()
        self.ask("nothing else")
        self.answer()
        self.assertEqual(self.server.requests[-1]["messages"][0]["content"], "nothing else")

    def test_microphone(self):
        self.button("Record the microphone").click()
        expect(self.page.get_by_role("timer")).to_have_text(re.compile(r"0:(0[1-9]|[1-5]\d)"))
        self.button("Done").click()
        expect(self.page.get_by_role("list", name="Attachments").get_by_text("recording.wav")).to_be_visible()
        self.ask("Write down what I say.")
        self.answer()
        audio = self.parts()["input_audio"]["input_audio"]
        with wave.open(io.BytesIO(base64.b64decode(audio["data"]))) as recorded:
            self.assertEqual((recorded.getframerate(), recorded.getnchannels(), recorded.getsampwidth()), (16000, 1, 2))
            self.assertGreater(recorded.getnframes(), 8000)
            samples = memoryview(recorded.readframes(recorded.getnframes())).cast("h")
        self.assertGreater(max(samples), 500, "the recording is silent")

    def test_recording_is_discarded(self):
        self.button("Record the microphone").click()
        self.button("Discard").click()
        expect(self.button("Record the microphone")).to_be_enabled()
        expect(self.page.get_by_role("list", name="Attachments").get_by_role("listitem")).to_have_count(0)

    def test_camera(self):
        self.button("Take a picture").click()
        self.button("Take it").click()
        expect(self.button("Remove picture.jpg")).to_be_visible()
        self.ask("What is this?")
        self.answer()
        url = self.parts()["image_url"]["image_url"]["url"]
        self.assertEqual(base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))[:2], b"\xff\xd8")

    def test_other_sound_becomes_wav(self):
        """A browser knows the type of a file by its name: this is a WAV file that calls itself FLAC, so the page decodes it."""
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "speech.flac"
            file.write_bytes(SPEECH.read_bytes())
            self.choose(file)
            expect(self.button("Remove speech.flac")).to_be_visible()
        self.ask("What is said?")
        self.answer()
        with wave.open(io.BytesIO(base64.b64decode(self.parts()["input_audio"]["input_audio"]["data"]))) as sound:
            self.assertEqual((sound.getframerate(), sound.getnchannels()), (16000, 1))

    def test_paste_and_drop(self):
        put = """(kind) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array([1, 2, 3])], kind + ".png", { type: "image/png" }));
            const target = document.getElementById("question");
            target.dispatchEvent(kind === "paste"
                ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })
                : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }"""
        self.page.evaluate(put, "paste")
        self.page.evaluate(put, "drop")
        expect(self.page.get_by_role("list", name="Attachments").get_by_role("listitem")).to_have_count(2)

    def test_what_cannot_be_sent_is_said(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, content in [("letter.pdf", b"%PDF"), ("noise.flac", b"no sound"), ("empty.png", b"")]:
                file = pathlib.Path(folder) / name
                file.write_bytes(content)
                self.choose(file)
        expect(self.page.get_by_text("letter.pdf cannot be sent (application/pdf).")).to_be_visible()
        expect(self.page.get_by_text("This browser cannot decode noise.flac.")).to_be_visible()
        expect(self.page.get_by_text("empty.png is empty.")).to_be_visible()
        expect(self.page.get_by_role("list", name="Attachments").get_by_role("listitem")).to_have_count(0)


if __name__ == "__main__":
    unittest.main()
