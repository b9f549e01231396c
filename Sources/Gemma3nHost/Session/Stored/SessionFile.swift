internal import Checkpoint
internal import Gemma3n

/// A session as a file: a safetensors file, so that other programs can look into it.
///
/// Its metadata say what it is, which version of this layout it has, and which model it belongs to. Its tensors, in this order and
/// without gaps:
///
///     state          U8   JSON: sizes, marks, what was chosen but not fed, which media stand where
///     transcript     U8   JSON: chat messages
///     history        I32  tokens of the conversation
///     fed            I32  tokens in the caches
///     image.N        U8   pixels, [height, width, 3]
///     clip.N         F32  samples
///     soft.image.P   F32  what the picture at place P was encoded to, [tokens, D]
///     soft.clip.P    F32  likewise a sound
///     kv.L           U8   keys and values of layer L: see KVCache+Stored
///     checksum       U8   of everything before it, 8 bytes
enum SessionFile {
    static let format = "gemma3n session"
    static let version = "1"

    /// Everything but keys and values.
    struct State {
        var contextLength = 0
        var size: SizeChoice?
        var switching = SizeSwitching.recompute
        var wishes = SizeWishes()
        var toldTools: String?
        var marks: [HistoryMark] = []
        /// Places in the tables of media.
        var historyImages: [Int] = []
        var historyClips: [Int] = []
        /// Nil before the first prompt.
        var caches: Caches?
    }

    struct Caches {
        var stored = StoredKeyValues(format: .f32, position: 0, firstInRings: 0)
        var pending: [Int32] = []
        var makers: [Conversation.Maker] = []
        var slice = ModelSlice(widths: [])
        var images: [Int] = []
        var clips: [Int] = []
        /// Media that were encoded, by their places in the conversation.
        var softImages: [Place] = []
        var softClips: [Place] = []
    }

    struct Place {
        let place: Int
        /// In the table of media.
        let medium: Int
    }
}
