import Gemma3n
import Gemma3nHost
import TestSupport
import Testing

@Suite struct SizePolicyTests {
    /// Five parts: 1 to 5 GB mapped, as many bytes a token, 10 to 50 ms.
    private static func situation(_ change: (inout SizeSituation) -> Void = { _ in }) -> SizeSituation {
        let candidates = (1...5).map { n in
            SizeCandidate(
                name: "\(n)B", slice: ModelSlice(widths: [n]), effectiveParameters: n * 1_000_000_000, bytesPerToken: n * 1_000_000_000,
                mappedBytes: n * 1_000_000_000, secondsPerToken: 0.01 * Double(n))
        }
        var situation = SizeSituation(candidates: candidates)
        change(&situation)
        return situation
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let situation: SizeSituation
        let name: String
        let reason: String
        var testDescription: String { "\(name): \(reason)" }

        init(_ name: String, _ reason: String, _ change: (inout SizeSituation) -> Void) {
            situation = SizePolicyTests.situation(change)
            (self.name, self.reason) = (name, reason)
        }
    }

    /// Every rule alone, then which goes before which.
    static let cases = [
        Case("5B", "Nothing speaks against the largest.") { _ in },
        Case("1B", "The user prefers the smallest.") { $0.wishes.preference = .smallest },
        Case("3B", "The user prefers no more than this.") { $0.wishes.preference = .atMost(parameters: 3_500_000_000) },
        Case("3B", "3.5GB of memory are at hand, but 4B needs 4GB.") { $0.system.memoryAtHand = 3_500_000_000 },
        Case("1B", "10MB of memory are at hand, but 1B needs 1GB.") { $0.system.memoryAtHand = 10_000_000 },
        Case("3B", "The machine is hot.") { $0.system.heat = .high },
        Case("1B", "The machine is too hot.") { $0.system.heat = .critical },
        Case("5B", "Nothing speaks against the largest.") { $0.system.heat = .normal },
        Case("1B", "The battery is down to 12 %.") { $0.system.battery = .init(charge: 0.12, isDischarging: true) },
        Case("5B", "Nothing speaks against the largest.") { $0.system.battery = .init(charge: 0.12, isDischarging: false) },
        Case("5B", "Nothing speaks against the largest.") { $0.system.battery = .init(charge: 0.5, isDischarging: true) },
        Case("2B", "A token may take 25 ms; one of 3B takes 30 ms.") { $0.wishes.millisecondsPerToken = 25 },
        Case("1B", "A token may take 25.5 ms; one of 2B takes 40 ms.") {
            $0.wishes.millisecondsPerToken = 25.5
            $0.busyRequests = 1
        },
        Case("1B", "A token may take 2 ms; one of 1B takes 10 ms.") { $0.wishes.millisecondsPerToken = 2 },
        Case("5B", "Nothing speaks against the largest.") {
            $0.wishes.millisecondsPerToken = 2
            for index in $0.candidates.indices { $0.candidates[index].secondsPerToken = nil }
        },
        Case("3B", "2 other answers are under way.") { $0.busyRequests = 2 },
        Case("1B", "9 other answers are under way.") { $0.busyRequests = 9 },
        Case("1B", "A draft takes the smallest.") { $0.wishes.task = .draft },
        Case("5B", "Nothing speaks against the largest.") { $0.wishes.task = .reason },
        // Precedence.
        Case("5B", "The user prefers the largest.") {
            $0.wishes.preference = .largest
            $0.system = SystemState(memoryAtHand: 1, battery: .init(charge: 0, isDischarging: true), heat: .critical)
            $0.wishes.task = .draft
        },
        Case("4B", "10MB of memory are at hand, but 1B needs 1GB.") {
            $0.wishes.preference = .atLeast(parameters: 3_200_000_000)
            $0.system.memoryAtHand = 10_000_000
        },
        Case("5B", "Nothing speaks against the largest.") {
            $0.wishes.preference = .atLeast(parameters: 9_000_000_000)
            $0.wishes.task = .draft
        },
        Case("1B", "1GB of memory are at hand, but 2B needs 2GB.") {
            $0.system = SystemState(memoryAtHand: 1_000_000_000, battery: .init(charge: 0, isDischarging: true), heat: .critical)
            $0.wishes.task = .draft
        },
        Case("2B", "A token may take 25 ms; one of 3B takes 30 ms.") {
            $0.system.heat = .high
            $0.wishes.millisecondsPerToken = 25
        },
        Case("3B", "The machine is hot.") {
            $0.system.heat = .high
            $0.busyRequests = 1
        },
        Case("5B", "Nothing speaks against the largest.") {
            $0.wishes.task = .reason
            $0.busyRequests = 3
        },
        Case("3B", "3.5GB of memory are at hand, but 4B needs 4GB.") {
            $0.wishes.task = .reason
            $0.system.memoryAtHand = 3_500_000_000
        },
        // A conversation under way.
        Case("4B", "The conversation stays with its size; a step up would mean reading it again.") { $0.current = ModelSlice(widths: [4]) },
        Case("5B", "Nothing speaks against the largest.") { $0.current = ModelSlice(widths: [3]) },
        Case("5B", "Nothing speaks against the largest.") {
            $0.current = ModelSlice(widths: [4])
            $0.wishes.task = .reason
        },
        Case("1B", "A draft takes the smallest.") {
            $0.current = ModelSlice(widths: [2])
            $0.wishes.task = .draft
        },
    ]

    @Test(arguments: cases) func decides(_ example: Case) {
        let decision = AutomaticSize().decide(example.situation)
        #expect(decision.name == example.name)
        #expect(decision.reason == example.reason)
        #expect(decision.slice.widths == [Int(example.name.dropLast()) ?? 0])
    }

    #if os(Linux)
    @Test func linuxTellsOfItself() {
        let files = [
            "/proc/meminfo": "MemTotal: 16000 kB\nMemAvailable:    8000 kB\n", "/proc/self/status": "VmRSS: 900 kB\nRssAnon:\t 500 kB\n",
            "/sys/class/power_supply/BAT0/type": "Battery\n", "/sys/class/power_supply/BAT0/capacity": "17\n",
            "/sys/class/power_supply/BAT0/status": "Discharging\n", "/sys/class/power_supply/AC/type": "Mains\n",
            "/sys/class/power_supply/mouse/type": "Battery\n", "/sys/class/power_supply/mouse/scope": "Device\n",
            "/sys/class/power_supply/mouse/capacity": "90\n",
            "/sys/class/thermal/thermal_zone0/temp": "85000\n", "/sys/class/thermal/thermal_zone0/trip_point_0_type": "critical\n",
            "/sys/class/thermal/thermal_zone0/trip_point_0_temp": "105000\n", "/sys/class/thermal/thermal_zone0/trip_point_1_type": "passive\n",
            "/sys/class/thermal/thermal_zone0/trip_point_1_temp": "80000\n",
        ]
        func names(_ path: String) -> [String] {
            path == "/sys/class/thermal" ? ["cooling_device0", "thermal_zone0"] : path == "/sys/class/power_supply" ? ["AC", "BAT0", "mouse"] : []
        }
        let state = SystemState(readFile: { files[$0] }, names: names, controlGroup: nil)
        #expect(state == SystemState(memoryAtHand: 8000 << 10, battery: .init(charge: 0.17, isDischarging: true), heat: .high))
        #expect(SystemState(readFile: { files[$0] }, names: names, controlGroup: 3000 << 10).memoryAtHand == 2500 << 10)
        #expect(SystemState(readFile: { _ in nil }, names: { _ in [] }, controlGroup: nil) == SystemState())
        #expect(SystemState(readFile: { $0.hasSuffix("_temp") || $0.hasSuffix("/temp") ? "90000" : $0.hasSuffix("_type") ? "hot" : nil }, names: names, controlGroup: nil).heat == .critical)
    }
    #endif

    /// A session that chooses: learned speeds, the machine, the other answers; the reason is in the statistics.
    @Test func sessionsChoose() async throws {
        let model = try tinyModel()
        model.useSystem { SystemState() }
        #expect(model.sizes.count == 5 && model.sizes.last?.slice == model.slice && model.sizes.allSatisfy { $0.secondsPerToken == nil })
        #expect(model.sizes.map(\.bytesPerToken) == model.sizes.map(\.bytesPerToken).sorted())
        let session = LanguageModelSession(model: model)
        session.size = .automatic
        let first = try await session.respond(to: "hello", options: exactly(3))
        #expect(first.statistics.size?.name == "whole" && first.statistics.size?.reason == "Nothing speaks against the largest.")

        // One speed is known, the others follow from their bytes.
        let smallest = model.sizes[0]
        model.learn(model.slice, secondsPerToken: 0.1)
        let perByte = 0.1 / Double(model.sizes[4].bytesPerToken)
        #expect(model.sizes.allSatisfy { abs(($0.secondsPerToken ?? 0) - perByte * Double($0.bytesPerToken)) < 1e-12 })
        session.sizeWishes = SizeWishes(millisecondsPerToken: 1000 * perByte * Double(smallest.bytesPerToken) + 0.001)
        let second = try await session.respond(to: "more", options: exactly(3))
        #expect(second.statistics.size?.slice == smallest.slice)
        #expect(second.statistics.size?.reason.hasPrefix("A token may take ") == true)

        model.useSystem { SystemState(heat: .critical) }
        var options = exactly(3)
        options.sizeWishes = SizeWishes()
        #expect(try await session.respond(to: "more", options: options).statistics.size?.reason == "The machine is too hot.")
        options.sizeWishes = SizeWishes(preference: .largest)
        #expect(try await session.respond(to: "more", options: options).statistics.size?.reason == "The user prefers the largest.")

        struct Always: SizePolicy {
            let slice: ModelSlice
            func decide(_ situation: SizeSituation) -> SizeDecision { SizeDecision(slice: slice, name: "mine", reason: "Because \(situation.busyRequests).") }
        }
        session.sizePolicy = Always(slice: ModelSlice(widths: model.slice.widths, leavingOut: [5]))
        #expect(try await session.respond(to: "more", options: exactly(3)).statistics.size?.reason == "Because 0.")
        session.sizePolicy = Always(slice: ModelSlice(widths: [1]))
        let error = await #expect(throws: SessionError.self) { try await session.respond(to: "more") }
        #expect(error?.code == .invalidOption)
    }

    /// Answers teach how long a token takes.
    @Test func speedsAreLearned() async throws {
        let model = try tinyModel()
        _ = try await LanguageModelSession(model: model).respond(to: "hello", options: exactly(12))
        #expect(model.sizes.allSatisfy { ($0.secondsPerToken ?? 0) > 0 })
    }
}
