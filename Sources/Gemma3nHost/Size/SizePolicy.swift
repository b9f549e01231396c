public import Gemma3n

/// Chooses the part of the model that answers. A pure function of the situation.
public protocol SizePolicy: Sendable {
    func decide(_ situation: SizeSituation) -> SizeDecision
}

/// A part of the model that could answer.
public struct SizeCandidate: Sendable, Hashable {
    public let name: String
    public let slice: ModelSlice
    public let effectiveParameters: Int
    /// Bytes of weights that a token of the answer reads.
    public let bytesPerToken: Int
    /// Bytes of its weights that lie in mapped files: to run at speed, they have to be in memory.
    public let mappedBytes: Int
    /// Seconds for a token while nobody else computes; nil until some speed of this model was measured.
    public var secondsPerToken: Double?

    public init(
        name: String, slice: ModelSlice, effectiveParameters: Int, bytesPerToken: Int, mappedBytes: Int, secondsPerToken: Double? = nil
    ) {
        self.name = name
        self.slice = slice
        self.effectiveParameters = effectiveParameters
        self.bytesPerToken = bytesPerToken
        self.mappedBytes = mappedBytes
        self.secondsPerToken = secondsPerToken
    }
}

/// Everything a choice may depend on.
public struct SizeSituation: Sendable, Hashable {
    /// What may be chosen, the smallest first; never empty.
    public var candidates: [SizeCandidate]
    public var wishes: SizeWishes
    /// What the machine says.
    public var system: SystemState
    /// Other answers of the same model that are under way.
    public var busyRequests: Int
    /// The part that answered last in this conversation; nil at its beginning.
    public var current: ModelSlice?

    public init(
        candidates: [SizeCandidate], wishes: SizeWishes = SizeWishes(), system: SystemState = SystemState(), busyRequests: Int = 0,
        current: ModelSlice? = nil
    ) {
        self.candidates = candidates
        self.wishes = wishes
        self.system = system
        self.busyRequests = busyRequests
        self.current = current
    }
}

/// The largest part that nothing speaks against. What speaks first is what is heeded first:
///
/// 1. the user's preference,
/// 2. memory: mapped weights that do not fit would be read from the disk for every token,
/// 3. heat, 4. a battery that runs out,
/// 5. the time a token may take, shared with the other answers under way,
/// 6. other answers, a step down for each, where no time is given and the task is not to reason,
/// 7. the task: a draft takes the smallest.
///
/// A conversation stays with its size if only one step up would be possible: the step would cost reading everything again.
public struct AutomaticSize: SizePolicy {
    /// Below this share of its charge, a battery that discharges asks for the smallest.
    public var lowBattery = 0.2

    public init() {}

    public func decide(_ situation: SizeSituation) -> SizeDecision {
        let all = situation.candidates
        let wishes = situation.wishes
        var allowed = 0...max(0, all.count - 1)

        switch wishes.preference {
        case .smallest: return Self.decision(all[0], "The user prefers the smallest.")
        case .largest: return Self.decision(all[all.count - 1], "The user prefers the largest.")
        case .atLeast(let count):
            let first = all.firstIndex { $0.effectiveParameters >= count } ?? all.count - 1
            allowed = first...allowed.upperBound
        case .atMost(let count):
            let last = all.lastIndex { $0.effectiveParameters <= count } ?? 0
            allowed = allowed.lowerBound...last
        case nil: break
        }
        // From here on the preference's range is all there is.
        var best = allowed.upperBound
        var reason = allowed.upperBound < all.count - 1 ? "The user prefers no more than this." : "Nothing speaks against the largest."
        func limit(_ index: Int, _ why: String) {
            let index = max(allowed.lowerBound, index)
            if index < best { (best, reason) = (index, why) }
        }

        let system = situation.system
        if let memory = system.memoryAtHand {
            // The first that does not fit, and the one before it.
            if let tooLarge = all.firstIndex(where: { $0.mappedBytes > memory }) {
                limit(tooLarge - 1, "\(gigabytes(memory, roundingUp: false)) of memory are at hand, but \(all[tooLarge].name) needs \(gigabytes(all[tooLarge].mappedBytes)).")
            }
        }
        switch system.heat {
        case .critical: limit(0, "The machine is too hot.")
        case .high: limit((all.count - 1) / 2, "The machine is hot.")
        case .normal, nil: break
        }
        if let battery = system.battery, battery.isDischarging, battery.charge < lowBattery {
            limit(0, "The battery is down to \(Int((battery.charge * 100).rounded())) %.")
        }
        if let target = wishes.millisecondsPerToken {
            let sharing = Double(situation.busyRequests + 1)
            let milliseconds = all.map { ($0.secondsPerToken ?? 0) * sharing * 1000 }
            if let tooSlow = milliseconds.firstIndex(where: { $0 > target }) {
                limit(tooSlow - 1, "A token may take \(Self.short(target)) ms; one of \(all[tooSlow].name) takes \(Self.short(milliseconds[tooSlow])) ms.")
            }
        } else if situation.busyRequests > 0, wishes.task != .reason {
            let others = situation.busyRequests
            limit(allowed.upperBound - others, others == 1 ? "Another answer is under way." : "\(others) other answers are under way.")
        }
        if wishes.task == .draft { limit(allowed.lowerBound, "A draft takes the smallest.") }

        if let current = situation.current, let at = all.firstIndex(where: { $0.slice == current }), at == best - 1, at >= allowed.lowerBound,
            wishes.task != .reason
        {
            return Self.decision(all[at], "The conversation stays with its size; a step up would mean reading it again.")
        }
        return Self.decision(all[best], reason)
    }

    private static func decision(_ candidate: SizeCandidate, _ reason: String) -> SizeDecision {
        SizeDecision(slice: candidate.slice, name: candidate.name, reason: reason)
    }

    private static func short(_ value: Double) -> String {
        guard value.magnitude < 1e6 else { return "more than 1000000" }
        let tenths = Int((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
    }
}
