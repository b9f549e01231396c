internal import Gemma3n

/// What decides on the part of the model that answers.
struct SizingRequest {
    var choice: SizeChoice
    /// Why, where the choice is fixed.
    var reason: String
    var switching: SizeSwitching
    var wishes: SizeWishes
    var policy: any SizePolicy
}

extension SizingRequest {
    /// As the model was opened.
    init(_ model: Gemma3nLanguageModel) {
        self.init(
            choice: .fixed(.slice(model.slice)), reason: "The size the model was opened with.", switching: .recompute, wishes: SizeWishes(),
            policy: AutomaticSize())
    }
}

extension Gemma3nLanguageModel {
    /// - Parameters:
    ///   - others: Other answers under way.
    ///   - current: The part that answered last in the conversation.
    /// - Throws: `invalidOption` if the model has no such part.
    func decide(_ sizing: SizingRequest, others: Int, current: ModelSlice?) throws(SessionError) -> SizeDecision {
        let c = model.configuration.text
        switch sizing.choice {
        case .fixed(let size):
            let slice = try slice(size)
            return SizeDecision(slice: slice, name: slice.name(in: c), reason: sizing.reason)
        case .automatic:
            let decision = sizing.policy.decide(
                SizeSituation(candidates: sizes, wishes: sizing.wishes, system: systemState(), busyRequests: others, current: current))
            return SizeDecision(slice: try slice(.slice(decision.slice)), name: decision.name, reason: decision.reason)
        }
    }
}
