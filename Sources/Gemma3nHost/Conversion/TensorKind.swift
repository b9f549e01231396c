/// What a tensor is for: how far it may be rounded, and under which name a report shows it.
public enum TensorKind: String, Sendable, CaseIterable {
    case q, k, v, o
    case gate, up, down
    /// The token embedding; also the head where both are one.
    case embed
    /// A head of its own.
    case head
    /// The per-layer embedding table.
    case ple
    /// From the token embedding to the per-layer inputs.
    case pleProjection = "ple_proj"
    /// Per-layer input gate and projection of a layer.
    case pleGate = "ple_gate"
    /// AltUp's projections before the first and after the last layer.
    case altup
    case laurel
    /// AltUp's coefficients and routers.
    case router
    case norm
    case vision, audio
    /// Embeddings and projections that join the encoders to the text model.
    case media

    /// The kind of a tensor by its Hugging Face name.
    public init(name: String) {
        let parts = name.split(separator: ".")
        func has(_ part: String) -> Bool { parts.contains { $0 == part } }
        if has("vision_tower") { self = .vision; return }
        if has("audio_tower") { self = .audio; return }
        if has("embed_vision") || has("embed_audio") { self = .media; return }
        if has("lm_head") { self = .head; return }
        if has("embed_tokens") { self = .embed; return }
        if has("embed_tokens_per_layer") { self = .ple; return }
        if has("per_layer_model_projection") { self = .pleProjection; return }
        if has("altup_projections") || has("altup_unembed_projections") { self = .altup; return }
        let last = parts.last == "weight" ? parts.dropLast().last : parts.last
        switch last {
        case "q_proj": self = .q
        case "k_proj": self = .k
        case "v_proj": self = .v
        case "o_proj": self = .o
        case "gate_proj": self = .gate
        case "up_proj": self = .up
        case "down_proj": self = .down
        case "per_layer_input_gate", "per_layer_projection": self = .pleGate
        case "linear_left", "linear_right": self = .laurel
        case "correction_coefs", "prediction_coefs", "modality_router": self = .router
        default: self = .norm
        }
    }

    /// The words `--keep` takes, and the kinds each stands for.
    public static func named(_ word: String) -> [TensorKind]? {
        switch word {
        case "attn": [.q, .k, .v, .o]
        case "mlp", "ffn": [.gate, .up, .down]
        case "head", "embed": [.embed, .head]
        case "vision": [.vision]
        case "audio": [.audio]
        case "towers": [.vision, .audio]
        case "norm", "router": nil
        default: TensorKind(rawValue: word).map { [$0] }
        }
    }

    /// Kinds `--keep` knows, for messages.
    public static let keepWords = [
        "q", "k", "v", "o", "attn", "gate", "up", "down", "mlp", "head", "ple", "ple_proj", "ple_gate", "altup", "laurel", "vision", "audio", "towers", "media",
    ]

    /// Whether it belongs to the language model.
    public var isText: Bool { self != .vision && self != .audio && self != .media }
}
