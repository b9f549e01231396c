internal import Tokenization

/// Writes messages as tokens: the chat template, the places of media, and the tokenizer.
public struct PromptEncoder: Sendable {
    private let model: Gemma3nModel
    private let template: ChatTemplate

    /// - Parameter recognizesSpecialTokens: Whether special tokens written in the messages' text count as such, as in the
    ///   reference library. Off, no message can end its turn or begin another.
    public init(_ model: Gemma3nModel, recognizesSpecialTokens: Bool = false) {
        self.model = model
        template = ChatTemplate(
            imageSoftTokens: model.configuration.visionSoftTokensPerImage, audioSoftTokens: model.configuration.audioSoftTokensPerClip,
            recognizesSpecialTokens: recognizesSpecialTokens)
    }

    /// A whole conversation.
    ///
    /// - Parameter addGenerationPrompt: Whether the model's turn is opened at the end. A trailing assistant message is then a
    ///   beginning the model continues.
    /// - Throws: `emptyPrompt` if there are no messages, `missingModality` for media the model does not take, `mediaMismatch` if
    ///   recognised placeholders in the text ask for more media than there are.
    public func encode(_ messages: [ModelMessage], addGenerationPrompt: Bool = true) throws(GenerationError) -> EncodedPrompt {
        try encode(messages, addGenerationPrompt, .conversation)
    }

    /// What follows an answer of the model whose turn is still open: its end, a user's turn, and the opening of the model's next.
    ///
    /// Tokens of the text before and after the answer do not depend on each other: both ends of it are control tokens.
    ///
    /// - Throws: As `encode`.
    public func encodeNextTurn(_ message: ModelMessage, addGenerationPrompt: Bool = true) throws(GenerationError) -> EncodedPrompt {
        try encodeNextTurn([message], addGenerationPrompt: addGenerationPrompt)
    }

    /// The same with a turn of several messages.
    ///
    /// - Throws: As `encode`.
    public func encodeNextTurn(_ messages: [ModelMessage], addGenerationPrompt: Bool = true) throws(GenerationError) -> EncodedPrompt {
        try encode(messages, addGenerationPrompt, .openTurn)
    }

    private func encode(
        _ messages: [ModelMessage], _ addGenerationPrompt: Bool, _ beginning: ChatTemplate.Beginning
    ) throws(GenerationError) -> EncodedPrompt {
        guard !messages.isEmpty else { throw GenerationError(.emptyPrompt, "There are no messages; give at least one.") }
        var chat: [ChatMessage] = []
        var prompt = EncodedPrompt(tokens: [])
        for message in messages {
            var parts: [ChatMessage.Part] = []
            for part in message.parts {
                switch part {
                case .text(let text): parts.append(.text(text))
                case .image(let image):
                    guard model.vision != nil else { throw Gemma3nModel.missing(.image, "it holds a picture") }
                    prompt.images.append(image)
                    parts.append(.image)
                case .audio(let clip):
                    guard let audio = model.audio else { throw Gemma3nModel.missing(.audio, "it holds sound") }
                    // A clip of no samples stays, so that the encoder can say what is wrong with it.
                    let windows = audio.splitter.split(clip)
                    prompt.clips += windows
                    parts += [ChatMessage.Part](repeating: .audio, count: windows.count)
                }
            }
            chat.append(ChatMessage(message.role, .parts(parts)))
        }
        let rendering = template.render(chat, addGenerationPrompt: addGenerationPrompt, beginning: beginning)
        guard rendering.imageCount == prompt.images.count, rendering.audioCount == prompt.clips.count else {
            throw GenerationError(
                .mediaMismatch,
                "The text of the messages holds placeholders of its own: together with the media they make \(rendering.imageCount) places for pictures and \(rendering.audioCount) for sounds, but there are \(prompt.images.count) and \(prompt.clips.count). Take them out of the text, or give their media as parts of the messages.")
        }
        prompt.tokens = model.tokenizer.encode(rendering.segments)
        return prompt
    }
}
