/// What happens to the keys and values of a conversation when another part of the model goes on with it.
public enum SizeSwitching: String, Sendable, Hashable, CaseIterable {
    /// They stay as the other part made them: fast, and an approximation. An answer then depends on which sizes ran before.
    case keep
    /// They are made again by the part that goes on, unless it would make the same ones (`ModelSlice.makesSameKeyValues`): answers are
    /// those of a conversation that never had another size.
    case recompute
}
