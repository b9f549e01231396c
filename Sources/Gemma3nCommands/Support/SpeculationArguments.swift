internal import ArgumentParser
internal import Checkpoint
internal import Gemma3n
internal import Gemma3nHost

/// Whether tokens are guessed ahead.
struct SpeculationArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Guess tokens ahead and check them together; answers stay the same. lookup guesses what followed before, self lets a smaller part of the model guess, auto takes what pays.",
            valueName: "how"),
        transform: { text in
            guard let method = Speculation.Method(rawValue: text) else { throw ValidationError("Expected off, lookup, self or auto.") }
            return method
        })
    var speculate = Speculation.Method.off

    @Option(
        help: ArgumentHelp("The part of the model that guesses: half, E2B, a budget such as 900M.", valueName: "size"),
        transform: { text in
            do throws(SliceError) { return try ModelSize(text) } catch { throw ValidationError(error.message) }
        })
    var draftSize: ModelSize?

    @Option(help: ArgumentHelp("Tokens guessed at a time at most.", valueName: "n"))
    var draftTokens: Int?

    @Flag(help: "Guess that many tokens every time, whether it pays or not: for measurements.")
    var draftAlways = false

    func validate() throws {
        do throws(GenerationError) { try value.validate() } catch { throw ValidationError(error.message) }
        if speculate == .off || speculate == .lookup, draftSize != nil {
            throw ValidationError("--draft-size says which part of the model guesses, but --speculate is \(speculate.rawValue), expected self or auto.")
        }
    }

    var value: Speculation {
        var value = Speculation(speculate)
        value.draftSize = draftSize
        if let draftTokens { value.maxDraft = draftTokens }
        value.adapts = !draftAlways
        return value
    }
}

extension SpeculationStatistics {
    var json: JSONValue {
        var members = all.members
        members.append(.init(key: "plain_steps", value: .number(JSONNumber(plainSteps))))
        members.append(.init(key: "gain", value: gain.map { .number(JSONNumber(($0 * 1e4).rounded() / 1e4)) } ?? .null))
        members.append(.init(key: "lookup", value: .object(JSONObject(lookup.members))))
        members.append(.init(key: "self", value: .object(JSONObject(slice.members))))
        members.append(.init(key: "draft_slice", value: draftSlice?.json ?? .null))
        return .object(JSONObject(members))
    }

    /// A line for people.
    var summary: String {
        let sources = [("lookup", lookup), ("self", slice)].filter { $0.1.drafted > 0 }
            .map { "\($0.0) \($0.1.accepted) of \($0.1.drafted) guesses right" }
        let passes = "\(all.rounds + plainSteps) passes, \(plainSteps) of them without a guess"
        return (sources + [passes]).joined(separator: ", ") + (gain.map { "; \(fixed($0, 2)) times as fast as one by one" } ?? "") + "\n"
    }
}

extension SpeculationStatistics.Drafts {
    var members: [JSONObject.Member] {
        [
            .init(key: "rounds", value: .number(JSONNumber(rounds))), .init(key: "drafted", value: .number(JSONNumber(drafted))),
            .init(key: "accepted", value: .number(JSONNumber(accepted))),
            .init(key: "acceptance_rate", value: .number(JSONNumber((acceptanceRate * 1e4).rounded() / 1e4))),
        ]
    }
}
